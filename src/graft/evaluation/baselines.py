"""Baselines that need no model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from graft.core.types import UNKNOWN, MultiLabelPredictions, Predictions

__all__ = ["BASELINE_WORDS", "frequency_baseline", "majority_baseline"]

BASELINE_WORDS: Final = {
    "majority": "always answering the most frequent class",
    "prior": "knowing how often each label occurs and nothing else",
    "zero-shot": "the nearest label name, without any labelled example",
    "knn": "nearest neighbours on the same features",
    "probe": "the frozen network with a new head",
    "pixel_knn": "nearest neighbours on the pixels",
    "from_scratch": "the same network trained from scratch",
    "from_scratch_plain": "the same network trained from scratch on undistorted pictures",
    "scratch": "the same network trained from scratch",
    "base-zero-shot": "the base model as it was",
    "base-few-shot": "the base model with examples in its prompt",
}
"""What the baselines are called within a sentence."""


def majority_baseline(
    train_targets: NDArray[np.integer[Any]],
    ids: Sequence[str],
    targets: NDArray[np.integer[Any]],
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


def frequency_baseline(
    train_targets: NDArray[np.integer[Any]],
    ids: Sequence[str],
    targets: NDArray[np.integer[Any]],
    *,
    label_names: tuple[str, ...],
    split: str = "test",
) -> MultiLabelPredictions:
    """Return predictions that know how often each label is in the training data and nothing else.

    Parameters
    ----------
    train_targets : (n_train, n_labels), 0 or 1; rows that are not known do not count.
    ids, targets : of the n_examples to predict.
    label_names : n_labels names.
    split : which split `ids` come from.

    References
    ----------
    Lipton, Elkan and Naryanaswamy 2014, Optimal thresholding of classifiers to maximize F1 measure, section 5: without
    any knowledge F1 is largest where every label is always given, so that is what these predictions do.

    Examples
    --------
    >>> known = np.array([[1, 0], [1, 1], [0, 0]], np.uint8)
    >>> p = frequency_baseline(known, ["a"], np.array([[1, 0]], np.uint8), label_names=("cat", "dog"))
    >>> p.probabilities.round(3), p.predicted
    (array([[0.625, 0.375]]), array([[1, 1]], dtype=uint8))
    """
    targets_known = train_targets[(train_targets != UNKNOWN).all(axis=1)].astype(np.float64)
    shares = (targets_known.sum(axis=0) + 0.5) / (len(targets_known) + 1)
    logits = np.tile(np.log(shares) - np.log1p(-shares), (len(ids), 1))
    return MultiLabelPredictions(ids, np.asarray(targets, np.uint8), logits, label_names, split, thresholds=shares / 2)
