"""Threads of torch's operations, and workers of one each."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
import torch

from graft.core.threads import Workers, each_with_threads, flushed_denormals, with_threads


@pytest.fixture(autouse=True)
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_the_number_is_put_back_even_after_an_error() -> None:
    def fail() -> None:
        with with_threads(1):
            assert torch.get_num_threads() == 1
            raise ValueError("any")

    with pytest.raises(ValueError, match="any"):
        fail()
    assert torch.get_num_threads() == 2


def test_an_iterator_works_with_one_thread_and_its_user_with_two() -> None:
    def inside() -> Iterator[int]:
        for _ in range(3):
            yield torch.get_num_threads()

    seen = [(own, torch.get_num_threads()) for own in each_with_threads(inside(), 1)]
    assert seen == [(1, 2)] * 3


def test_workers_have_one_thread_and_leave_the_callers_alone() -> None:
    met = threading.Barrier(2, timeout=20)  # only if both run at once

    def work() -> tuple[int, int]:
        met.wait()
        return torch.get_num_threads(), threading.get_ident()

    with Workers(2) as workers:
        found = workers.all([work, work])
        assert [n for n, _ in found] == [1, 1]
        assert len({ident for _, ident in found}) == 2
    assert torch.get_num_threads() == 2
    new: list[int] = []
    thread = threading.Thread(target=lambda: new.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    assert new == [2]


def test_the_first_error_is_raised_when_all_have_ended() -> None:
    ended: list[int] = []

    def fail() -> None:
        raise ValueError("broken")

    with Workers(2) as workers, pytest.raises(ValueError, match="broken"):
        workers.all([fail, lambda: ended.append(1)])
    assert ended == [1]


def test_denormals_are_zero_inside_alone_even_after_an_error() -> None:
    if not torch.set_flush_denormal(False):
        pytest.skip("this processor cannot take denormal numbers for zero")

    def smallest() -> float:
        return float(torch.full((1,), 1e-39).mul(1.0))

    def fail() -> None:
        with flushed_denormals():
            assert smallest() == 0.0
            with flushed_denormals():
                assert smallest() == 0.0
            assert smallest() == 0.0
            raise ValueError("any")

    assert smallest() > 0.0
    with pytest.raises(ValueError, match="any"):
        fail()
    assert smallest() > 0.0
