"""A race: contestants run short, the better ones run longer, and held-out examples say who leads.

Synchronous successive halving (Jamieson and Talwalkar, Non-stochastic Best Arm Identification and Hyperparameter
Optimization, 2016): https://arxiv.org/abs/1502.07943
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graft.evaluation.selection_bias import SelectionBias, selection_bias
from graft.methods.prepared import FineTuningMethod
from graft.selection.race_journal import Journal
from graft.selection.race_standings import Standing, foreseen_losses, runs_of, standings_of
from graft.selection.trials import Key, Trial, TrialBed, TrialResult
from graft.selection.trials_executors import Executor, InTurn

__all__ = ["Contestant", "Order", "Race", "Rung", "hold_race", "n_planned_runs"]

_FEWEST_STEPS = 4
_LEAST_SHARE_S = 0.1  # of the time, for a trial: a step is done in any case


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
        losses = [foreseen_losses(runs_of(one.name, first), self.planned[one.name]) for one in self.standings]
        return np.stack(losses, axis=1), np.stack([result.is_right for result in last], axis=1)

    def selection(self, *, seed: int = 0) -> SelectionBias | None:
        """Return how far having been chosen flatters the leader's accuracy; None with a single contestant.

        Who left early is held against the leader by runs of the length that it left by. One that had less loss there
        was not left by its loss (`larger_first`), and had no part in a choice by it.
        """
        losses, is_right = self.table()
        kept = [0]
        for i, one in enumerate(self.standings[1:], start=1):
            same = self.results.get((self.leader.name, one.n_steps, 0))
            if one.rung < self.leader.rung and same is not None:
                losses[:, i] = losses[:, 0] + self.results[one.name, one.n_steps, 0].losses - same.losses
            if losses[:, i].mean() >= losses[:, 0].mean():
                kept.append(i)
        if min(len(kept), len(losses)) < 2:
            return None
        return selection_bias(is_right[:, kept].astype(float), criterion=-losses[:, kept], seed=seed)

    def joined(self, other: Race) -> Race:
        """Return one leaderboard of both races, on the same bed."""
        names = dict.fromkeys(one.name for one in (*self.standings, *other.standings))
        results = {**self.results, **other.results}
        is_short = "time" in (self.ended_by, other.ended_by)
        planned = {**self.planned, **other.planned}
        return Race(standings_of(list(names), results, planned), results, planned, "time" if is_short else "rungs")


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
    seconds_left : of the budget; a rung that would take longer, by what earlier trials took, is not begun. Of the first
        each trial has its share, and one that does not end by then ends the race; it is not kept. None: no bound.

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
    ended_by, step_s = "rungs", 0.0  # of the wall clock, however many run at once
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
        if not number and seconds_left is not None and todo:
            share = max(_LEAST_SHARE_S, processes.from_main(seconds_left()) / len(todo))
            todo = [replace(trial, max_seconds=share) for trial in todo]
        began, is_cut = time.monotonic(), False
        for result in executor.run(bed, todo):
            have[result.key] = result
            is_cut = is_cut or result.is_cut
            if journal is not None and processes.is_main and not result.is_cut:
                journal.keep(result)
        found |= {trial.key: have[trial.key] for trial in trials}
        if is_cut:
            say("the race ends within its first rung: not all of its runs had time for all of their steps")
            ended_by = "time"
            break
        own_s = time.monotonic() - began if todo else sum(have[trial.key].seconds for trial in trials)
        step_s = processes.from_main(own_s / sum(trial.n_steps for trial in todo or trials))
        by_loss = {
            one.name: float(np.mean([have[t.key].loss for t in trials if t.name == one.name])) for one in running
        }
        if number + 1 < len(rungs):
            first = sorted(running, key=lambda one: (one.name != kept, order(one, by_loss[one.name])))
            running = [one for one in running if one in first[: rung.n_kept]]
    planned = {one.name: one.method.settings.n_steps(bed.n_train) for one in contestants}
    race = Race(standings_of(names, found, planned), found, planned, ended_by)
    if journal is not None and processes.is_main and not any(result.is_cut for result in found.values()):
        journal.close(race.standings)
    return race


def _n_steps(method: FineTuningMethod, bed: TrialBed, rung: Rung) -> int:
    planned = method.settings.n_steps(bed.n_train)
    return min(planned, max(_FEWEST_STEPS, round(rung.share * planned)))
