"""Which labels are probably wrong: confident learning on predictions of examples that the model had not seen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from graft.core.types import MultiLabelPredictions, Predictions

__all__ = ["LEAST_SKILL", "LabelErrors", "find_label_errors", "skill_over_guessing"]

LEAST_SKILL: Final = 0.5
"""A model that is spared less than half of a guess's mistakes makes too many itself to be asked about the labels."""


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
        first ones in the order. None where the model is too weak.
    skill : see `skill_over_guessing`.
    """

    ranked: NDArray[np.int64]
    margin: NDArray[np.float64]
    suggested: NDArray[np.int64]
    n_likely: int
    skill: float = 1.0

    @property
    def is_too_weak(self) -> bool:
        """Whether the model is too weak to judge labels: what it contradicts is mostly its own mistakes."""
        return self.skill < LEAST_SKILL

    @property
    def likely(self) -> NDArray[np.int64]:
        """Rows of the likely errors, the likeliest first."""
        return self.ranked[: self.n_likely]


def skill_over_guessing(predictions: Predictions | MultiLabelPredictions) -> float:
    """Return the share of a guess's mistakes that the model is spared: 1 where it makes none, 0 where as many.

    The guess gives all examples the most frequent class; with several labels, of each what more examples have.

    Examples
    --------
    >>> p = Predictions([*"abcd"], np.array([0, 0, 1, 1]), np.log([[0.9, 0.1]] * 3 + [[0.2, 0.8]]), ("cat", "dog"))
    >>> skill_over_guessing(p)
    0.5
    """
    if isinstance(predictions, MultiLabelPredictions):
        given = predictions.targets[predictions.is_known] == 1
        said = predictions.probabilities[predictions.is_known] >= 0.5
        guess, own = int(np.minimum(given.sum(axis=0), (~given).sum(axis=0)).sum()), int((said != given).sum())
    else:
        is_known = predictions.targets >= 0
        targets = predictions.targets[is_known]
        guess = len(targets) - int(np.bincount(targets).max(initial=0))
        own = int((predictions.predicted[is_known] != targets).sum())
    return 1 - own / guess if guess else 0.0


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

    A weak model is used to little confidence, and contradicts half of all clean labels by that rule. So the other class
    must also lead by one less the model's skill, and below a skill of one half no label is called an error.

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
    return _in_order(known, margin, suggested, is_likely, skill=skill_over_guessing(predictions))


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
    own, skill = margin[np.arange(len(known)), suggested], skill_over_guessing(predictions)
    return _in_order(known, own, suggested, is_contradicted.any(axis=1), skill=skill)


def _in_order(
    known: NDArray[np.int64],
    margin: NDArray[np.float64],
    suggested: NDArray[np.int64],
    is_likely: NDArray[np.bool_],
    *,
    skill: float,
) -> LabelErrors:
    is_likely = is_likely & (margin <= skill - 1) & (skill >= LEAST_SKILL)
    order = np.lexsort([margin, ~is_likely])
    return LabelErrors(known[order], margin[order], suggested[order], int(is_likely.sum()), skill)
