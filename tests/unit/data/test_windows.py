from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from graft.core.errors import UsageError
from graft.data.windows import MOST_WINDOWS, cut_windows, window_starts

SIZES = st.integers(1, 400)


@given(n_samples=st.integers(1, 3000), window=SIZES, hop=SIZES)
def test_windows_start_with_the_recording_and_end_with_it(n_samples: int, window: int, hop: int) -> None:
    parts = cut_windows(np.arange(n_samples, dtype=np.float32), window=window, hop=hop)
    assert parts[0][0] == 0
    assert parts[-1][-1] == n_samples - 1
    assert {len(part) for part in parts} == {min(window, n_samples)}
    starts = window_starts(n_samples, window=window, hop=hop)
    assert (np.diff(starts) > 0).all()
    if len(starts) < MOST_WINDOWS:
        assert np.diff(starts).max(initial=0) <= hop


def test_a_very_long_recording_has_no_more_than_the_most() -> None:
    starts = window_starts(100_000, window=10, hop=10)
    assert len(starts) == MOST_WINDOWS
    assert starts[-1] == 99_990


def test_a_window_is_a_part_not_a_copy() -> None:
    waveform = np.zeros(100, np.float32)
    assert all(np.shares_memory(part, waveform) for part in cut_windows(waveform, window=30, hop=10))


@pytest.mark.parametrize("sizes", [(0, 1, 1), (1, 0, 1), (1, 1, 0)])
def test_nothing_is_cut_into_nothing(sizes: tuple[int, int, int]) -> None:
    with pytest.raises(UsageError, match="1 or more"):
        window_starts(10, window=sizes[0], hop=sizes[1], most=sizes[2])
