"""Classes of unequal size: whether they are, and what is then said and shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from graft.core.errors import DataError
from graft.core.text import counted
from graft.evaluation.distributions import chi_squared_uniform

__all__ = ["LEAST_RATIO", "Imbalance", "imbalance_of"]

LEAST_RATIO: Final = 3.0
"""Largest over smallest class from which on classes count as unequal.

At 3 to 1 an answer that never changes is right three times in four, which sounds like skill, and a class that is never
recognised costs the accuracy less than a third of what it costs the mean over classes.
"""
_ALPHA = 0.01  # of the test that the sizes are more unequal than a draw from equal classes would be


@dataclass(frozen=True)
class Imbalance:
    """How unequal the classes of a training set are.

    Parameters
    ----------
    ratio : examples of the largest class over those of the smallest.
    largest, smallest : their names and numbers of examples.
    n_classes : classes with at least one example.
    n_effective : number of equally large classes that would be as hard to guess, from 1 to `n_classes`.
    p_value : of so unequal sizes in a draw from equally frequent classes.
    """

    ratio: float
    largest: tuple[str, int]
    smallest: tuple[str, int]
    n_classes: int
    n_effective: float
    p_value: float

    @property
    def is_imbalanced(self) -> bool:
        """Whether the ratio is at least 3, and not what chance makes of equal classes."""
        return self.ratio >= LEAST_RATIO and self.p_value < _ALPHA

    @property
    def headline(self) -> str:
        """Name of the figure that leads: macro_f1 where classes are unequal, else accuracy."""
        return "macro_f1" if self.is_imbalanced else "accuracy"

    def sentence(self, *, noun: str = "example") -> str:
        """Return what is to be said of it; `noun` is what one example is called.

        Examples
        --------
        >>> imbalance_of(np.array([90, 10]), ("no", "yes")).sentence(noun="text")
        "the classes are unequal: 90 texts of 'no', 10 of 'yes' (9 to 1); macro-F1 leads, in which both weigh alike"
        """
        if self.largest[1] == self.smallest[1]:
            return f"all {self.n_classes} classes have {counted(self.largest[1], noun)}"
        both = (
            f"{counted(self.largest[1], noun)} of '{self.largest[0]}', {self.smallest[1]:,} of '{self.smallest[0]}'"
            f" ({self.ratio:.3g} to 1)"
        )
        if not self.is_imbalanced:
            return f"the classes are about equally large: {both}"
        alike = "both weigh alike" if self.n_classes == 2 else f"all {self.n_classes} weigh alike"
        return f"the classes are unequal: {both}; macro-F1 leads, in which {alike}"

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "is_imbalanced": self.is_imbalanced,
            "ratio": self.ratio,
            "largest": {"label": self.largest[0], "n": self.largest[1]},
            "smallest": {"label": self.smallest[0], "n": self.smallest[1]},
            "n_classes": self.n_classes,
            "n_effective": self.n_effective,
            "p_value": self.p_value,
        }


def imbalance_of(counts: NDArray[np.integer[Any]], label_names: Sequence[str]) -> Imbalance:
    """Return how unequal classes of these sizes are.

    Parameters
    ----------
    counts : (n_classes,), examples of each class; classes without any do not count.
    label_names : n_classes names.

    Raises
    ------
    DataError
        When no class has an example.

    References
    ----------
    Hill 1973, Diversity and evenness, for the effective number: the exponential of the shares' entropy.

    Notes
    -----
    The ratio alone would call ten classes of about ten examples each unequal four times in ten, when they were drawn
    from equally frequent ones; so the sizes must also differ from equal ones by Pearson's chi-squared test at 1 %.

    Examples
    --------
    >>> found = imbalance_of(np.array([60, 30, 10]), ("a", "b", "c"))
    >>> found.ratio, round(found.n_effective, 2), found.is_imbalanced, found.headline
    (6.0, 2.45, True, 'macro_f1')
    >>> imbalance_of(np.array([6, 2]), ("a", "b")).is_imbalanced
    False
    """
    present = [(name, int(n)) for name, n in zip(label_names, counts, strict=True) if n > 0]
    if not present:
        raise DataError("no class has an example", expected="labelled examples")
    sizes = np.array([n for _, n in present], dtype=np.float64)
    shares = sizes / sizes.sum()
    return Imbalance(
        ratio=float(sizes.max() / sizes.min()),
        largest=present[int(sizes.argmax())],
        smallest=present[int(sizes.argmin())],
        n_classes=len(present),
        n_effective=float(np.exp(-(shares * np.log(shares)).sum())),
        p_value=chi_squared_uniform(sizes) if len(present) > 1 else 1.0,
    )
