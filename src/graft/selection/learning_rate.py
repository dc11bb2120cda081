"""Which learning rate: the prior and multiples of it race over short runs, and a parabola goes through the last rung.

A rate that was found holds for the batch size that it was found with; for another see
`graft.methods.rates.batch_factor`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from torch import nn

from graft.evaluation.selection_bias import SelectionBias
from graft.methods.fine_tuning import planned_rate
from graft.methods.prepared import FineTuningMethod
from graft.selection.learning_rate_range import RangeTest
from graft.selection.race import Contestant, Order, Race, Rung, hold_race
from graft.selection.race_journal import Journal
from graft.selection.race_standings import Standing
from graft.selection.trials import TrialBed, chance_loss, with_rate
from graft.selection.trials_executors import Executor

__all__ = [
    "CLEAR", "FACTORS", "RATE_RUNGS", "RateSearch", "chosen_rate", "doubts_of", "larger_first",
    "prior_of", "rate_contestants", "rate_of_race", "search_rate", "vertex_rate",
]  # fmt: skip

FACTORS: Final = (0.1, 1 / 3, 1.0, 3.0, 10.0)
RATE_RUNGS: Final = (Rung(0.1, n_kept=3), Rung(0.4))

CLEAR: Final = 1.645  # standard errors: a one-sided test at 5 %
_LOST: Final = 0.99  # of the loss of knowing nothing
_FEW_STEPS: Final = 10  # up to which a run that starts at the probe is the better the less it changes


@dataclass(frozen=True)
class RateSearch:
    """What the search came to.

    Parameters
    ----------
    method : name of the method.
    prior : rate that would have been taken without a search.
    learning_rate : what is recommended.
    why : half a sentence.
    race : over the rates.
    curvature : of the parabola through the last rung, in nats a squared natural logarithm of the rate; None: there is
        no parabola.
    selection : how far having been chosen flatters the leader's accuracy; None with one contestant.
    ceiling : the range test, whose ceiling no contestant passes; None: it was not run.
    doubts : half sentences, what speaks against trusting the rate, see `doubts_of`.
    """

    method: str
    prior: float
    learning_rate: float
    why: str
    race: Race
    curvature: float | None = None
    selection: SelectionBias | None = None
    ceiling: RangeTest | None = None
    doubts: tuple[str, ...] = ()

    @property
    def n_steps(self) -> int:
        """Optimizer steps that it took, the range test's included."""
        return self.race.n_steps + (0 if self.ceiling is None else self.ceiling.n_steps)

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "method": self.method,
            "prior": self.prior,
            "learning_rate": self.learning_rate,
            "why": self.why,
            "doubts": list(self.doubts),
            "curvature": self.curvature,
            "n_steps": self.n_steps,
            "ended_by": self.race.ended_by,
            "ceiling": None if self.ceiling is None else self.ceiling.as_dict(),
            "selection": None if self.selection is None else self.selection.as_dict(),
            "standings": [standing.as_dict() for standing in self.race.standings],
        }


def prior_of(method: FineTuningMethod, network: nn.Module) -> float:
    """Return the rate that `fine_tune` takes for a method whose settings name none."""
    return planned_rate(with_rate(method, None), network)


def rate_contestants(
    method: FineTuningMethod, centre: float, *, factors: Sequence[float] = FACTORS, ceiling: float = math.inf
) -> list[Contestant]:
    """Return the method at multiples of a rate, the smallest first; none above `ceiling`, but at least the smallest."""
    rates = [centre * factor for factor in sorted(factors)]
    kept = [rate for rate in rates if rate <= ceiling] or rates[:1]
    return [Contestant(f"{method.name} at {rate:.2g}", with_rate(method, rate)) for rate in kept]


def search_rate(
    method: FineTuningMethod,
    bed: TrialBed,
    *,
    rungs: Sequence[Rung] = RATE_RUNGS,
    factors: Sequence[float] = FACTORS,
    ceiling: RangeTest | None = None,
    executor: Executor | None = None,
    journal: Journal | None = None,
    seconds_left: Callable[[], float] | None = None,
    seed: int = 0,
    say: Callable[[str], None] = lambda text: None,
) -> RateSearch:
    """Return the rate for a method on some data.

    Parameters
    ----------
    method : a rate in its settings takes the place of the prior as the centre.
    rungs, executor, journal, seconds_left : see `graft.selection.race.hold_race`.
    factors : multiples of the centre that race.
    ceiling : a range test; rates above its ceiling do not race.

    Notes
    -----
    All runs have the full shape, warm-up and annealing, with fewer steps. Who goes on from the first rung is said by
    `larger_first`, and the prior is left only for a rate that is clearly ahead of it, see `chosen_rate`.
    """
    centre = method.settings.learning_rate or prior_of(method, bed.network)
    limit = math.inf if ceiling is None else ceiling.ceiling
    contestants = rate_contestants(method, centre, factors=factors, ceiling=limit)
    rate_of = {one.name: float(one.method.settings.learning_rate or 0) for one in contestants}
    own = min(rate_of, key=lambda name: abs(math.log(rate_of[name] / centre)))
    race = hold_race(
        contestants, bed, rungs, executor=executor, journal=journal, kept=own, order=larger_first(bed),
        seconds_left=seconds_left, say=say,
    )  # fmt: skip
    rate, curvature, why = rate_of_race(race, rate_of, centre=own, n_lost_from=chance_loss(bed.examples.targets))
    doubts: tuple[str, ...] = ()
    if race.ended_by != "time":
        doubts = doubts_of(race.standings, rate_of, chosen=rate, is_capped=len(contestants) < len(factors))
    return RateSearch(
        method=method.name,
        prior=centre,
        learning_rate=rate,
        why=why,
        race=race,
        curvature=curvature,
        selection=race.selection(seed=seed),
        ceiling=ceiling,
        doubts=doubts,
    )


def chosen_rate(
    standings: Sequence[Standing], rate_of: Mapping[str, float], *, centre: str
) -> tuple[float, float | None, str]:
    """Return the rate that the race recommends, the curvature of the parabola where there is one, and why.

    Parameters
    ----------
    standings : the leader of the last rung first.
    rate_of : by name of the contestant.
    centre : name of the one at the prior. It is left only for a rate that is ahead of it by a one-sided paired test at
        5 %, as the contest asks of a contender: on some hundred held-out examples the least loss alone means little.
    """
    own = next((one for one in standings if one.name == centre), None)
    leader = standings[0]
    if own is None or own.rung != leader.rung:
        return vertex_rate(standings, rate_of)
    if own is leader:
        return rate_of[centre], None, "it had the least loss"
    if own.log_loss_difference <= CLEAR * own.standard_error:
        return rate_of[centre], None, "no other rate was clearly ahead of it"
    return vertex_rate(standings, rate_of)


def rate_of_race(
    race: Race, rate_of: Mapping[str, float], *, centre: str, n_lost_from: float
) -> tuple[float, float | None, str]:
    """Return what `chosen_rate` does; where the budget ended the race, the one in the centre, unless that is lost.

    Parameters
    ----------
    n_lost_from : loss of knowing nothing.
    """
    if race.ended_by != "time":
        return chosen_rate(race.standings, rate_of, centre=centre)
    lost = {one.name for one in race.standings if one.has_diverged or one.log_loss >= _LOST * n_lost_from}
    others = [rate for name, rate in rate_of.items() if name not in lost]
    if centre not in lost or not others:  # runs of one short length favour small rates
        return rate_of[centre], None, "the budget ended the race before it could tell"
    return max(others), None, f"{rate_of[centre]:.2g} came apart; the budget ended the race before it could tell more"


def doubts_of(
    standings: Sequence[Standing], rate_of: Mapping[str, float], *, chosen: float, is_capped: bool = False
) -> tuple[str, ...]:
    """Return in half sentences what speaks against trusting the chosen rate.

    Parameters
    ----------
    standings : the leader of the last rung first.
    rate_of : by name of the contestant, all that were tried.
    chosen : what is recommended.
    is_capped : whether larger rates were left out because a range test came apart there.
    """
    leader, rates = standings[0], sorted(rate_of.values())
    last = [one for one in standings[1:] if one.rung == leader.rung]
    told = []
    if len(rates) > 1 and chosen == rates[0]:
        told.append(f"{chosen:.2g} is the smallest of the {len(rates)} rates tried, the best may lie below")
    if len(rates) > 1 and chosen == rates[-1] and not is_capped:
        told.append(f"{chosen:.2g} is the largest of the {len(rates)} rates tried, the best may lie above")
    if leader.n_steps <= _FEW_STEPS:
        steps = "a single step" if leader.n_steps == 1 else f"{leader.n_steps} steps"
        told.append(f"runs of {steps} are too short to tell rates apart, more --epochs make longer ones")
    if tied := sorted(rate_of[one.name] for one in last if one.log_loss_difference <= one.standard_error):
        others = " and ".join(f"{rate:.2g}" for rate in tied)
        told.append(
            f"{rate_of[leader.name]:.2g}, of least loss, is tied with {others}: within one standard error of the"
            " difference"
        )
    return tuple(told)


def larger_first(bed: TrialBed) -> Order:
    """Return the order in which rates go on from a short rung: those that are not lost, the larger the better.

    Notes
    -----
    A run of ten steps that starts at the probe is the better the less it changes (docs/experiments.md, "The best rate
    of a short run"): by its loss a rate that is ten times too small would always win. What ten steps do show is that a
    rate is far too large: its held-out loss is that of knowing nothing.
    """
    chance = chance_loss(bed.examples.targets)

    def order(one: Contestant, loss: float) -> tuple[bool, float]:
        is_lost = not loss < _LOST * chance
        return is_lost, loss if is_lost else -float(one.method.settings.learning_rate or 0)

    return order


def vertex_rate(standings: Sequence[Standing], rate_of: Mapping[str, float]) -> tuple[float, float | None, str]:
    """Return the rate of least loss, the curvature there, and why.

    A parabola in the logarithm of the rate goes through the leader and its neighbours on both sides, as far as they
    have run the last rung; its lowest point is taken.

    Parameters
    ----------
    standings : the leader of the last rung first.
    rate_of : by name of the contestant.
    """
    last = [one for one in standings if one.rung == standings[0].rung]
    points = sorted((rate_of[one.name], one.foreseen) for one in last)
    losses = [loss for _, loss in points]
    at = int(np.argmin(losses))  # of equal losses the first, which is the smallest rate
    rate = points[at][0]
    if not 0 < at < len(points) - 1:
        side = "smallest" if at == 0 else "largest"
        return rate, None, f"the {side} of {len(points)} rates in the last rung had the least loss"
    x = np.log([r for r, _ in points[at - 1 : at + 2]])
    curvature, slope, _ = np.polyfit(x - x[1], losses[at - 1 : at + 2], 2)
    if not curvature > 0:
        return rate, None, "of the last rung's rates it had the least loss"
    shift = float(np.clip(-slope / (2 * curvature), x[0] - x[1], x[2] - x[1]))
    return rate * math.exp(shift), float(2 * curvature), "the lowest point of a parabola through the last rung"
