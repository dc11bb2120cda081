"""Which examples are in which batch, as a function of the seed and the step alone, so that resuming needs no state."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from graft.core.errors import DataError, UsageError
from graft.core.seeds import generator

__all__ = ["Batches", "ShuffledOrder"]


class Batches(Protocol):
    """Gives the batch of any step; the same step gives the same batch, in this process or in another."""

    def batch(self, step: int) -> Mapping[str, Tensor]:
        """Return the tensors of optimizer step `step`, counted from 0."""
        ...


class ShuffledOrder:
    """Endless shuffled passes over n examples, cut into batches of one size.

    A batch may reach over the end of a pass into the next one: none is short, none dropped, and after any number of
    batches no example was drawn two times more often than another.

    Parameters
    ----------
    n_examples : at least 1.
    batch_size : examples a batch, at least 1; it may exceed `n_examples`.
    seed : of the order of each pass.

    Raises
    ------
    DataError, UsageError
        When there is no example, or the batch is empty.

    Examples
    --------
    >>> order = ShuffledOrder(5, batch_size=2, seed=0)
    >>> sorted(int(i) for step in range(5) for i in order.indices(step))
    [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    """

    def __init__(self, n_examples: int, *, batch_size: int, seed: int) -> None:
        if n_examples < 1:
            raise DataError("no example to train on", expected="at least one")
        if batch_size < 1:
            raise UsageError(f"batch size {batch_size}", expected="at least 1", fix="--batch-size 64 (batch_size=64)")
        self.n_examples, self.batch_size, self.seed = n_examples, batch_size, seed
        self._permutation = lru_cache(maxsize=2)(self._permutation_of)

    def _permutation_of(self, epoch: int) -> NDArray[np.int64]:
        return generator(self.seed, "order", epoch).permutation(self.n_examples)

    def indices(self, step: int) -> NDArray[np.int64]:
        """Return the examples of one step: (batch_size,)."""
        places = np.arange(step * self.batch_size, (step + 1) * self.batch_size)
        epochs, within = np.divmod(places, self.n_examples)
        parts = [self._permutation(int(epoch))[within[epochs == epoch]] for epoch in np.unique(epochs)]
        return np.concatenate(parts)
