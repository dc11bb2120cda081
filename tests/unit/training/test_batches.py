from __future__ import annotations

import threading
import time
from collections.abc import Mapping

import pytest
import torch
from runs import digit_batches
from torch import Tensor

from graft.core.errors import DataError, UsageError
from graft.training.batches import Batches, Prefetched

HALVES = [slice(0, 8), slice(8, 16)]


class Recorded:
    """Batches that note what was asked for, and by which thread."""

    def __init__(self, *, fails_at: int | None = None, pause_s: float = 0.0) -> None:
        self._inner, self._fails_at, self._pause_s = digit_batches(), fails_at, pause_s
        self.asked: list[tuple[int, slice, str]] = []
        self._busy = threading.Lock()

    @property
    def batch_size(self) -> int:
        return self._inner.batch_size

    def batch(self, step: int, part: slice = slice(None)) -> Mapping[str, Tensor]:
        assert self._busy.acquire(blocking=False)  # never two at a time
        try:
            self.asked.append((step, part, threading.current_thread().name))
            time.sleep(self._pause_s)
            if step == self._fails_at:
                raise DataError(f"step {step} is damaged")
            return self._inner.batch(step, part)
        finally:
            self._busy.release()


def same(given: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> bool:
    return given.keys() == expected.keys() and all(torch.equal(given[name], expected[name]) for name in given)


def settle(recorded: Recorded, n: int) -> None:
    deadline = time.monotonic() + 10
    while len(recorded.asked) < n and time.monotonic() < deadline:
        time.sleep(0.002)


def test_the_same_batches_from_one_other_thread():
    plain, recorded = digit_batches(), Recorded()
    with Prefetched(recorded, parts=HALVES, first_step=2, last_step=6) as ahead:
        batches: Batches = ahead
        assert batches.batch_size == 16
        for step in range(2, 7):
            for part in HALVES:
                assert same(batches.batch(step, part), plain.batch(step, part))
    assert [(step, part) for step, part, _ in recorded.asked] == [(s, p) for s in range(2, 7) for p in HALVES]
    names = {name for _, _, name in recorded.asked}
    assert len(names) == 1
    assert threading.current_thread().name not in names


def test_no_more_than_the_depth_is_prepared():
    recorded = Recorded()
    with Prefetched(recorded, parts=HALVES, first_step=0, last_step=100) as ahead:
        settle(recorded, 2)
        time.sleep(0.05)
        assert len(recorded.asked) == 2
        ahead.batch(0, HALVES[0])
        settle(recorded, 3)
        time.sleep(0.05)
        assert len(recorded.asked) == 3


def test_what_was_not_foreseen_is_computed_and_guesses_go_on_from_there():
    plain, recorded = digit_batches(), Recorded()
    with Prefetched(recorded, parts=HALVES, first_step=0, last_step=20) as ahead:
        for step, part in [(0, HALVES[0]), (7, HALVES[1]), (8, slice(0, 8, 1)), (3, slice(0, 3)), (8, HALVES[1]),
                           (99, HALVES[0]), (0, slice(None)), (9, HALVES[0])]:  # fmt: skip
            assert same(ahead.batch(step, part), plain.batch(step, part))
    own = threading.current_thread().name
    direct = [(step, part) for step, part, name in recorded.asked if name == own]
    assert direct == [(7, HALVES[1]), (3, slice(0, 3)), (99, HALVES[0]), (0, slice(None))]


def test_a_part_may_be_asked_for_twice_a_step():
    plain, recorded = digit_batches(), Recorded()
    with Prefetched(recorded, parts=[slice(None), slice(None)], first_step=0, last_step=2) as ahead:
        for step in (0, 0, 1, 1, 2, 2):
            assert same(ahead.batch(step), plain.batch(step))
    assert threading.current_thread().name not in {name for _, _, name in recorded.asked}


def test_errors_come_where_their_batch_is_asked_for():
    plain = digit_batches()
    with Prefetched(Recorded(fails_at=1), parts=[slice(None)], first_step=0, last_step=5) as ahead:
        assert same(ahead.batch(0), plain.batch(0))
        with pytest.raises(DataError, match="step 1 is damaged"):
            ahead.batch(1)
        assert same(ahead.batch(2), plain.batch(2))


def test_close_ends_the_thread_and_batches_can_still_be_had():
    recorded, before = Recorded(pause_s=0.05), threading.active_count()
    ahead = Prefetched(recorded, parts=HALVES, first_step=0, last_step=5)
    assert threading.active_count() == before + 1
    ahead.close()
    ahead.close()
    assert threading.active_count() == before
    assert same(ahead.batch(0, HALVES[0]), digit_batches().batch(0, HALVES[0]))
    assert threading.active_count() == before


def test_there_must_be_parts():
    with pytest.raises(UsageError):
        Prefetched(digit_batches(), parts=[], first_step=0, last_step=1)
