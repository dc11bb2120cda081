"""How many threads torch's operations take, and independent work side by side in threads of one each."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import torch

__all__ = ["Workers", "each_with_threads", "flushed_denormals", "n_threads", "with_threads"]

_Result = TypeVar("_Result")


def n_threads() -> int:
    """Return the threads that an operation may take here."""
    return torch.get_num_threads()


@contextmanager
def with_threads(n: int) -> Iterator[None]:
    """Let operations of this thread take `n` threads, and set it back at the end.

    Small operations are faster in one: two threads that meet after every 50 microseconds wait for each other.
    """
    before = torch.get_num_threads()
    if n == before:
        yield
        return
    torch.set_num_threads(n)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def flushed_denormals() -> Iterator[None]:
    """Let the processor take numbers below 1e-38 for zero in this thread, and set it back at the end.

    Attention that is sure of itself has such probabilities, and a processor takes a hundred times as long for each: the
    backward pass of a trained speech encoder takes a third longer (docs/experiments.md). Threads of torch that are
    there already keep their own setting; those born inside keep this one.
    """
    before = not bool(torch.full((1,), 1e-39).mul(1.0))
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(before)


def each_with_threads(found: Iterator[_Result], n: int) -> Iterator[_Result]:
    """Yield what an iterator gives; it works with `n` threads, who takes the items with as many as before."""
    while True:
        with with_threads(n):
            try:
                item = next(found)
            except StopIteration:
                return
        yield item


class Workers:
    """Threads that share torch's threads evenly among them; what each computes may itself run in several.

    Parameters
    ----------
    n : workers.
    threads_each : that an operation in a worker may take.

    Notes
    -----
    torch keeps the number by thread, but the number last set is also what new threads begin with: it is put back.
    """

    def __init__(self, n: int, *, threads_each: int = 1) -> None:
        before, met = torch.get_num_threads(), threading.Barrier(n + 1)

        def begin() -> None:
            torch.get_num_threads()  # at the first look torch takes the number of the last that was set, and once only
            torch.set_num_threads(threads_each)
            met.wait()

        self._pool = ThreadPoolExecutor(n, thread_name_prefix="graft", initializer=begin)
        first = [self._pool.submit(lambda: None) for _ in range(n)]
        met.wait()
        torch.set_num_threads(before)
        for each in first:
            each.result()

    def submit(self, work: Callable[[], _Result]) -> Future[_Result]:
        """Begin some work."""
        return self._pool.submit(work)

    def all(self, works: Sequence[Callable[[], _Result]]) -> list[_Result]:
        """Return what all give, in order; the first error is raised when all have ended."""
        begun = [self._pool.submit(work) for work in works]
        for each in begun:
            each.exception()
        return [each.result() for each in begun]

    def close(self) -> None:
        """Wait for the work and end the threads."""
        self._pool.shutdown()

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
