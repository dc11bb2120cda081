"""Whether something that should not matter, such as file size or a border's colour, gives the label away."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from graft.evaluation.distributions import hypergeometric_at_least, mid_ranks, normal_above

__all__ = ["LEAST_CLASS_SKILL", "LEAST_SKILL", "Shortcut", "find_shortcuts"]

LEAST_SKILL: Final = 0.3
"""Share of the way from chance to certainty that a trait must come by itself to be called a shortcut.

Honest traits know something of the label: dandelions stand in green, long questions are seldom about PINs. On eight
clean data sets the most telling trait came to 0.15 (docs/experiments.md).
"""
LEAST_CLASS_SKILL: Final = 0.85
"""The same for one class against all others: its share of right answers less the others' share of false alarms."""
_ALPHA = 0.001  # of all traits together
_NEIGHBOURS = 9
_DRAWS = 200
_MOST = 5_000
_LEAST_OF_CLASS = 10


@dataclass(frozen=True)
class Shortcut:
    """How much of the label one trait knows by itself.

    Parameters
    ----------
    name : of the trait.
    accuracy : of the probe, each example judged by others.
    chance : its mean accuracy with shuffled labels.
    p_value : of so high an accuracy, or of so many right answers in that class, by chance; corrected for the number of
        traits and classes (Bonferroni).
    class_number : the class that it tells best from all others.
    class_skill : how well: the share of that class that it finds, less the share of the others that it takes for it.
    """

    name: str
    accuracy: float
    chance: float
    p_value: float
    class_number: int
    class_skill: float

    @property
    def skill(self) -> float:
        """Share of the way from chance to certainty: 0 knows nothing, 1 all."""
        return (self.accuracy - self.chance) / max(1 - self.chance, 1e-9)

    @property
    def is_shortcut(self) -> bool:
        """Whether it gives the label, or one class, away."""
        return self.p_value < _ALPHA and (self.skill >= LEAST_SKILL or self.class_skill >= LEAST_CLASS_SKILL)

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        found = {"name": self.name, "accuracy": self.accuracy, "chance": self.chance, "skill": self.skill}
        found |= {"class_number": self.class_number, "class_skill": self.class_skill}
        return found | {"p_value": self.p_value, "is_shortcut": self.is_shortcut}


def find_shortcuts(
    columns: Sequence[tuple[str, Sequence[int]]],
    values: NDArray[np.floating[Any]],
    targets: NDArray[np.integer[Any]],
    *,
    seed: int = 0,
) -> list[Shortcut]:
    """Return what a probe on each trait alone knows of the label, the most telling trait first.

    Parameters
    ----------
    columns : name of each trait, and the columns of `values` that it is made of.
    values : (n_examples, n_columns); a trait that is the same for all is left out.
    targets : (n_examples,), class numbers. Copies should be left out by the caller: they know each other's label.
    seed : of the shuffles, and of the part that is looked at where there are more than 5,000.

    Notes
    -----
    The probe says what most of the nine nearest other examples say, over ranks of the columns. For its p-value labels
    are shuffled 200 times; the tail is a normal one with their mean and spread: the count of right answers is a sum.
    Of the one class the count of right answers is hypergeometric, as if neighbours were drawn for each anew.

    Examples
    --------
    >>> labels = np.repeat([0, 1], 50)
    >>> sizes = np.where(labels == 1, 2000.0, 1000.0)[:, None]
    >>> [found] = find_shortcuts([("file size", [0])], sizes, labels)
    >>> found.accuracy, found.is_shortcut
    (1.0, True)
    """
    rng = np.random.default_rng(seed)
    if len(targets) > _MOST:
        kept = rng.permutation(len(targets))[:_MOST]
        values, targets = values[kept], targets[kept]
    numbers, classes = np.unique(targets, return_inverse=True)
    n, n_classes = len(classes), int(classes.max(initial=0)) + 1
    found: list[Shortcut] = []
    if n <= _NEIGHBOURS or n_classes < 2:
        return []
    for name, own in columns:
        raw = np.asarray(values[:, list(own)], dtype=np.float64)
        raw = raw[:, np.ptp(raw, axis=0) > 0]
        if not raw.shape[1]:
            continue
        # Equal values lie in random order: else the first in the file would be everyone's neighbour.
        ranks = mid_ranks(raw) / n + rng.uniform(0, 1e-6, raw.shape)
        near = _without_self(np.asarray(cKDTree(ranks).query(ranks, k=_NEIGHBOURS + 1)[1]))
        said = _said(classes, near, n_classes)
        null = np.array([_accuracy(rng.permutation(classes), near, n_classes) for _ in range(_DRAWS)])
        accuracy, chance = float((said == classes).mean()), float(null.mean())
        p_value = float(normal_above((accuracy - chance) / max(float(null.std(ddof=1)), 1e-9)))
        best, class_skill, p_class = _best_class(classes, said, n_classes)
        p_value = 2 * min(p_value, p_class)
        found.append(Shortcut(name, accuracy, chance, p_value, int(numbers[best]), class_skill))
    found = [replace(s, p_value=min(1.0, s.p_value * len(found))) for s in found]
    return sorted(found, key=lambda s: -s.skill)


def _best_class(
    classes: NDArray[np.integer[Any]], said: NDArray[np.integer[Any]], n_classes: int
) -> tuple[int, float, float]:
    """Return the class that the answers tell best from all others, its skill, and the p-value of its right answers."""
    counts = np.bincount(classes, minlength=n_classes)
    right = np.bincount(classes[said == classes], minlength=n_classes)
    given = np.bincount(said, minlength=n_classes)
    skill = right / np.maximum(counts, 1) - (given - right) / np.maximum(len(classes) - counts, 1)
    skill[counts < _LEAST_OF_CLASS] = -1
    best = int(skill.argmax())
    p_value = hypergeometric_at_least(int(right[best]), len(classes), int(counts[best]), int(given[best]))
    return best, float(skill.max()), min(1.0, p_value * n_classes)


def _without_self(near: NDArray[np.integer[Any]]) -> NDArray[np.integer[Any]]:
    """Return each row without its own number; where it is not in it, without the last."""
    is_self = near == np.arange(len(near))[:, None]
    is_self[~is_self.any(axis=1), -1] = True
    return near[~is_self].reshape(len(near), -1)


def _accuracy(classes: NDArray[np.integer[Any]], near: NDArray[np.integer[Any]], n_classes: int) -> float:
    return float((_said(classes, near, n_classes) == classes).mean())


def _said(classes: NDArray[np.integer[Any]], near: NDArray[np.integer[Any]], n_classes: int) -> NDArray[np.int64]:
    """Return what most of the neighbours are."""
    votes = np.zeros((len(classes), n_classes), np.int16)
    rows = np.arange(len(classes))
    for column in near.T:
        votes[rows, classes[column]] += 1
    return np.asarray(votes.argmax(axis=1), dtype=np.int64)
