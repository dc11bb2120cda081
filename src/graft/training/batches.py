"""Which examples are in which batch, as a function of the seed and the step alone, so that resuming needs no state.

Batches may be asked for in parts, and prepared ahead in the background.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache
from threading import Lock
from types import TracebackType
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from graft.core.errors import DataError, UsageError
from graft.core.seeds import generator

__all__ = ["Batches", "Prefetched", "ShuffledOrder"]


class Batches(Protocol):
    """Gives the batch of any step; the same step gives the same batch, in this process or in another."""

    @property
    def batch_size(self) -> int:
        """Examples in the whole batch of a step."""
        ...

    def batch(self, step: int, part: slice = slice(None)) -> Mapping[str, Tensor]:
        """Return the tensors of optimizer step `step`, counted from 0, or the rows of them that `part` names."""
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


class Prefetched:
    """The same batches, prepared by one background thread while the caller computes.

    What will be asked for next is taken to be the next of `parts`, and after the last one the first of the next step.
    Anything else that is asked for is computed at once, and guesses go on from there.

    Parameters
    ----------
    batches : gives the batches; never called from two threads at a time.
    parts : the parts of each step, in the order in which they are asked for.
    first_step, last_step : what is prepared ahead, both included.
    depth : parts that are kept ready, at least 1.

    Raises
    ------
    UsageError
        When there is no part, or `depth` is below 1.

    Notes
    -----
    Errors are raised where the batch that had them is asked for. Use as a context, or call `close`.
    """

    def __init__(
        self, batches: Batches, *, parts: Sequence[slice], first_step: int, last_step: int, depth: int = 2
    ) -> None:
        if not parts or depth < 1:
            raise UsageError(f"{len(parts)} parts, depth {depth}", expected="at least one part, and a depth of 1")
        self._batches, self._parts, self._depth = batches, tuple(parts), depth
        self._first, self._last = first_step, last_step
        self._places = {self._rows(part): place for place, part in reversed(list(enumerate(parts)))}
        self._one_at_a_time = Lock()
        self._ready: deque[tuple[int, Future[Mapping[str, Tensor]]]] = deque()  # numbers of requests, ascending
        self._next = first_step * len(self._parts)  # the first request that is not in `_ready`
        self._thread: ThreadPoolExecutor | None = ThreadPoolExecutor(max_workers=1, thread_name_prefix="batches")
        self._prepare()

    @property
    def batch_size(self) -> int:
        """Examples in the whole batch of a step."""
        return self._batches.batch_size

    def batch(self, step: int, part: slice = slice(None)) -> Mapping[str, Tensor]:
        """Return what the wrapped batches give for `step` and `part`."""
        request = self._number(step, part)
        if self._ready and self._ready[0][0] == request:
            future = self._ready.popleft()[1]
            self._prepare()
            return future.result()
        if request is not None and self._thread is not None:
            self._drop()
            self._next = request + 1
        given = self._compute(step, part)
        self._prepare()
        return given

    def close(self) -> None:
        """Drop what is ready and wait for the thread to end; batches can still be had, computed at once."""
        thread, self._thread = self._thread, None
        self._drop()
        if thread is not None:
            thread.shutdown(wait=True, cancel_futures=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _rows(self, part: slice) -> tuple[int, int, int]:
        return part.indices(self._batches.batch_size)

    def _number(self, step: int, part: slice) -> int | None:
        """Return the place of a request among all that may be prepared, or None."""
        if self._ready:  # the same part may be in the list twice
            number = self._ready[0][0]
            if (step, self._rows(part)) == (
                number // len(self._parts),
                self._rows(self._parts[number % len(self._parts)]),
            ):
                return number
        place = self._places.get(self._rows(part))
        return None if place is None or not self._first <= step <= self._last else step * len(self._parts) + place

    def _prepare(self) -> None:
        while self._thread is not None and len(self._ready) < self._depth:
            step, place = divmod(self._next, len(self._parts))
            if step > self._last:
                return
            self._ready.append((self._next, self._thread.submit(self._compute, step, self._parts[place])))
            self._next += 1

    def _drop(self) -> None:
        while self._ready:
            self._ready.popleft()[1].cancel()

    def _compute(self, step: int, part: slice) -> Mapping[str, Tensor]:
        with self._one_at_a_time:
            return self._batches.batch(step, part)
