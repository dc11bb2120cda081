"""How much to unfreeze, how strongly to distort, and at which rate: three races, one leaderboard.

First the methods race at their priors, then the leader with other strengths of distortion, then the leader of all with
other rates. The method that would have been taken without a race runs to the end of the first, and is left only for one
that is clearly ahead; so are its distortion and its rate. Whoever stands at the end, and a method that cannot be told
from it, are the finalists of the contest.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, get_args

from graft.evaluation.selection_bias import SelectionBias
from graft.methods.prepared import FineTuningMethod
from graft.selection.learning_rate import CLEAR, RATE_RUNGS, larger_first, rate_contestants, rate_of_race
from graft.selection.race import Contestant, Order, Race, Rung, hold_race, n_planned_runs
from graft.selection.race_journal import Journal
from graft.selection.trials import Key, TrialBed, TrialResult, chance_loss, with_rate
from graft.selection.trials_executors import Executor
from graft.training.examples import PictureExamples, Strength, TrainingExamples

__all__ = ["STRATEGY_RUNGS", "StrategyRace", "contestant_of", "n_strategy_runs", "race_strategies"]

STRATEGY_RUNGS: Final = RATE_RUNGS
_ALIKE: Final = 2.0  # standard errors within which two methods cannot be told apart


@dataclass(frozen=True)
class StrategyRace:
    """What the three races came to.

    Parameters
    ----------
    race : one leaderboard of all that was tried.
    finalists : methods with their settings, the leader first, at most two of different names.
    why : sentences on what was chosen.
    selection : how far having been chosen among all flatters the leader's accuracy.
    """

    race: Race
    finalists: tuple[FineTuningMethod, ...]
    why: tuple[str, ...]
    selection: SelectionBias | None

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "kind": "all",
            "finalists": [contestant_of(method).name for method in self.finalists],
            "why": list(self.why),
            "n_steps": self.race.n_steps,
            "ended_by": self.race.ended_by,
            "selection": None if self.selection is None else self.selection.as_dict(),
            "standings": [standing.as_dict() for standing in self.race.standings],
        }


def contestant_of(method: FineTuningMethod) -> Contestant:
    """Return a method under a name that tells what is chosen of it: blocks, distortions, rate."""
    blocks = getattr(method, "last_k_blocks", None)
    name = method.name if blocks is None else f"{method.name} of {blocks}"
    rate = method.settings.learning_rate
    told = "" if rate is None else f" at {rate:.2g}"
    return Contestant(f"{name}, {method.settings.augmentation}{told}", method)


def n_strategy_runs(
    n_methods: int, *, n_strengths: int = 4, n_rates: int = 5, rungs: Sequence[Rung] = STRATEGY_RUNGS
) -> float:
    """Return the cost of the three races in whole runs; each has one contestant that has run before."""
    first = n_planned_runs(n_methods, rungs)
    known = sum(rung.share * rung.n_repeats for rung in rungs)
    return first + sum(n_planned_runs(n, rungs) - known for n in (n_strengths, n_rates) if n > 1)


def race_strategies(
    methods: Sequence[FineTuningMethod],
    bed: TrialBed,
    *,
    standard: FineTuningMethod | None = None,
    strengths: Sequence[Strength] = get_args(Strength),
    has_rates: bool = True,
    rungs: Sequence[Rung] = STRATEGY_RUNGS,
    executor: Executor | None = None,
    journal: Journal | None = None,
    seconds_left: Callable[[], float] | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> StrategyRace:
    """Return the finalists of a race over methods, then distortions, then rates.

    Parameters
    ----------
    methods : the cheapest first: ties go to the first.
    standard : the one of them that is taken without a race: it, and in the race of distortions the leader's own, is
        left only for a lead that a one-sided paired test at 5 % shows; None: the least loss decides.
    strengths : of distortion; a single one: they do not race.
    has_rates : False: the rates stay as they are.
    rungs, executor, journal, seconds_left : see `graft.selection.race.hold_race`; once the budget ends a race, no
        further one is begun.
    """
    known: dict[Key, TrialResult] = {}
    by_name: dict[str, FineTuningMethod] = {}
    why: list[str] = []

    def hold(contestants: Sequence[Contestant], kept: str | None = None, order: Order | None = None) -> Race:
        more: dict[str, Any] = {} if order is None else {"order": order}
        by_name.update({one.name: one.method for one in contestants})
        race = hold_race(
            contestants, bed, rungs, executor=executor, journal=journal, known=known, kept=kept,
            seconds_left=seconds_left, say=say, **more,
        )  # fmt: skip
        known.update(race.results)
        return race

    own = None if standard is None else contestant_of(standard).name
    whole = hold([contestant_of(method) for method in methods], own)
    name, told = _clearly_first(whole, own)
    best = by_name[name]
    if len(methods) > 1:
        why.append(f"of {len(methods)} methods {name} {told}")
    strengths = _distinct(best, strengths, bed.examples)
    if len(strengths) > 1 and whole.ended_by == "rungs":
        own = None if standard is None else name
        race = hold([contestant_of(_with_strength(best, strength)) for strength in strengths], own)
        name, told = _clearly_first(race, own)
        best, whole = by_name[name], whole.joined(race)
        why.append(f"of {len(strengths)} strengths of distortion {best.settings.augmentation} {told}")
    if has_rates and whole.ended_by == "rungs":
        best, whole, told = _raced_rates(best, whole, hold, larger_first(bed), chance_loss(bed.examples.targets))
        why.append(told)
    finalists = [best, *_alike(best, whole, by_name)]
    return StrategyRace(whole, tuple(finalists), tuple(why), whole.selection(seed=bed.seed))


def _clearly_first(race: Race, own: str | None) -> tuple[str, str]:
    """Return the leader's name; where it is not clearly ahead of the contestant `own`, that one's; and why."""
    leader = race.leader
    if own is None or own == leader.name:
        return leader.name, "had the least held-out log-loss"
    standing = next(one for one in race.standings if one.name == own)
    if race.ended_by == "time" and not standing.has_diverged:  # the least change looks best in a short run
        return own, "stays: the budget ended the race before it could tell"
    is_clear = standing.rung == leader.rung and standing.log_loss_difference > CLEAR * standing.standard_error
    return (leader.name, "was clearly ahead") if is_clear else (own, "stays: no other was clearly ahead")


def _raced_rates(
    best: FineTuningMethod,
    whole: Race,
    hold: Callable[[Sequence[Contestant], str, Order], Race],
    order: Order,
    chance: float,
) -> tuple[FineTuningMethod, Race, str]:
    """Return the method with the best rate, the leaderboard with all rates, and what was found."""
    own = contestant_of(best)
    centre = next(one.learning_rate for one in whole.standings if one.name == own.name)
    others = [contestant_of(one.method) for one in rate_contestants(best, centre)]
    field = [own if abs(float(one.method.settings.learning_rate or 0) / centre - 1) < 1e-6 else one for one in others]
    race = hold(field, own.name, order)
    rate_of = {one.name: float(one.method.settings.learning_rate or centre) for one in field}
    rate, _, why = rate_of_race(race, rate_of, centre=own.name, n_lost_from=chance)
    return with_rate(best, rate), whole.joined(race), f"learning rate {rate:.2g}: {why}"


def _alike(best: FineTuningMethod, whole: Race, by_name: Mapping[str, FineTuningMethod]) -> list[FineTuningMethod]:
    """Return the best method of another name that cannot be told from the leader on the last rung; or none."""
    last = whole.leader.rung
    for one in whole.standings:
        if one.rung == last and by_name[one.name].name != best.name:
            is_alike = one.log_loss_difference <= _ALIKE * one.standard_error
            return [by_name[one.name]] if is_alike else []
    return []


def _distinct(
    method: FineTuningMethod, strengths: Sequence[Strength], examples: TrainingExamples
) -> Sequence[Strength]:
    """Return the strengths that differ: of activations cached at a frozen boundary only a mirror image can be taken."""
    if not (getattr(method, "is_cached", False) and isinstance(examples, PictureExamples)):
        return strengths
    own = method.settings.augmentation
    mirrored = own if own != "none" else next((strength for strength in strengths if strength != "none"), own)
    return [strength for strength in strengths if strength == own or (examples.flip and strength in ("none", mirrored))]


def _with_strength(method: FineTuningMethod, strength: Strength) -> FineTuningMethod:
    changed: Any = method
    return replace(changed, settings=replace(method.settings, augmentation=strength))
