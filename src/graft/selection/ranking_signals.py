"""What cached features of one pretrained model tell of it: the signals that a ranking is made of."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from graft.core.types import Estimate
from graft.evaluation.intervals import NoInterval, proportion
from graft.evaluation.metrics import mean_estimates
from graft.methods.head_only import HeadOnly
from graft.methods.nearest_neighbours import nearest_neighbour_label_sets, nearest_neighbour_predictions
from graft.selection.transferability import h_score, log_evidence, one_hot

__all__ = ["Signals", "measure_signals"]

_NEIGHBOURS: Final = 0.25  # their share of a score (docs/decisions/023)
_PENALTIES: Final = 8
_TOLERANCE: Final = 1e-2  # moves the mean losses by a hundredth of themselves, for half the time


@dataclass(frozen=True)
class Signals:
    """How one candidate's frozen features do on some labelled examples; nothing of it comes from the test split.

    Parameters
    ----------
    log_loss, accuracy : out of fold, of the penalised head on the frozen features. Of label sets the mean over
        examples, and the share of examples whose labels are all right.
    knn_accuracy : of the nearest neighbours in the other folds.
    log_evidence : LogME, for information.
    h_score : for information; None where an example may have several labels.
    losses, is_right : (n_examples,), of the head, out of fold: what paired tests are made of.
    knn_losses : (n_examples,), log-loss of the neighbours.
    chance_log_loss : mean log-loss of the classes' shares, which a score is measured against.
    seconds : that head, neighbours and the rest took.
    """

    log_loss: Estimate | NoInterval
    accuracy: Estimate | NoInterval
    knn_accuracy: float
    log_evidence: float
    h_score: float | None
    losses: NDArray[np.float64]
    is_right: NDArray[np.bool_]
    knn_losses: NDArray[np.float64]
    chance_log_loss: float
    seconds: float

    @property
    def n(self) -> int:
        """Examples."""
        return len(self.losses)

    @property
    def loss_share(self) -> float:
        """Log-loss of the head as a share of what the classes' shares alone leave: 0 is perfect, 1 is chance."""
        return float(self.losses.mean()) / max(self.chance_log_loss, 1e-12)

    @property
    def knn_loss_share(self) -> float:
        """The same of the nearest neighbours."""
        return self.knn_log_loss / max(self.chance_log_loss, 1e-12)

    @property
    def knn_log_loss(self) -> float:
        """Mean log-loss of the nearest neighbours."""
        return float(self.knn_losses.mean())

    @property
    def both(self) -> NDArray[np.float64]:
        """(n_examples,), three quarters of the head's log-loss and a quarter of the neighbours', over chance."""
        mixed = (1 - _NEIGHBOURS) * self.losses + _NEIGHBOURS * self.knn_losses
        return np.asarray(mixed / max(self.chance_log_loss, 1e-12))

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "n": self.n,
            "log_loss": self.log_loss.as_dict(),
            "accuracy": self.accuracy.as_dict(),
            "knn_log_loss": self.knn_log_loss,
            "knn_accuracy": self.knn_accuracy,
            "log_evidence": _finite(self.log_evidence),
            "h_score": _finite(self.h_score),
            "loss_share": self.loss_share,
            "knn_loss_share": self.knn_loss_share,
        }


def measure_signals(
    features: NDArray[np.float32],
    targets: NDArray[np.integer[Any]],
    *,
    n_classes: int,
    groups: NDArray[np.int64] | None = None,
    scalings: tuple[str, ...] = ("z-score",),
    n_folds: int = 5,
    seed: int = 0,
) -> Signals:
    """Return the signals of features. The folds depend on targets, groups and seed alone: candidates are paired.

    Parameters
    ----------
    features : (n_examples, n_features).
    targets : (n_examples,), class numbers, each class with two examples at least; or (n_examples, n_labels), 0 or 1.
    groups : (n_examples,), examples that share a fold; None: no groups.
    scalings : that the head may choose from; the first that a linear head can carry is taken.
    """
    started = time.perf_counter()
    linear = tuple(name for name in scalings if name != "unit-norm")[:1] or scalings[:1]
    method = HeadOnly(
        n_folds=n_folds, scalings=linear, n_penalties=_PENALTIES, tolerance=_TOLERANCE, path_tolerance=_TOLERANCE
    )
    head = method.fit(features, targets, n_classes=n_classes, groups=groups, seed=seed)
    losses, is_right = _losses(head.out_of_fold_logits, targets)
    neighbours = _neighbours(features, targets, head.folds, n_classes=n_classes)
    knn_losses, knn_right = _losses(neighbours, targets)
    columns = one_hot(targets, n_classes=n_classes)
    return Signals(
        log_loss=mean_estimates({"": losses}, seed=seed)[""],
        accuracy=proportion(int(is_right.sum()), len(is_right)),
        knn_accuracy=float(knn_right.mean()),
        log_evidence=log_evidence(features, columns),
        h_score=None if targets.ndim == 2 else h_score(features, targets, n_classes=n_classes),
        losses=losses,
        is_right=is_right,
        knn_losses=knn_losses,
        chance_log_loss=_chance(columns, is_multi_label=targets.ndim == 2),
        seconds=time.perf_counter() - started,
    )


def _neighbours(
    features: NDArray[np.float32], targets: NDArray[np.integer[Any]], folds: NDArray[np.int64], *, n_classes: int
) -> NDArray[np.float64]:
    """Return the logits that the nearest neighbours in the other folds give, (n_examples, n_classes)."""
    find = nearest_neighbour_label_sets if targets.ndim == 2 else nearest_neighbour_predictions
    names = tuple(map(str, range(n_classes)))
    logits = np.zeros((len(targets), n_classes))
    for fold in np.unique(folds):
        inside = folds == fold
        rows = np.flatnonzero(inside)
        logits[rows] = find(
            features[~inside], targets[~inside], features[rows],
            ids=[str(row) for row in rows], targets=targets[rows], label_names=names, split="out_of_fold",
        ).logits  # fmt: skip
    return logits


def _losses(
    logits: NDArray[np.floating[Any]], targets: NDArray[np.integer[Any]]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return log-loss (of label sets the mean over labels) and whether all is right, example by example."""
    z = logits.astype(np.float64)
    if targets.ndim == 2:
        return np.logaddexp(0, np.where(targets == 1, -z, z)).mean(axis=1), ((z > 0) == (targets == 1)).all(axis=1)
    z = z - z.max(axis=1, keepdims=True)
    return np.log(np.exp(z).sum(axis=1)) - z[np.arange(len(z)), targets], z.argmax(axis=1) == targets


def _finite(value: float | None) -> float | None:
    """Return the value, and None where it is not defined, as of features that are all equal."""
    return value if value is not None and np.isfinite(value) else None


def _chance(columns: NDArray[np.float64], *, is_multi_label: bool) -> float:
    """Return the mean log-loss of saying the classes' shares of every example."""
    shares = np.clip(columns.mean(axis=0), 1e-12, 1 - 1e-12)
    if is_multi_label:
        return float(-(shares * np.log(shares) + (1 - shares) * np.log1p(-shares)).mean())
    return float(-(shares * np.log(shares)).sum())
