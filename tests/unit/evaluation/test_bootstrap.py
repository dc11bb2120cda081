"""Bootstrap intervals beside SciPy's, and p-values that agree with them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from graft.core.types import Estimate
from graft.evaluation import NoInterval, bca_bootstrap
from graft.evaluation.bootstrap import Draws, bootstrap_means, draw_together


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


def two_figures(shift: float, *, n: int = 150, seed: int = 0) -> tuple[Draws, Draws]:
    """Return two means of the same examples, strongly dependent, `shift` apart."""
    rng = np.random.default_rng(seed)
    common = rng.exponential(size=n)
    x = np.stack([common + shift + 0.3 * rng.normal(size=n), common], axis=1)
    a, b = draw_together(lambda w: w @ x / w.sum(axis=1, keepdims=True), n)
    return a, b


def test_a_difference_is_paired() -> None:
    a, b = two_figures(0.1)
    difference = a.minus(b).interval()
    assert isinstance(difference, Estimate)
    assert difference.value == pytest.approx(a.value - b.value)
    assert difference.high - difference.low < 0.3 * (a.interval().high - a.interval().low)  # type: ignore[operator]


@pytest.mark.parametrize("shift", [0.0, 0.03, 0.06, -0.06, 0.2])
def test_the_p_value_is_where_the_interval_ends_at_zero(shift: float) -> None:
    difference = (lambda pair: pair[0].minus(pair[1]))(two_figures(shift))
    p = difference.p_value()
    if 0.002 < p < 0.998:
        edge = difference.interval(1 - p)
        assert isinstance(edge, Estimate)
        assert min(abs(edge.low), abs(edge.high)) < 0.003
    at_5_percent = difference.interval(0.95)
    assert isinstance(at_5_percent, Estimate)
    assert (p < 0.05) == (at_5_percent.low > 0 or at_5_percent.high < 0)


def test_p_values_at_the_ends() -> None:
    always = Draws(1.0, np.ones(999), np.zeros(5), np.ones(5), 5)
    assert always.p_value() == pytest.approx(2 / 1000)
    level = Draws(0.0, np.zeros(999), np.zeros(5), np.ones(5), 5)
    assert level.p_value() == 1.0
    nothing = Draws(float("nan"), np.full(9, np.nan), np.full(5, np.nan), np.ones(5), 5)
    assert nothing.p_value() == 1.0
