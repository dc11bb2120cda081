"""The runs of a contest: on some of the folds, for the evidence; and once more on all examples, to be kept."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graft.core.files import atomic_path
from graft.core.seeds import derive_seed
from graft.methods.arena import Arena, Split, Start
from graft.methods.budget import RunBudget
from graft.methods.fine_tuning import FineTuned, fine_tune, held_out_figures
from graft.methods.kept_network import with_head
from graft.methods.prepared import FineTuningMethod
from graft.methods.weights import Weights, greedy_soup, interpolate, uniform_soup

__all__ = ["ContestJob", "Evidence", "FinishedRun", "LastRun", "gather_evidence", "run_last"]


@dataclass(frozen=True)
class ContestJob:
    """One contender's runs.

    Parameters
    ----------
    method : the contender.
    arena : what its runs start from and are judged by.
    soup : runs whose weights are averaged.
    is_greedy : by held-out loss; else all.
    """

    method: FineTuningMethod
    arena: Arena
    soup: int = 1
    is_greedy: bool = False

    def run(self, name: str, member: int | None = None, **changes: Any) -> FineTuned:
        """Return one run, with a folder of its own; so has each member of a soup."""
        where = self.arena.where.inside(name if member is None else f"{name}/member-{member + 1}")
        return fine_tune(self.method, self.arena.network, where=where, **self.arena.common, **changes)


@dataclass(frozen=True)
class FinishedRun:
    """A fold that an earlier process finished: what is still asked of its run."""

    best_step: int
    n_steps: int
    ended_by: str

    @property
    def training(self) -> FinishedRun:
        """Itself: it has the fields of a `Training` that are asked for."""
        return self


@dataclass(frozen=True)
class Evidence:
    """What the held-out runs came to.

    Parameters
    ----------
    runs : one a split; of folds that an earlier process finished only the account is left.
    logits : (n_alphas, n_held_out, n_classes), not yet calibrated.
    start : the head that the last split's run began with.
    weights : of the last split's run; None: an earlier process made it.
    """

    runs: tuple[FineTuned | FinishedRun, ...]
    logits: NDArray[np.float32]
    start: Start
    weights: Weights | None


def gather_evidence(
    job: ContestJob, splits: list[Split], *, alphas: tuple[float, ...], budget: RunBudget | None
) -> Evidence:
    """Return what contenders that have not seen the held-out examples of each split say of them.

    Parameters
    ----------
    alphas : shares of the way from the head's network to the fine-tuned one.
    budget : of which each run gets its share; None: no bound.
    """
    arena = job.arena
    runs: list[FineTuned | FinishedRun] = []
    found: list[NDArray[np.float32]] = []
    processes, own_start, weights = arena.where.processes, arena.start, None
    for number, (rows, held_out) in enumerate(splits):
        own_start = arena.start if arena.has_valid else arena.start_for(rows)
        kept = None if arena.where.folder is None else arena.where.folder / f"fold-{number + 1}.npz"
        is_done = kept is not None and arena.where.resume and not arena.has_valid and kept.exists()
        if processes.from_main(is_done) and kept is not None:
            with np.load(kept) as stored:
                found.append(stored["logits"])
                runs.append(FinishedRun(int(stored["best_step"]), int(stored["n_steps"]), str(stored["ended_by"])))
            weights = None
            continue
        share = None
        if budget is not None:
            n_left = job.soup + (0 if arena.has_valid else len(splits) - number)
            share = budget.share(n_left, n_now=job.soup if arena.has_valid else 1)
        members = [
            job.run(
                f"fold-{number + 1}",
                None if job.soup == 1 else member,
                start=own_start,
                rows=rows,
                held_out_rows=held_out,
                seed=derive_seed(arena.seed, "fold", number, member),
                max_seconds=share,
            )
            for member in range(job.soup if arena.has_valid else 1)
        ]
        weights = _stirred(job, members, held_out)
        first = with_head(arena.network, arena.head, own_start).state_dict()
        found.append(np.stack([arena.logits(interpolate(first, weights, alpha), held_out) for alpha in alphas]))
        runs.append(members[0])
        if kept is not None and processes.is_main:
            _write_fold(kept, members[0], found[-1])
        processes.wait()
    return Evidence(tuple(runs), np.concatenate(found, axis=1), own_start, weights)


def _stirred(job: ContestJob, members: list[FineTuned], held_out: NDArray[np.int64]) -> Weights:
    """Return the weights of one run, or the soup of several."""
    states: list[Weights] = [member.network.state_dict() for member in members]
    if len(states) == 1:
        return states[0]
    if not job.is_greedy:
        return uniform_soup(states)

    arena = job.arena

    def loss(weights: Weights) -> float:
        return held_out_figures(arena.logits(weights, held_out), arena.examples.targets[held_out])["log_loss"]

    return greedy_soup(states, loss=loss)[0]


def _write_fold(path: Path, run: FineTuned, logits: NDArray[np.float32]) -> None:
    done = run.training
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        np.savez(file, logits=logits, best_step=done.best_step, n_steps=done.n_steps, ended_by=done.ended_by)


@dataclass(frozen=True)
class LastRun:
    """The run that is kept.

    Parameters
    ----------
    run : its account; of a soup the first member's.
    start : the head that it began with.
    weights : of the run, or the soup.
    n_runs : whose weights were averaged.
    notes : sentences.
    """

    run: FineTuned
    start: Start
    weights: Weights
    n_runs: int
    notes: tuple[str, ...] = ()


def run_last(job: ContestJob, evidence: Evidence, *, budget: RunBudget | None) -> LastRun:
    """Return the run on all training examples; with a validation split it is the one that was judged.

    Where next to no time is left, the last of the held-out runs is taken.
    """
    arena, last = job.arena, evidence.runs[-1]
    if arena.has_valid:
        assert isinstance(last, FineTuned)
        assert evidence.weights is not None
        return LastRun(last, arena.start, evidence.weights, job.soup)
    share = None if budget is None else budget.share(job.soup, n_now=job.soup)
    is_too_late = budget is not None and share is not None and share < 0.15 * budget.planned_run_s()
    if is_too_late and isinstance(last, FineTuned) and evidence.weights is not None:
        note = "no time was left to train once more on all examples: the held-out run is kept"
        return LastRun(last, evidence.start, evidence.weights, 1, (note,))
    members = [
        job.run(
            "final" if job.soup == 1 else f"final-{member + 1}",
            start=arena.start,
            rows=arena.train_rows,
            n_steps=_last_steps(job, evidence),
            seed=derive_seed(arena.seed, "final", member),
            max_seconds=share,
        )
        for member in range(job.soup)
    ]
    if len(members) == 1:
        return LastRun(members[0], arena.start, members[0].network.state_dict(), 1)
    note = f"the weights are the mean of {job.soup} runs with other seeds"
    states = [member.network.state_dict() for member in members]
    return LastRun(members[0], arena.start, uniform_soup(states), job.soup, (note,))


def _last_steps(job: ContestJob, evidence: Evidence) -> int:
    """Return the steps of the last run: as planned, or the folds' median best where patience ended most of them."""
    accounts = [run.training for run in evidence.runs]
    if sum(account.ended_by == "patience" for account in accounts) * 2 <= len(accounts):
        return job.method.settings.n_steps(job.arena.n_train)
    return max(1, int(np.median([account.best_step for account in accounts])))
