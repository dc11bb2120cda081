from __future__ import annotations

import pytest
from scipy import stats

from graft.core.errors import DataError
from graft.evaluation import clopper_pearson, proportion, wilson


@pytest.mark.parametrize("level", [0.9, 0.95])
@pytest.mark.parametrize(("k", "n"), [(0, 10), (3, 10), (45, 50), (50, 50), (700, 1000)])
def test_proportions_are_scipys(k: int, n: int, level: float) -> None:
    test = stats.binomtest(k, n)
    for found, method in ((wilson, "wilson"), (clopper_pearson, "exact")):
        want = test.proportion_ci(level, method=method)
        e = found(k, n, level=level)
        assert (e.low, e.high) == pytest.approx((want.low, want.high), abs=1e-12)
        assert e.level == level


def test_exact_interval_at_the_ends_and_none_without_examples() -> None:
    assert proportion(10, 10).method == proportion(0, 10).method == "clopper-pearson"
    assert proportion(9, 10).method == "wilson"
    assert proportion(0, 0).as_dict() == {
        "value": None,
        "low": None,
        "high": None,
        "n": 0,
        "method": "not estimable: no examples",
        "level": 0.95,
    }


@pytest.mark.parametrize(("k", "n"), [(1, 0), (-1, 5), (6, 5)])
def test_refuses_what_is_no_proportion(k: int, n: int) -> None:
    with pytest.raises(DataError):
        wilson(k, n)
