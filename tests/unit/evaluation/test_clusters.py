from __future__ import annotations

import numpy as np
import pytest

from graft.core.errors import DataError
from graft.core.types import Estimate
from graft.evaluation.clusters import share_difference_over_groups, share_over_groups
from graft.evaluation.intervals import NoInterval, wilson


def test_the_interval_follows_the_spread_over_groups_not_the_number_of_examples() -> None:
    groups = np.repeat(np.arange(4), 500)
    alike = np.tile(np.arange(500) < 250, 4)
    unlike = np.concatenate([np.arange(500) < n for n in (50, 150, 350, 450)])
    narrow, wide = share_over_groups(alike, groups), share_over_groups(unlike, groups)
    assert narrow.value == wide.value == 0.5
    own = wilson(1000, 2000)
    assert (narrow.low, narrow.high) == (own.low, own.high)  # never narrower than independent examples allow
    assert wide.low is not None
    assert wide.high is not None
    assert wide.high - wide.low > 0.7


def test_two_groups_have_no_interval() -> None:
    found = share_over_groups(np.array([True, True, False, True]), np.array([0, 0, 7, 7]))
    assert isinstance(found, NoInterval)
    assert found.value == 0.75
    assert "2 groups" in found.method
    assert isinstance(
        share_difference_over_groups(np.ones(4, bool), np.zeros(4, bool), np.array([0, 0, 1, 1])), NoInterval
    )


@pytest.mark.parametrize("is_right", [True, False])
def test_without_any_error_each_group_counts_as_one_trial(is_right: bool) -> None:
    found = share_over_groups(np.full(300, is_right), np.repeat(np.arange(3), 100))
    assert isinstance(found, Estimate)
    assert found.high - found.low == pytest.approx(0.708, abs=0.001)


def test_the_order_and_the_numbers_of_groups_do_not_matter() -> None:
    random = np.random.default_rng(0)
    groups, right = random.integers(0, 5, 200), random.random(200) < 0.7
    order = random.permutation(200)
    assert share_over_groups(right, groups) == share_over_groups(right[order], 90 - 7 * groups[order])


def test_a_difference_that_all_groups_share_is_narrower_than_either_share() -> None:
    groups = np.repeat(np.arange(5), 100)
    second = np.concatenate([np.arange(100) < n for n in (10, 30, 50, 70, 85)])
    first = np.concatenate([np.arange(100) < n + 10 for n in (10, 30, 50, 70, 85)])
    difference = share_difference_over_groups(first, second, groups)
    assert difference.value == pytest.approx(0.1)
    assert difference.low == pytest.approx(0.1)
    assert difference.high == pytest.approx(0.1)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(DataError, match="2 groups for 3 examples"):
        share_over_groups(np.ones(3, bool), np.array([0, 1]))
    with pytest.raises(DataError, match="0 groups for 0"):
        share_over_groups(np.ones(0, bool), np.ones(0, np.int64))
