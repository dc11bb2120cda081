"""Word and character errors: the cheapest way from what was said to what was heard, counted and shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Edit", "ErrorCounts", "align", "character_errors", "count_errors", "word_errors"]

_ERROR = 1 << 20  # an error; a substitution costs one more, so that words heard right are found as such


@dataclass(frozen=True)
class Edit:
    """One step of an alignment.

    Parameters
    ----------
    kind : ``"same"``, ``"substituted"``, ``"deleted"`` (said, not heard) or ``"inserted"`` (heard, not said).
    said, heard : the words; empty where there is none.
    """

    kind: str
    said: str
    heard: str


@dataclass(frozen=True)
class ErrorCounts:
    """Errors by kind.

    Parameters
    ----------
    n : words (or characters) that were said.
    """

    n: int
    substituted: int
    deleted: int
    inserted: int

    @property
    def errors(self) -> int:
        """All errors."""
        return self.substituted + self.deleted + self.inserted

    @property
    def rate(self) -> float:
        """Errors by what was said; may be above 1. Where nothing was said: 0, or infinite with something heard."""
        return self.errors / self.n if self.n else (float("inf") if self.errors else 0.0)

    def __add__(self, other: ErrorCounts) -> ErrorCounts:
        return ErrorCounts(
            self.n + other.n,
            self.substituted + other.substituted,
            self.deleted + other.deleted,
            self.inserted + other.inserted,
        )


def align(said: Sequence[str], heard: Sequence[str]) -> list[Edit]:
    """Return the alignment of two sequences with the fewest errors, from left to right.

    Notes
    -----
    Levenshtein's distance with equal costs; among ways of equal cost one with the most words heard right.

    Examples
    --------
    >>> [(e.kind, e.said, e.heard) for e in align("a b c".split(), "a x c d".split())][1:]
    [('substituted', 'b', 'x'), ('same', 'c', 'c'), ('inserted', '', 'd')]
    """
    cost = _costs(said, heard)
    row, column = len(said), len(heard)
    edits: list[Edit] = []
    while row or column:
        here = cost[row, column]
        is_pair = row > 0 and column > 0
        if is_pair and said[row - 1] == heard[column - 1] and cost[row - 1, column - 1] == here:
            row, column = row - 1, column - 1
            edits.append(Edit("same", said[row], heard[column]))
        elif is_pair and cost[row - 1, column - 1] + _ERROR + 1 == here:
            row, column = row - 1, column - 1
            edits.append(Edit("substituted", said[row], heard[column]))
        elif row and cost[row - 1, column] + _ERROR == here:
            row -= 1
            edits.append(Edit("deleted", said[row], ""))
        else:
            column -= 1
            edits.append(Edit("inserted", "", heard[column]))
    return edits[::-1]


def count_errors(said: Sequence[str], heard: Sequence[str]) -> ErrorCounts:
    """Return the errors of the best alignment."""
    kinds = [edit.kind for edit in align(said, heard)]
    return ErrorCounts(len(said), *(kinds.count(kind) for kind in ("substituted", "deleted", "inserted")))


def word_errors(said: str, heard: str) -> ErrorCounts:
    """Return the errors between words.

    Examples
    --------
    >>> word_errors("one two three", "one too three four").rate
    0.6666666666666666
    """
    return count_errors(said.split(), heard.split())


def character_errors(said: str, heard: str) -> ErrorCounts:
    """Return the errors between characters, blanks among them."""
    return count_errors(said, heard)


def _costs(said: Sequence[str], heard: Sequence[str]) -> NDArray[np.int64]:
    """Return the least cost between all beginnings, (n_said + 1, n_heard + 1): errors first, then substitutions."""
    numbers: dict[str, int] = {}
    a = np.array([numbers.setdefault(x, len(numbers)) for x in said], np.int64)
    b = np.array([numbers.setdefault(x, len(numbers)) for x in heard], np.int64)
    cost = np.zeros((len(a) + 1, len(b) + 1), np.int64)
    steps = _ERROR * np.arange(len(b) + 1)
    cost[0] = steps
    for row in range(1, len(a) + 1):
        best = cost[row - 1] + _ERROR  # deleted
        best[1:] = np.minimum(best[1:], cost[row - 1, :-1] + (_ERROR + 1) * (b != a[row - 1]))
        # Insertions run along the row: the least of best[k] + (column - k) errors over k <= column.
        cost[row] = np.minimum.accumulate(best - steps) + steps
    return cost
