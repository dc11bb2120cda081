"""Tails and quantiles against scipy.stats."""

import numpy as np
import pytest
from scipy import stats

from graft.evaluation import distributions as d


@pytest.mark.parametrize("n", [1, 6, 100, 3_000])
@pytest.mark.parametrize("p", [1e-6, 0.05, 0.5, 0.93])
def test_binomial(n: int, p: float) -> None:
    k = np.arange(-1, n + 2)
    np.testing.assert_allclose(d.binomial_at_most(k, n, p), stats.binom.cdf(k, n, p), atol=1e-12)
    np.testing.assert_allclose(d.binomial_at_least(k, n, p), stats.binom.sf(k - 1, n, p), atol=1e-12)
    inside = np.arange(n + 1)
    np.testing.assert_allclose(d.binomial_shares(inside, n, p), stats.binom.pmf(inside, n, p), atol=1e-12, rtol=1e-8)
    for share in (1e-9, 0.025, 0.5, 1 - 1e-9):
        assert d.binomial_quantile(share, n, p) == stats.binom.ppf(share, n, p)


def test_binomial_of_no_trials_and_sure_ones() -> None:
    assert d.binomial_at_most(0, 0, 0.5) == 1.0
    np.testing.assert_array_equal(
        d.binomial_quantile(0.025, np.arange(30), 0.5), stats.binom.ppf(0.025, range(30), 0.5)
    )
    np.testing.assert_allclose(d.binomial_shares([0, 5], 5, 1.0), [0.0, 1.0])
    np.testing.assert_allclose(d.binomial_at_most([2, 5], 5, 1.0), [0.0, 1.0])


@pytest.mark.parametrize("table", [[[8, 2], [1, 5]], [[50, 0], [45, 5]], [[0, 7], [0, 9]], [[900, 100], [930, 70]]])
def test_fisher(table: list[list[int]]) -> None:
    assert d.fisher_exact(table) == pytest.approx(stats.fisher_exact(table)[1], rel=1e-6)


def test_hypergeometric() -> None:
    for n_all, marked, drawn in ((40, 12, 9), (40, 38, 35), (5_000, 4_600, 300), (3, 0, 2)):
        for k in (-1, 0, 3, 7, 33, 270, 300):
            assert d.hypergeometric_at_most(k, n_all, marked, drawn) == pytest.approx(
                stats.hypergeom.cdf(k, n_all, marked, drawn), abs=1e-10
            )
            assert d.hypergeometric_at_least(k, n_all, marked, drawn) == pytest.approx(
                stats.hypergeom.sf(k - 1, n_all, marked, drawn), abs=1e-10
            )


def test_small_tails_keep_their_size() -> None:
    assert d.hypergeometric_at_least(60, 1_000, 100, 80) == pytest.approx(
        stats.hypergeom.sf(59, 1_000, 100, 80), rel=1e-6
    )
    assert d.normal_above(20.0) == pytest.approx(stats.norm.sf(20.0), rel=1e-9)
    assert d.student_above(30.0, 40) == pytest.approx(stats.t.sf(30.0, 40), rel=1e-9)


def test_quantiles_and_ranks() -> None:
    shares = np.array([1e-6, 0.025, 0.5, 0.9])
    np.testing.assert_allclose(d.normal_quantile(shares), stats.norm.ppf(shares), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(d.normal_below([-3.0, 1.0]), stats.norm.cdf([-3.0, 1.0]))
    np.testing.assert_allclose(d.student_quantile(shares, 4), stats.t.ppf(shares, 4), rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(d.beta_quantile(shares, 45, 6), stats.beta.ppf(shares, 45, 6), rtol=1e-7)
    assert d.chi_squared_uniform([30, 40, 50]) == pytest.approx(stats.chisquare([30, 40, 50]).pvalue)
    values = np.random.default_rng(0).integers(0, 5, (50, 3)).astype(float)
    np.testing.assert_array_equal(d.mid_ranks(values), stats.rankdata(values, axis=0))
