"""Which conversations share a row: best fit, anew for each pass, as a function of the seed and the step alone."""

from __future__ import annotations

import bisect
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graft.core.errors import DataError
from graft.core.seeds import generator

__all__ = ["PackOrder", "best_fit"]


def best_fit(lengths: NDArray[np.integer[Any]], *, capacity: int) -> list[list[int]]:
    """Return which examples go into each row: the longest first, each where it leaves the least room.

    An example longer than the capacity has a row of its own.

    References
    ----------
    Ding et al., Fewer Truncations Improve Language Modeling, 2024, https://arxiv.org/abs/2404.10830, section 3.1.

    Examples
    --------
    >>> best_fit(np.array([3, 5, 2, 6]), capacity=8)
    [[3, 2], [1, 0]]
    """
    rows: list[list[int]] = []
    free: list[tuple[int, int]] = []  # room and row, ascending
    for example in np.argsort(-lengths, kind="stable").tolist():
        length = int(lengths[example])
        place = bisect.bisect_left(free, (length, -1))
        if place == len(free):
            rows.append([example])
            bisect.insort(free, (max(0, capacity - length), len(rows) - 1))
        else:
            room, row = free.pop(place)
            rows[row].append(example)
            bisect.insort(free, (room - length, row))
    return rows


class PackOrder:
    """Endless passes over examples, each packed anew, its rows shuffled and cut into steps of one number of rows.

    Parameters
    ----------
    lengths : (n_examples,), tokens of each.
    capacity : tokens of a row.
    rows_a_step : rows of a step; a step may reach over the end of a pass into the next.
    seed : of all draws.

    Raises
    ------
    DataError
        When there is no example.
    """

    def __init__(self, lengths: NDArray[np.integer[Any]], *, capacity: int, rows_a_step: int, seed: int) -> None:
        if not len(lengths):
            raise DataError("no conversation to train on", expected="at least one")
        self._lengths, self._capacity, self._seed = np.asarray(lengths, np.int64), capacity, seed
        self.rows_a_step = rows_a_step
        self._pass = lru_cache(maxsize=2)(self._pass_of)
        self._ends: list[int] = []  # rows up to the end of each pass so far

    @property
    def n_rows(self) -> int:
        """Rows of the first pass; others differ by a few."""
        return len(self._pass(0))

    def packs(self, step: int) -> list[NDArray[np.int64]]:
        """Return the examples of each row of one step."""
        return [self._row(number) for number in range(step * self.rows_a_step, (step + 1) * self.rows_a_step)]

    def padding(self) -> float:
        """Return the share of the first pass's places that only fill up rows to the longest."""
        filled = [int(self._lengths[row].sum()) for row in self._pass(0)]
        return 1 - sum(filled) / (max(filled) * len(filled))

    def _row(self, number: int) -> NDArray[np.int64]:
        while not self._ends or number >= self._ends[-1]:
            self._ends.append((self._ends[-1] if self._ends else 0) + len(self._pass(len(self._ends))))
        epoch = int(np.searchsorted(self._ends, number, side="right"))
        return self._pass(epoch)[number - (self._ends[epoch - 1] if epoch else 0)]

    def _pass_of(self, epoch: int) -> list[NDArray[np.int64]]:
        random = generator(self._seed, "order", epoch)
        shuffled = random.permutation(len(self._lengths))
        rows = best_fit(self._lengths[shuffled], capacity=self._capacity)
        return [shuffled[np.array(rows[i])] for i in random.permutation(len(rows))]
