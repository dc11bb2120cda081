"""A race: contestants run short, the better ones run longer, and held-out examples say who leads.

Synchronous successive halving (Jamieson and Talwalkar, Non-stochastic Best Arm Identification and Hyperparameter
Optimization, 2016): https://arxiv.org/abs/1502.07943
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from graft.evaluation.selection_bias import SelectionBias, selection_bias
from graft.methods.prepared import FineTuningMethod
from graft.selection.race_journal import Journal
from graft.selection.trials import Key, Trial, TrialBed, TrialResult
from graft.selection.trials_executors import Executor, InTurn

__all__ = ["LENGTH_POWER", "Contestant", "Order", "Race", "Rung", "Standing", "hold_race", "n_planned_runs"]

_FEWEST_STEPS = 4
LENGTH_POWER: Final = 0.75
"""Losses of one contestant over runs of a share s are taken for a + b / s to this power: short runs that start at the
probe favour small rates and small changes, whole runs do not (docs/experiments.md, "The best rate of a short run")."""


@dataclass(frozen=True)
class Contestant:
    """A method with settings, under a name of its own."""

    name: str
    method: FineTuningMethod


@dataclass(frozen=True)
class Rung:
    """How far all contestants that are still in the race run.

    Parameters
    ----------
    share : of the planned steps of a whole run.
    n_repeats : folds, or seeds where a validation split is held out, that the figures are averaged over.
    n_kept : how many go on to the next rung.
    """

    share: float
    n_repeats: int = 1
    n_kept: int = 1


@dataclass(frozen=True)
class Standing:
    """How a contestant stands at the end.

    Parameters
    ----------
    name : of the contestant.
    learning_rate : the highest.
    rung : number of the last rung that it ran, from 0.
    n_steps : of each of its runs there.
    log_loss, accuracy : mean over the held-out examples of that rung.
    foreseen : log-loss of a whole run, where two lengths tell; else `log_loss`.
    log_loss_difference, standard_error : of foreseen losses to the leader of the same rung, example by example.
    log_losses : by rung.
    seconds : of all its runs.
    has_diverged : whether a run came apart.
    """

    name: str
    learning_rate: float
    rung: int
    n_steps: int
    log_loss: float
    accuracy: float
    foreseen: float
    log_loss_difference: float
    standard_error: float
    log_losses: tuple[float, ...]
    seconds: float
    has_diverged: bool = False

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {**self.__dict__, "log_losses": list(self.log_losses)}


@dataclass(frozen=True)
class Race:
    """A race that was held.

    Parameters
    ----------
    standings : who ran furthest first, of these the least loss.
    results : of all trials, by key.
    planned : steps of a whole run, by name.
    ended_by : ``"rungs"``, or ``"time"`` where the budget ended it before the last rung.
    """

    standings: tuple[Standing, ...]
    results: Mapping[Key, TrialResult]
    planned: Mapping[str, int]
    ended_by: str = "rungs"

    @property
    def leader(self) -> Standing:
        """The first."""
        return self.standings[0]

    @property
    def n_steps(self) -> int:
        """Optimizer steps of all trials together."""
        return sum(n_steps for _, n_steps, _ in self.results)

    def table(self) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Return foreseen losses and right answers (n_rows, n_contestants) of everybody's runs on the first split.

        Contestants are in the order of the standings. Who left early stands with the short run that it left by.
        """
        last = [self.results[one.name, one.n_steps, 0] for one in self.standings]
        first = {key: result for key, result in self.results.items() if key[2] == 0}
        losses = np.stack([_foreseen(_runs(one.name, first), self.planned[one.name]) for one in self.standings], axis=1)
        return losses, np.stack([result.is_right for result in last], axis=1)

    def selection(self, *, seed: int = 0) -> SelectionBias | None:
        """Return how far having been chosen flatters the leader's accuracy; None with a single contestant."""
        losses, is_right = self.table()
        if min(losses.shape) < 2:
            return None
        return selection_bias(is_right.astype(float), criterion=-losses, seed=seed)

    def joined(self, other: Race) -> Race:
        """Return one leaderboard of both races, on the same bed."""
        names = dict.fromkeys(one.name for one in (*self.standings, *other.standings))
        results = {**self.results, **other.results}
        is_short = "time" in (self.ended_by, other.ended_by)
        planned = {**self.planned, **other.planned}
        return Race(_standings(list(names), results, planned), results, planned, "time" if is_short else "rungs")


def n_planned_runs(n_contestants: int, rungs: Sequence[Rung]) -> float:
    """Return the cost of a race, in whole runs.

    Examples
    --------
    >>> round(n_planned_runs(5, (Rung(0.1, n_kept=3), Rung(0.4))), 3)
    1.7
    """
    total, n = 0.0, n_contestants
    for rung in rungs:
        total += n * rung.share * rung.n_repeats
        n = min(n, rung.n_kept)
    return total


Order = Callable[[Contestant, float], Any]


def _by_loss(one: Contestant, loss: float) -> float:
    return loss


def hold_race(
    contestants: Sequence[Contestant],
    bed: TrialBed,
    rungs: Sequence[Rung],
    *,
    executor: Executor | None = None,
    journal: Journal | None = None,
    known: Mapping[Key, TrialResult] | None = None,
    kept: str | None = None,
    order: Order = _by_loss,
    seconds_left: Callable[[], float] | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> Race:
    """Return who leads after all rungs.

    Parameters
    ----------
    contestants : in the order in which ties are broken: of two that are equal the first leads.
    rungs : short ones first.
    journal : keeps every result; what it has is not run again. None: nothing is kept.
    known : further results that are not run again, of an earlier race on the same bed.
    kept : name of a contestant that runs to the end whatever its losses, so that the leader can be compared with it.
    order : what those who go on from a rung are the least by, of a contestant and its mean loss on that rung.
    seconds_left : of the budget; a rung that would take longer, by what earlier trials took, is not begun. The first
        always is. None: no bound.

    Notes
    -----
    Halving is synchronous: who goes on does not depend on who was ready first, so one process, many and a resumed race
    give the same result. All contestants of a repeat see the same batches, so that their differences are much less
    noisy than their losses. Who has run two lengths is judged by what they foretell of a whole run, see `LENGTH_POWER`.
    """
    executor, processes = executor or InTurn(), bed.where.processes
    have = processes.from_main({} if journal is None else journal.results()) | dict(known or {})
    found: dict[Key, TrialResult] = {}
    names, running = [one.name for one in contestants], list(contestants)
    ended_by, step_s = "rungs", 0.0
    for number, rung in enumerate(rungs):
        trials = [
            Trial(one.name, one.method, _n_steps(one.method, bed, rung), repeat)
            for one in running
            for repeat in range(rung.n_repeats)
        ]
        todo = [trial for trial in trials if trial.key not in have]
        needed = step_s * sum(trial.n_steps for trial in todo)
        if number and seconds_left is not None and processes.from_main(seconds_left()) < needed:
            say(f"the race ends after {number} of {len(rungs)} rungs: the next would take about {needed:,.0f} s")
            ended_by = "time"
            break
        for result in executor.run(bed, todo):
            have[result.key] = result
            if journal is not None and processes.is_main:
                journal.keep(result)
        found |= {trial.key: have[trial.key] for trial in trials}
        step_s = processes.from_main(sum(have[t.key].seconds for t in trials) / sum(t.n_steps for t in trials))
        by_loss = {
            one.name: float(np.mean([have[t.key].loss for t in trials if t.name == one.name])) for one in running
        }
        if number + 1 < len(rungs):
            first = sorted(running, key=lambda one: (one.name != kept, order(one, by_loss[one.name])))
            running = [one for one in running if one in first[: rung.n_kept]]
    planned = {one.name: one.method.settings.n_steps(bed.n_train) for one in contestants}
    race = Race(_standings(names, found, planned), found, planned, ended_by)
    if journal is not None and processes.is_main:
        journal.close(race.standings)
    return race


def _n_steps(method: FineTuningMethod, bed: TrialBed, rung: Rung) -> int:
    planned = method.settings.n_steps(bed.n_train)
    return min(planned, max(_FEWEST_STEPS, round(rung.share * planned)))


def _standings(
    names: Sequence[str], found: Mapping[Key, TrialResult], planned: Mapping[str, int]
) -> tuple[Standing, ...]:
    """Return the lines of a leaderboard; equal losses stay in the order of `names`."""
    runs = {name: _runs(name, found) for name in names}
    foreseen = {name: _foreseen(runs[name], planned[name]) for name in names}
    lengths = sorted({n_steps for by_length in runs.values() for n_steps in by_length})
    furthest = {name: max(runs[name]) for name in names}
    order = sorted(names, key=lambda name: (-furthest[name], float(foreseen[name].mean())))
    lines = []
    for name in order:
        n_steps = furthest[name]
        first = next(other for other in order if n_steps in runs[other] and furthest[other] == n_steps)
        own = runs[name][n_steps]
        is_paired = len(foreseen[name]) == len(foreseen[first])
        difference = foreseen[name] - foreseen[first] if is_paired else np.zeros(1)
        n, everything = len(difference), [result for some in runs[name].values() for result in some]
        lines.append(
            Standing(
                name=name,
                learning_rate=own[0].learning_rate,
                rung=lengths.index(n_steps),
                n_steps=n_steps,
                log_loss=_loss(own),
                accuracy=float(np.concatenate([result.is_right for result in own]).mean()),
                foreseen=float(foreseen[name].mean()),
                log_loss_difference=float(difference.mean()),
                standard_error=float(difference.std(ddof=1) / np.sqrt(n)) if n > 1 else 0.0,
                log_losses=tuple(_loss(runs[name][length]) for length in sorted(runs[name])),
                seconds=sum(result.seconds for result in everything),
                has_diverged=any(result.has_diverged for result in everything),
            )
        )
    return tuple(lines)


def _runs(name: str, found: Mapping[Key, TrialResult]) -> dict[int, list[TrialResult]]:
    """Return a contestant's results by steps, each in the order of the repeats."""
    runs: dict[int, list[TrialResult]] = {}
    for key in sorted(key for key in found if key[0] == name):
        runs.setdefault(key[1], []).append(found[key])
    return runs


def _foreseen(runs: Mapping[int, list[TrialResult]], planned: int) -> NDArray[np.float64]:
    """Return the losses of a whole run, by held-out example, as the two longest runs on the same examples tell."""
    last, *earlier = sorted(runs, reverse=True)
    losses = _losses(runs[last])
    if not earlier or last >= planned or len(runs[earlier[0]]) != len(runs[last]):
        return losses
    short, long = ((n_steps / planned) ** -LENGTH_POWER for n_steps in (earlier[0], last))
    return losses + (long - 1) / (short - long) * (losses - _losses(runs[earlier[0]]))


def _losses(results: Sequence[TrialResult]) -> NDArray[np.float64]:
    return np.concatenate([result.losses for result in results]).astype(np.float64)


def _loss(results: Sequence[TrialResult]) -> float:
    return float(np.mean([result.loss for result in results]))
