"""Baselines that need no model."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from graft.core.types import Predictions

__all__ = ["majority_baseline"]


def majority_baseline(
    train_targets: NDArray[np.int64],
    ids: Sequence[str],
    targets: NDArray[np.int64],
    *,
    label_names: tuple[str, ...],
    split: str = "test",
) -> Predictions:
    """Return predictions that know the class frequencies of the training data and nothing else.

    Parameters
    ----------
    train_targets : (n_train,), class indices; -1 where not known, which does not count.
    ids, targets : of the n_examples to predict.
    label_names : n_classes names.
    split : which split `ids` come from.

    Notes
    -----
    One more example, spread evenly over the classes, is counted, so that a class without training examples does not
    make the log-loss infinite.

    Examples
    --------
    >>> p = majority_baseline(np.array([0, 1, 1]), ["a"], np.array([0]), label_names=("cat", "dog"))
    >>> p.probabilities.round(3)
    array([[0.375, 0.625]])
    """
    known = np.asarray(train_targets)[np.asarray(train_targets) >= 0]
    counts = np.bincount(known, minlength=len(label_names)) + 1 / len(label_names)
    logits = np.tile(np.log(counts / counts.sum()), (len(ids), 1))
    return Predictions(ids, np.asarray(targets, dtype=np.int64), logits, label_names, split)
