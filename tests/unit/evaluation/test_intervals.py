from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from graft.core.errors import DataError
from graft.core.types import Estimate
from graft.evaluation import NoInterval, bca_bootstrap, clopper_pearson, proportion, wilson
from graft.evaluation.intervals import bootstrap_means


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


def test_bca_of_a_skewed_mean_is_scipys() -> None:
    x = np.random.default_rng(1).exponential(size=60)
    want = stats.bootstrap((x,), np.mean, n_resamples=20_000, method="BCa", rng=np.random.default_rng(2))
    general = bca_bootstrap(lambda w: w @ x / w.sum(axis=1), 60, n_draws=20_000)
    (mean,) = bootstrap_means(x[None, :], n_draws=20_000)
    for e in (general, mean):
        assert isinstance(e, Estimate)
        assert e.method == "bca-bootstrap"
        assert e.low == pytest.approx(want.confidence_interval.low, abs=0.02)
        assert e.high == pytest.approx(want.confidence_interval.high, abs=0.02)


def test_acceleration_from_groups_is_that_of_single_examples() -> None:
    x = np.random.default_rng(3).exponential(size=5_000)
    grouped = bca_bootstrap(lambda w: w @ x / w.sum(axis=1), 5_000, seed=1)
    (exact,) = bootstrap_means(x[None, :], seed=1)
    assert grouped.low == pytest.approx(exact.low, abs=0.002)
    assert grouped.high == pytest.approx(exact.high, abs=0.002)


def test_multiplicity_stands_for_repeated_rows() -> None:
    values, times = np.array([0.0, 1.0, 5.0]), np.array([50, 40, 10])
    short = bca_bootstrap(lambda w: w @ values / w.sum(axis=1), 100, multiplicity=times, n_draws=20_000)
    (long,) = bootstrap_means(np.repeat(values, times)[None, :], n_draws=20_000)
    assert short.value == long.value
    assert (short.low, short.high) == pytest.approx((long.low, long.high), abs=0.03)


def test_degenerate_draws_are_said() -> None:
    same = bca_bootstrap(lambda w: w @ np.ones(20) / w.sum(axis=1), 20)
    assert isinstance(same, NoInterval)
    assert same.value == 1.0
    # The maximum is never exceeded by a draw: the bias is defined, but a jackknife of ties has no spread.
    x = np.array([1.0] * 18 + [2.0, 2.0])
    top = bca_bootstrap(lambda w: np.where(w > 0, x, -np.inf).max(axis=1), 20)
    assert top.method.startswith("percentile-bootstrap")
    infinite = bca_bootstrap(lambda w: w @ np.ones(5) * np.inf, 5)
    assert infinite.value is None
