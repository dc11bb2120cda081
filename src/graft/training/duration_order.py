"""Which utterances are in which batch: as many as fit a bound of seconds, of like length, in an order of the seed."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graft.core.errors import DataError
from graft.core.seeds import generator

__all__ = ["DurationOrder"]

_POOL = 50  # batches whose utterances are sorted by length together


class DurationOrder:
    """Endless shuffled passes over utterances, cut into batches that are filled up to at most so many samples.

    Each pass is shuffled; the utterances of about 50 batches are sorted by length together and cut into batches, and
    the batches shuffled. A pass ends with its last batch; an utterance above the bound is a batch of its own.

    Parameters
    ----------
    lengths : (n_utterances,), samples of each.
    most : samples of a batch, filled up to its longest.
    seed : of all draws.

    Examples
    --------
    >>> order = DurationOrder(np.array([4, 5, 4, 5]), most=10, seed=0)
    >>> sorted(sorted(order.rows(step).tolist()) for step in range(order.n_batches))
    [[0, 2], [1, 3]]
    """

    def __init__(self, lengths: NDArray[np.integer[Any]], *, most: int, seed: int) -> None:
        if not len(lengths):
            raise DataError("no utterance to train on", expected="at least one")
        self._lengths, self._most, self._seed = np.maximum(np.asarray(lengths, np.int64), 1), most, seed
        self._pass = lru_cache(maxsize=2)(self._pass_of)
        self._ends: list[int] = []  # the step after each pass so far

    @property
    def n_batches(self) -> int:
        """Batches of the first pass; others differ by a few."""
        return len(self._pass(0))

    def rows(self, step: int) -> NDArray[np.int64]:
        """Return the utterances of one step: (n,), at least one."""
        while not self._ends or step >= self._ends[-1]:
            self._ends.append((self._ends[-1] if self._ends else 0) + len(self._pass(len(self._ends))))
        epoch = int(np.searchsorted(self._ends, step, side="right"))
        return self._pass(epoch)[step - (self._ends[epoch - 1] if epoch else 0)]

    def padding(self) -> float:
        """Return the share of the first pass's samples that only fill up."""
        filled = sum(len(rows) * int(self._lengths[rows].max()) for rows in self._pass(0))
        return 1 - float(self._lengths.sum()) / filled

    def _pass_of(self, epoch: int) -> list[NDArray[np.int64]]:
        random = generator(self._seed, "order", epoch)
        shuffled = random.permutation(len(self._lengths))
        pools = np.cumsum(self._lengths[shuffled]) // (_POOL * self._most)
        batches: list[NDArray[np.int64]] = []
        for number in np.unique(pools):
            own = shuffled[pools == number]
            own = own[np.argsort(-self._lengths[own], kind="stable")]
            first = 0
            while first < len(own):
                n = max(1, self._most // int(self._lengths[own[first]]))
                batches.append(own[first : first + n])
                first += n
        return [batches[i] for i in random.permutation(len(batches))]
