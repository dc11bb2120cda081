"""Which examples of unequal length are in which batch: those of like length, in an order that the seed alone gives."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graft.core.errors import DataError, UsageError
from graft.core.seeds import generator

__all__ = ["LengthOrder"]

_POOL = 50  # batches whose examples are sorted by length together


class LengthOrder:
    """Endless shuffled passes over n examples, cut into batches of one size, each of examples of like length.

    Whole passes are shuffled; the examples of every 50 batches are sorted by length, cut into batches, and the batches
    shuffled. So lengths mix over time, and little is padded.

    Parameters
    ----------
    lengths : (n_examples,), tokens of each example.
    batch_size : examples a batch; a pass need not be a multiple of it, the next one goes on in the same batch.
    seed : of all draws.

    Examples
    --------
    >>> lengths = np.array([3, 9, 3, 9, 3, 9])
    >>> order = LengthOrder(lengths, batch_size=3, seed=0)
    >>> sum(len(set(lengths[order.indices(step)])) > 1 for step in range(50))  # of 50 batches one may mix the two
    0
    """

    def __init__(self, lengths: NDArray[np.integer[Any]], *, batch_size: int, seed: int) -> None:
        if not len(lengths):
            raise DataError("no example to train on", expected="at least one")
        if batch_size < 1:
            raise UsageError(f"batch size {batch_size}", expected="at least 1", fix="--batch-size 32 (batch_size=32)")
        self._lengths, self.batch_size, self._seed = np.asarray(lengths), batch_size, seed
        self._pass = lru_cache(maxsize=2)(self._pass_of)
        self._pool = lru_cache(maxsize=2)(self._pool_of)

    def _pass_of(self, epoch: int) -> NDArray[np.int64]:
        return generator(self._seed, "order", epoch).permutation(len(self._lengths))

    def _pool_of(self, number: int) -> NDArray[np.int64]:
        """Return the examples of 50 batches: (50, batch_size)."""
        size = _POOL * self.batch_size
        places = np.arange(number * size, (number + 1) * size)
        epochs, within = np.divmod(places, len(self._lengths))
        drawn = np.concatenate([self._pass(int(e))[within[epochs == e]] for e in np.unique(epochs)])
        by_length = drawn[np.argsort(self._lengths[drawn], kind="stable")].reshape(_POOL, self.batch_size)
        return np.asarray(generator(self._seed, "pool", number).permutation(by_length, axis=0))

    def indices(self, step: int) -> NDArray[np.int64]:
        """Return the examples of one step: (batch_size,)."""
        number, row = divmod(step, _POOL)
        found: NDArray[np.int64] = self._pool(number)[row]
        return found
