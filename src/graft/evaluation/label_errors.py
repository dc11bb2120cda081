"""Which labels are probably wrong: confident learning on predictions of examples that the model had not seen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from graft.core.types import MultiLabelPredictions, Predictions

__all__ = ["LabelErrors", "find_label_errors"]


@dataclass(frozen=True)
class LabelErrors:
    """Labels in the order in which they are worth a look.

    Parameters
    ----------
    ranked : (n,), all examples with a known label, the likeliest error first.
    margin : (n,), in that order: probability of the given label less that of the likeliest other one, -1 to 1.
        With several labels an example: the least over its labels of what is given less its opposite.
    suggested : (n,), in that order: the likeliest other class; with several labels, the number of the doubtful label.
    n_likely : how many the model contradicts as confidently as it is used to of that class: likely errors; they are the
        first ones in the order.
    """

    ranked: NDArray[np.int64]
    margin: NDArray[np.float64]
    suggested: NDArray[np.int64]
    n_likely: int

    @property
    def likely(self) -> NDArray[np.int64]:
        """Rows of the likely errors, the likeliest first."""
        return self.ranked[: self.n_likely]


def find_label_errors(predictions: Predictions | MultiLabelPredictions) -> LabelErrors:
    """Return the labels of `predictions`, ranked by how much the model contradicts them.

    Parameters
    ----------
    predictions : of examples that the model had not seen, out of fold for example; else it has learned the errors.

    Notes
    -----
    A label is a likely error when another class reaches the probability that it has on average among its own examples,
    and is the likeliest that does. The count of such labels is the off-diagonal part of the confident joint; within
    them the normalised margin ranks.

    References
    ----------
    Northcutt, Jiang & Chuang, Confident learning: estimating uncertainty in dataset labels, 2021, equation 1 and
    section 3.2 (prune by noise rate, normalised margin).

    Examples
    --------
    >>> logits = np.log([[0.9, 0.1]] * 4 + [[0.2, 0.8]] * 4)
    >>> p = Predictions([*"abcdefgh"], np.array([0, 0, 0, 1, 1, 1, 1, 1]), logits, ("cat", "dog"))
    >>> found = find_label_errors(p)
    >>> found.likely.tolist(), found.suggested[0]
    ([3], np.int64(0))
    """
    if isinstance(predictions, MultiLabelPredictions):
        return _of_label_sets(predictions)
    known = np.flatnonzero(predictions.targets >= 0)
    p, targets = predictions.probabilities[known], predictions.targets[known]
    n_classes, rows = p.shape[1], np.arange(len(known))
    counts = np.bincount(targets, minlength=n_classes)
    own = p[rows, targets]
    usual = np.where(counts > 0, np.bincount(targets, own, minlength=n_classes) / np.maximum(counts, 1), np.inf)
    others = p.copy()
    others[rows, targets] = -1
    suggested = others.argmax(axis=1)
    margin = own - others[rows, suggested]
    confident = np.where(p >= usual, p, -1)
    best = confident.argmax(axis=1)
    is_likely = (confident[rows, best] >= 0) & (best != targets)
    return _in_order(known, margin, suggested, is_likely)


def _of_label_sets(predictions: MultiLabelPredictions) -> LabelErrors:
    known = np.flatnonzero(predictions.is_known)
    p, targets = predictions.probabilities[known], predictions.targets[known] == 1
    agreement = np.where(targets, p, 1 - p)  # probability of what is given
    usual = np.zeros((2, p.shape[1]))
    for value in (0, 1):
        inside = targets == bool(value)
        usual[value] = (agreement * inside).sum(axis=0) / np.maximum(inside.sum(axis=0), 1)
        usual[value][~inside.any(axis=0)] = np.inf
    is_contradicted = (1 - agreement) >= np.where(targets, usual[0], usual[1])
    is_contradicted &= agreement < 0.5
    margin = 2 * agreement - 1
    suggested = np.where(is_contradicted, margin, margin + 2).argmin(axis=1)
    return _in_order(known, margin[np.arange(len(known)), suggested], suggested, is_contradicted.any(axis=1))


def _in_order(
    known: NDArray[np.int64], margin: NDArray[np.float64], suggested: NDArray[np.int64], is_likely: NDArray[np.bool_]
) -> LabelErrors:
    order = np.lexsort([margin, ~is_likely])
    return LabelErrors(known[order], margin[order], suggested[order], int(is_likely.sum()))
