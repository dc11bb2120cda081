"""Which of several ways of pooling a head reads best: by cross-validation on the same folds."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from graft.methods.head_only import HeadOnly

__all__ = ["choose_block"]

_FOLDS: Final = 3
_PENALTIES: Final = 6
_TOLERANCE: Final = 1e-2  # moves the mean losses by a hundredth of themselves, for half the time


def choose_block(
    matrix: NDArray[np.float32],
    targets: NDArray[np.integer[Any]],
    *,
    n_blocks: int,
    n_classes: int,
    groups: NDArray[np.int64] | None = None,
    scalings: tuple[str, ...] = ("z-score",),
    n_folds: int = _FOLDS,
    seed: int = 0,
) -> tuple[int, tuple[float, ...]]:
    """Return the number of the block of columns that serves best, and the out-of-fold log-loss of each.

    Parameters
    ----------
    matrix : (n_examples, n_blocks * width), the blocks side by side.
    targets : (n_examples,), class numbers, each class with two examples at least; or (n_examples, n_labels), 0 or 1.
    groups : (n_examples,), examples that share a fold; None: no groups.
    scalings : that the head may choose from; the first is taken.

    Notes
    -----
    The first block stands unless another is better by more than one standard error of the paired difference: what is
    chosen among many flatters itself.
    """
    width = matrix.shape[1] // n_blocks
    method = HeadOnly(
        n_folds=min(n_folds, _FOLDS),
        scalings=scalings[:1],
        n_penalties=_PENALTIES,
        tolerance=_TOLERANCE,
        path_tolerance=_TOLERANCE,
    )
    losses = []
    for number in range(n_blocks):
        own = np.ascontiguousarray(matrix[:, number * width : (number + 1) * width])
        head = method.fit(own, targets, n_classes=n_classes, groups=groups, seed=seed)
        losses.append(_losses(head.out_of_fold_logits, targets))
    means = tuple(float(loss.mean()) for loss in losses)
    for number in np.argsort(means):
        difference = losses[0] - losses[number]
        if number == 0 or difference.mean() > difference.std(ddof=1) / np.sqrt(len(difference)):
            return int(number), means
    return 0, means


def _losses(logits: NDArray[np.float32], targets: NDArray[np.integer[Any]]) -> NDArray[np.float64]:
    z = logits.astype(np.float64)
    if targets.ndim == 2:
        return np.asarray(np.logaddexp(0, np.where(targets == 1, -z, z)).mean(axis=1))
    z = z - z.max(axis=1, keepdims=True)
    return np.log(np.exp(z).sum(axis=1)) - z[np.arange(len(z)), targets]
