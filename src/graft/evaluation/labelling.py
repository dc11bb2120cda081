"""Which unlabelled examples to label next: those that the model is unsure of, and that differ from each other."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from graft.core.errors import DataError

__all__ = ["next_to_label", "uncertainty", "uncertainty_of_sets"]


def uncertainty(probabilities: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Return how unsure the model is of each example: 1 less the lead of the likeliest class over the next, 0 to 1.

    Parameters
    ----------
    probabilities : (n_examples, n_classes).

    Examples
    --------
    >>> uncertainty(np.array([[0.9, 0.1], [0.5, 0.5]])).round(2)
    array([0.2, 1. ])
    """
    top = -np.partition(-np.asarray(probabilities, dtype=np.float64), 1, axis=1)[:, :2]
    return np.asarray(1 - (top[:, 0] - top[:, 1]))


def uncertainty_of_sets(probabilities: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Return how unsure the model is of each set of labels: the chance that the likeliest one is not it, 0 to 1.

    Parameters
    ----------
    probabilities : (n_examples, n_labels), of each label; labels are taken for independent.

    Examples
    --------
    >>> uncertainty_of_sets(np.array([[0.9, 0.1], [0.5, 1.0]])).round(2)
    array([0.19, 0.5 ])
    """
    p = np.asarray(probabilities, dtype=np.float64)
    return np.asarray(1 - np.maximum(p, 1 - p).prod(axis=1))


def next_to_label(
    probabilities: NDArray[np.floating[Any]],
    features: NDArray[np.floating[Any]],
    *,
    n: int = 50,
    labelled: NDArray[np.floating[Any]] | None = None,
    is_multi_label: bool = False,
) -> NDArray[np.int64]:
    """Return the examples to label next, the most useful first.

    Parameters
    ----------
    probabilities : (n_examples, n_classes), of the unlabelled examples; at least two classes.
    features : (n_examples, n_features), of the same ones.
    n : how many; no more than there are.
    labelled : (n_labelled, n_features), examples that are labelled already, to keep away from; None: not known.
    is_multi_label : the probabilities are (n_examples, n_labels) of any number of labels each; one label serves.

    Returns
    -------
    NDArray
        (n,), positions.

    Raises
    ------
    DataError
        When the two are of different examples, or there are fewer than two classes.

    Notes
    -----
    One after the other the example is taken whose uncertainty times distance to the nearest taken or labelled one (by
    cosine) is the largest. So copies are not asked for twice, and what the model is sure of is not asked for at all.

    References
    ----------
    Sener and Savarese 2018, Active learning for convolutional neural networks (greedy k-centre), weighted here by the
    margin.

    Examples
    --------
    >>> x = np.array([[1.0, 0.0], [1.0, 0.001], [0.0, 1.0], [1.0, 1.0]])
    >>> next_to_label(np.array([[0.5, 0.5], [0.5, 0.5], [0.55, 0.45], [1.0, 0.0]]), x, n=2)
    array([0, 2])
    """
    p, x = np.asarray(probabilities), np.asarray(features, dtype=np.float32)
    if p.ndim != 2 or p.shape[1] < (1 if is_multi_label else 2) or len(p) != len(x):
        raise DataError(
            f"probabilities {p.shape} and features {x.shape}", expected="of the same examples, two classes or more"
        )
    unsure = uncertainty_of_sets(p) if is_multi_label else uncertainty(p)
    x = _unit(x)
    nearest = np.full(len(x), 2.0)
    if labelled is not None and len(labelled):
        known = _unit(np.asarray(labelled, dtype=np.float32))
        for start in range(0, len(x), 1024):
            nearest[start : start + 1024] = 1 - (x[start : start + 1024] @ known.T).max(axis=1)
    taken = np.zeros(len(x), dtype=bool)
    found = []
    for _ in range(min(n, len(x))):
        worth = np.where(taken, -np.inf, (unsure + 1e-9) * (np.maximum(nearest, 0.0) + 1e-9))
        best = int(worth.argmax())
        found.append(best)
        taken[best] = True
        nearest = np.minimum(nearest, 1 - x @ x[best])
    return np.array(found, dtype=np.int64)


def _unit(x: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12), dtype=np.float32)
