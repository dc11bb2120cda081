"""A trial: one short fine-tuning run of full shape that starts at the probe, and what held-out examples say of it."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from graft.core.seeds import derive_seed, generator
from graft.core.types import MultiLabelPredictions, Predictions
from graft.evaluation.calibration import fit_temperature
from graft.evaluation.comparisons import log_losses_of
from graft.evaluation.multi_label_calibration import fit_prior_temperature, prior_log_odds, tempered
from graft.methods.arena import Arena, Split, Start
from graft.methods.fine_tuning import Refit, fine_tune, planned_rate
from graft.methods.kept_network import logits_with
from graft.methods.prepared import FineTuningMethod
from graft.methods.where import Where
from graft.tasks.base import Task
from graft.training.divergence import DivergedError
from graft.training.examples import TrainingExamples

__all__ = [
    "DIVERGED_LOSS", "Key", "Trial", "TrialBed", "TrialResult", "chance_loss", "run_trial", "trial_bed", "with_rate",
]  # fmt: skip

DIVERGED_LOSS = 50.0  # nats an example, of a run that came apart
_MOST_HELD_OUT, _WANTED_HELD_OUT = 1_000, 100

Key = tuple[str, int, int]
"""Name of the contestant, steps, and number of the repeat: what tells a trial from the others of a race."""


@dataclass(frozen=True)
class TrialBed:
    """What all trials have in common.

    Parameters
    ----------
    network : pretrained; `head` is the dotted name of its last linear layer.
    examples : all, encoded.
    n_train : number of the training examples among them: planned steps are reckoned from it.
    splits : rows that are trained on and rows that are held out; repeat r takes number r modulo their count.
    starts : by split, the head that its rows alone gave.
    refit : see `graft.methods.fine_tuning.fine_tune`.
    where : with a folder for what cached methods keep; None in it: a method's cache is switched off by the caller.
    """

    network: nn.Module
    head: str
    task: Task
    examples: TrainingExamples
    n_train: int
    splits: tuple[Split, ...]
    starts: tuple[Start, ...]
    refit: Refit
    seed: int
    where: Where


@dataclass(frozen=True)
class Trial:
    """One run.

    Parameters
    ----------
    name : of the contestant.
    method : with its settings, the learning rate among them.
    n_steps : of the whole schedule: a short run warms up and anneals as a long one does.
    repeat : number of the split and the seed, the same for all contestants: they see the same batches.
    max_seconds : of its training, which then has fewer steps; None: any number.
    """

    name: str
    method: FineTuningMethod
    n_steps: int
    repeat: int
    max_seconds: float | None = None

    @property
    def key(self) -> Key:
        """What tells it from the other trials of a race."""
        return self.name, self.n_steps, self.repeat


@dataclass(frozen=True)
class TrialResult:
    """What a trial came to.

    Parameters
    ----------
    key : of the trial.
    rows : (n_held_out,), positions of the held-out examples.
    losses : (n_held_out,), log-loss in nats after one temperature for all of them, as the contest judges.
    is_right : (n_held_out,).
    learning_rate : the highest.
    seconds : of the whole trial.
    has_diverged : whether the loss or the gradient ceased to be finite.
    is_cut : whether the time ended it before its last step.
    """

    key: Key
    rows: NDArray[np.int64]
    losses: NDArray[np.float32]
    is_right: NDArray[np.bool_]
    learning_rate: float
    seconds: float
    has_diverged: bool = False
    is_cut: bool = False

    @property
    def loss(self) -> float:
        """Mean log-loss."""
        return float(self.losses.mean(dtype=np.float64))


def trial_bed(arena: Arena, *, n_splits: int = 2) -> TrialBed:
    """Return the bed for a race: at most 1,000 examples are held out of each split.

    Where a fold has fewer than 100 examples, a split holds out several, at most two of five: what a race decides by is
    the differences on these examples, and a rate that is best for three fifths of the examples is so for all.

    Parameters
    ----------
    n_splits : of the probe's folds; a validation split is one.
    """
    splits = _splits(arena, n_splits)
    starts = [arena.start if arena.has_valid else arena.start_for(rows) for rows, _ in splits]
    return TrialBed(
        network=arena.network,
        head=arena.head,
        task=arena.task,
        examples=arena.examples,
        n_train=arena.n_train,
        splits=tuple((rows, _some(held_out, seed=arena.seed)) for rows, held_out in splits),
        starts=tuple(starts),
        refit=arena.common["refit"],
        seed=arena.seed,
        where=arena.where,
    )


def _splits(arena: Arena, n_splits: int) -> list[Split]:
    """Return which rows are trained on and which held out: the validation split, or some of the probe's folds."""
    if arena.has_valid:
        return arena.splits(1)
    folds, n_folds = arena.probe.folds, arena.n_folds
    a_split = min(max(1, 2 * n_folds // 5), -(-_WANTED_HELD_OUT * n_folds // max(1, len(folds))))
    found = []
    for number in range(min(n_splits, n_folds // a_split)):
        is_out = (folds >= number * a_split) & (folds < (number + 1) * a_split)
        found.append((arena.with_anchors(np.flatnonzero(~is_out)), np.flatnonzero(is_out)))
    return found


def chance_loss(targets: NDArray[np.integer[Any]]) -> float:
    """Return the loss of knowing nothing but how frequent classes are.

    Parameters
    ----------
    targets : (n,), class numbers; or (n, n_labels), 0 or 1: the mean over labels.

    Examples
    --------
    >>> round(chance_loss(np.array([0, 1, 0, 1])), 3), round(chance_loss(np.array([[1, 0], [0, 0]])), 3)
    (0.693, 0.347)
    """
    if targets.ndim == 2:
        shares = np.clip(targets.mean(axis=0), 1e-12, 1 - 1e-12)
        return float(-(shares * np.log(shares) + (1 - shares) * np.log1p(-shares)).mean())
    counts = np.bincount(targets)
    shares = counts[counts > 0] / len(targets)
    return float(-(shares * np.log(shares)).sum())


def with_rate(method: FineTuningMethod, rate: float | None) -> FineTuningMethod:
    """Return the method with another learning rate in its settings; None: its prior."""
    changed: Any = method
    return replace(changed, settings=replace(method.settings, learning_rate=rate))


def run_trial(bed: TrialBed, trial: Trial) -> TrialResult:
    """Return what held-out examples say of a run; one that comes apart is a result, not an error."""
    began = time.perf_counter()
    rate = planned_rate(trial.method, bed.network)
    number = trial.repeat % len(bed.splits)
    rows, held_out = bed.splits[number]
    where = replace(bed.where, checkpoint_every_s=None, resume=False, console=None)
    if getattr(trial.method, "is_cached", False):
        where = where.inside(f"activations/{trial.name}-{number + 1}")
    else:
        where = replace(where, folder=None)
    is_cut = False
    try:
        done = fine_tune(
            trial.method,
            bed.network,
            head=bed.head,
            start=bed.starts[number],
            task=bed.task,
            examples=bed.examples,
            rows=rows,
            n_steps=trial.n_steps,
            max_seconds=trial.max_seconds,
            refit=bed.refit,
            seed=derive_seed(bed.seed, "trial", trial.repeat),
            where=where,
        )
        is_cut = done.training.ended_by == "time"
        weights = done.network.state_dict()
        logits = logits_with(
            bed.network, weights, held_out, task=bed.task, examples=bed.examples, where=bed.where
        )  # fmt: skip
    except DivergedError:
        logits = np.full((len(held_out), bed.examples.n_classes), np.nan, np.float32)
    losses, is_right = _scored(logits, bed.examples.targets[held_out])
    return TrialResult(
        key=trial.key,
        rows=np.asarray(held_out),
        losses=losses,
        is_right=is_right,
        learning_rate=rate,
        seconds=time.perf_counter() - began,
        has_diverged=not np.isfinite(logits).all(),
        is_cut=is_cut,
    )


def _scored(
    logits: NDArray[np.float32], targets: NDArray[np.integer[Any]]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Return log-loss after one temperature, and whether the answer is right, by example."""
    n = len(targets)
    if not np.isfinite(logits).all():
        return np.full(n, DIVERGED_LOSS, np.float32), np.zeros(n, bool)
    ids, names = [str(i) for i in range(n)], tuple(map(str, range(logits.shape[1])))
    found: Predictions | MultiLabelPredictions
    if targets.ndim == 2:
        centre = prior_log_odds(targets)
        calibrated = tempered(logits, fit_prior_temperature(logits, targets, centre=centre), centre=centre)
        found = MultiLabelPredictions(ids, np.asarray(targets, np.uint8), calibrated, names, "held_out")
    else:
        calibrated = tempered(logits, fit_temperature(logits, targets))
        found = Predictions(ids, targets, calibrated, names, "held_out")
    losses = np.minimum(log_losses_of(found), DIVERGED_LOSS)
    return losses.astype(np.float32), np.asarray(found.is_correct, dtype=bool)


def _some(rows: NDArray[np.int64], *, seed: int) -> NDArray[np.int64]:
    if len(rows) <= _MOST_HELD_OUT:
        return rows
    return np.sort(generator(seed, "held out of trials").permutation(rows)[:_MOST_HELD_OUT])
