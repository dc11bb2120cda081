"""The runs of a contest: on some of the folds, for the evidence; and once more on all examples, to be kept."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from graft.core.files import atomic_path
from graft.core.seeds import derive_seed
from graft.methods.budget import RunBudget
from graft.methods.fine_tuning import FineTuned, fine_tune, held_out_figures
from graft.methods.head_only import HeadFit, refit_head
from graft.methods.kept_network import logits_with, with_head
from graft.methods.prepared import FineTuningMethod
from graft.methods.weights import Weights, greedy_soup, interpolate, uniform_soup
from graft.methods.where import Where
from graft.tasks.base import Task
from graft.training.examples import TrainingExamples

__all__ = ["ContestJob", "Evidence", "FinishedRun", "LastRun", "Split", "Start", "gather_evidence", "run_last"]

Start = tuple[NDArray[np.float32], NDArray[np.float32]]
Split = tuple[NDArray[np.int64], NDArray[np.int64]]


@dataclass(frozen=True)
class ContestJob:
    """What all runs of a contest have in common; see `graft.methods.contest.hold_contest` for each of them."""

    method: FineTuningMethod
    network: nn.Module
    head: str
    probe: HeadFit
    features: NDArray[np.float32]
    task: Task
    examples: TrainingExamples
    n_train: int
    has_valid: bool
    anchors: NDArray[np.float32] | None
    soup: int
    is_greedy: bool
    seed: int
    where: Where

    @property
    def n_anchors(self) -> int:
        """Examples at the end that every run is trained on."""
        return 0 if self.anchors is None else len(self.anchors)

    @property
    def n_valid(self) -> int:
        """Examples of the validation split."""
        return len(self.examples) - self.n_train - self.n_anchors

    @property
    def train_rows(self) -> NDArray[np.int64]:
        """All training examples and the anchors."""
        return self.with_anchors(np.arange(self.n_train))

    @property
    def start(self) -> Start:
        """Weights and bias of the probe."""
        return self.probe.weights, self.probe.bias

    @property
    def common(self) -> dict[str, Any]:
        """What `fine_tune` takes in every run."""
        refit = partial(refit_head, self.probe, n_classes=self.examples.n_classes)
        return {"head": self.head, "task": self.task, "examples": self.examples, "refit": refit}

    def with_anchors(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return rows with the anchors behind them."""
        return np.concatenate([rows, np.arange(len(self.examples) - self.n_anchors, len(self.examples))])

    def splits(self, n_folds: int) -> list[Split]:
        """Return which rows are trained on and which held out: the validation split, or some of the probe's folds."""
        if self.has_valid:
            return [(self.train_rows, np.arange(self.n_train, self.n_train + self.n_valid))]
        folds = self.probe.folds
        return [(self.with_anchors(np.flatnonzero(folds != k)), np.flatnonzero(folds == k)) for k in range(n_folds)]

    def start_for(self, rows: NDArray[np.int64]) -> Start:
        """Return a head that has seen `rows` alone, the anchors at their end included."""
        own = self.features[rows[: len(rows) - self.n_anchors]]
        own = own if self.anchors is None else np.concatenate([own, self.anchors])
        found = refit_head(self.probe, own, self.examples.targets[rows], n_classes=self.examples.n_classes)
        return self.where.processes.from_main(found)

    def run(self, name: str, member: int | None = None, **changes: Any) -> FineTuned:
        """Return one run, with a folder of its own; so has each member of a soup."""
        where = self.where.inside(name if member is None else f"{name}/member-{member + 1}")
        return fine_tune(self.method, self.network, where=where, **self.common, **changes)

    def logits(self, weights: Weights, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return what the network says of `rows` with other weights: (n_rows, n_classes)."""
        return logits_with(self.network, weights, rows, task=self.task, examples=self.examples, where=self.where)


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
    runs: list[FineTuned | FinishedRun] = []
    found: list[NDArray[np.float32]] = []
    processes, own_start, weights = job.where.processes, job.start, None
    for number, (rows, held_out) in enumerate(splits):
        own_start = job.start if job.has_valid else job.start_for(rows)
        kept = None if job.where.folder is None else job.where.folder / f"fold-{number + 1}.npz"
        is_done = kept is not None and job.where.resume and not job.has_valid and kept.exists()
        if processes.from_main(is_done) and kept is not None:
            with np.load(kept) as stored:
                found.append(stored["logits"])
                runs.append(FinishedRun(int(stored["best_step"]), int(stored["n_steps"]), str(stored["ended_by"])))
            weights = None
            continue
        share = None
        if budget is not None:
            n_last = job.soup
            share = budget.share(n_last, n_now=n_last) if job.has_valid else budget.share(len(splits) - number + n_last)
        members = [
            job.run(
                f"fold-{number + 1}",
                None if job.soup == 1 else member,
                start=own_start,
                rows=rows,
                held_out_rows=held_out,
                seed=derive_seed(job.seed, "fold", number, member),
                max_seconds=share,
            )
            for member in range(job.soup if job.has_valid else 1)
        ]
        weights = _stirred(job, members, held_out)
        first = with_head(job.network, job.head, own_start).state_dict()
        found.append(np.stack([job.logits(interpolate(first, weights, alpha), held_out) for alpha in alphas]))
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

    def loss(weights: Weights) -> float:
        return held_out_figures(job.logits(weights, held_out), job.examples.targets[held_out])["log_loss"]

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
    last = evidence.runs[-1]
    if job.has_valid:
        assert isinstance(last, FineTuned)
        assert evidence.weights is not None
        return LastRun(last, job.start, evidence.weights, job.soup)
    share = None if budget is None else budget.share(job.soup, n_now=job.soup)
    is_too_late = budget is not None and share is not None and share < 0.15 * budget.planned_run_s()
    if is_too_late and isinstance(last, FineTuned) and evidence.weights is not None:
        note = "no time was left to train once more on all examples: the held-out run is kept"
        return LastRun(last, evidence.start, evidence.weights, 1, (note,))
    members = [
        job.run(
            "final" if job.soup == 1 else f"final-{member + 1}",
            start=job.start,
            rows=job.train_rows,
            n_steps=_last_steps(job, evidence),
            seed=derive_seed(job.seed, "final", member),
            max_seconds=share,
        )
        for member in range(job.soup)
    ]
    if len(members) == 1:
        return LastRun(members[0], job.start, members[0].network.state_dict(), 1)
    note = f"the weights are the mean of {job.soup} runs with other seeds"
    states = [member.network.state_dict() for member in members]
    return LastRun(members[0], job.start, uniform_soup(states), job.soup, (note,))


def _last_steps(job: ContestJob, evidence: Evidence) -> int:
    """Return the steps of the last run: as planned, or the folds' median best where patience ended most of them."""
    accounts = [run.training for run in evidence.runs]
    if sum(account.ended_by == "patience" for account in accounts) * 2 <= len(accounts):
        return job.method.settings.n_steps(job.n_train)
    return max(1, int(np.median([account.best_step for account in accounts])))
