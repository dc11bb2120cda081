"""What contests and trials are held in: the network with the probe's head, and the examples that judge its runs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from graft.methods.head_only import HeadFit, refit_head
from graft.methods.kept_network import logits_with
from graft.methods.weights import Weights
from graft.methods.where import Where
from graft.tasks.base import Task
from graft.training.examples import TrainingExamples

__all__ = ["Arena", "Split", "Start"]

Start = tuple[NDArray[np.float32], NDArray[np.float32]]
Split = tuple[NDArray[np.int64], NDArray[np.int64]]


@dataclass(frozen=True, kw_only=True)
class Arena:
    """What all runs of a job have in common, whichever method they are of.

    Parameters
    ----------
    network : pretrained, its head already the probe's.
    head : dotted name of its last linear layer.
    probe : the head that the solver fitted, with its folds.
    features : (n_train, n_features), plain views of the training examples.
    examples : the training examples first, then, where there is a validation split, its examples, then the anchors.
    n_train : number of the training examples.
    valid_logits : (n_valid, n_classes), the probe's of the validation split: it is then the judge; None: folds are.
    anchors : (n_anchors, n_features), of the examples at the end that every run is trained on and none is judged by,
        as the probe was; None: there are none.
    seed : of all runs.
    where : they compute.
    """

    network: nn.Module
    head: str
    probe: HeadFit
    features: NDArray[np.float32]
    task: Task
    examples: TrainingExamples
    n_train: int
    valid_logits: NDArray[np.float32] | None = None
    anchors: NDArray[np.float32] | None = None
    seed: int = 0
    where: Where

    @property
    def has_valid(self) -> bool:
        """Whether a validation split judges."""
        return self.valid_logits is not None

    @property
    def n_folds(self) -> int:
        """Folds of the probe."""
        return int(self.probe.folds.max()) + 1

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

    def logits(self, weights: Weights, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return what the network says of `rows` with other weights: (n_rows, n_classes)."""
        return logits_with(self.network, weights, rows, task=self.task, examples=self.examples, where=self.where)
