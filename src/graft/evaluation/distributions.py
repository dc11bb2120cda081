"""Tails and quantiles of the distributions that tests and intervals need, by SciPy's special functions.

`scipy.stats` has them all, but importing it takes a tenth of the seconds that a fit on 600 texts has; the special
functions beneath are the same. `tests/unit/evaluation/test_distributions.py` holds each against `scipy.stats`.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import special

__all__ = [
    "beta_quantile", "binomial_at_least", "binomial_at_most", "binomial_quantile", "binomial_shares",
    "chi_squared_uniform", "fisher_exact", "hypergeometric_at_least", "hypergeometric_at_most", "mid_ranks",
    "normal_above", "normal_below", "normal_quantile", "student_above", "student_quantile",
]  # fmt: skip

Numbers: TypeAlias = Any  # a number or an array of numbers, as SciPy's special functions take them

normal_below = special.ndtr
normal_quantile = special.ndtri


def normal_above(z: Numbers) -> Any:
    """Return the chance that a standard normal exceeds `z`."""
    return special.ndtr(-np.asarray(z, dtype=np.float64))


def student_quantile(share: Numbers, freedom: Numbers) -> Any:
    """Return the value below which `share` of Student's t with so many degrees of freedom lies."""
    return special.stdtrit(freedom, share)


def student_above(t: Numbers, freedom: Numbers) -> Any:
    """Return the chance that Student's t exceeds `t`."""
    return special.stdtr(freedom, -np.asarray(t, dtype=np.float64))


def beta_quantile(share: Numbers, a: Numbers, b: Numbers) -> Any:
    """Return the value below which `share` of a beta distribution lies."""
    return special.betaincinv(a, b, share)


def binomial_at_most(k: Numbers, n: Numbers, p: Numbers) -> Any:
    """Return the chance of `k` or fewer successes of `n`; 0 for a negative `k`, 1 from `n` on."""
    k, n, p = np.broadcast_arrays(np.floor(k), n, p)
    inside = (k >= 0) & (k < n)
    found = special.betainc(np.where(inside, n - k, 1), np.where(inside, k + 1, 1), 1 - np.asarray(p, dtype=np.float64))
    return np.where(inside, found, (k >= n).astype(np.float64))[()]


def binomial_at_least(k: Numbers, n: Numbers, p: Numbers) -> Any:
    """Return the chance of `k` or more successes of `n`."""
    n, p = np.asarray(n), np.asarray(p, dtype=np.float64)
    return binomial_at_most(n - np.ceil(k), n, 1 - p)


def binomial_quantile(share: float, n: Numbers, p: float) -> NDArray[np.float64]:
    """Return the fewest successes that `n` trials have or fall short of with a chance of at least `share`."""
    sizes = np.asarray(n, dtype=np.float64)
    middle = sizes * p + special.ndtri(share) * np.sqrt(sizes * p * (1 - p))
    found = np.clip(np.round(middle), 0, sizes)
    while (is_short := binomial_at_most(found, sizes, p) < share).any():
        found = found + is_short
    while (is_long := (found > 0) & (binomial_at_most(found - 1, sizes, p) >= share)).any():
        found = found - is_long
    return np.asarray(found)


def binomial_shares(k: Numbers, n: int, p: float) -> NDArray[np.float64]:
    """Return the chances of exactly `k` successes of `n`."""
    k = np.asarray(k, dtype=np.float64)
    log_ways = -special.betaln(1 + n - k, 1 + k) - np.log1p(n)
    return np.asarray(np.exp(log_ways + special.xlogy(k, p) + special.xlog1py(n - k, -p)))


def hypergeometric_at_most(k: int, n_all: int, n_marked: int, n_drawn: int) -> float:
    """Return the chance that of `n_drawn` out of `n_all`, `n_marked` of them marked, `k` or fewer are marked."""
    counts, shares = _hypergeometric(n_all, n_marked, n_drawn)
    return float(min(1.0, shares[counts <= k].sum()))


def hypergeometric_at_least(k: int, n_all: int, n_marked: int, n_drawn: int) -> float:
    """Return the chance that of `n_drawn` out of `n_all`, `n_marked` of them marked, `k` or more are marked."""
    counts, shares = _hypergeometric(n_all, n_marked, n_drawn)
    return float(min(1.0, shares[counts >= k].sum()))


def fisher_exact(table: Numbers) -> float:
    """Return the two-sided p-value of a two-by-two table: of all tables as unlikely as this, margins fixed."""
    (a, b), (c, d) = np.asarray(table, dtype=np.int64).tolist()
    counts, shares = _hypergeometric(a + b + c + d, a + b, a + c)
    own = shares[a - counts[0]]
    return float(min(1.0, shares[shares <= own * (1 + 1e-7)].sum()))


def chi_squared_uniform(counts: Numbers) -> float:
    """Return the p-value of counts against all being equally likely."""
    found = np.asarray(counts, dtype=np.float64)
    expected = found.mean()
    return float(special.chdtrc(len(found) - 1, ((found - expected) ** 2 / expected).sum()))


def mid_ranks(values: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Return ranks from 1 on, down each column; equal values share the mean of theirs.

    Parameters
    ----------
    values : (n,) or (n, n_columns).
    """
    if values.ndim == 2:
        return np.stack([mid_ranks(column) for column in values.T], axis=1)
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return np.asarray((last - (counts - 1) / 2)[inverse], dtype=np.float64)


def _hypergeometric(n_all: int, n_marked: int, n_drawn: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the possible numbers of marked ones among those drawn, and their chances."""
    k = np.arange(max(0, n_drawn + n_marked - n_all), min(n_marked, n_drawn) + 1)

    def log_ways(n: Any, of: Any) -> Any:
        return special.gammaln(n + 1) - special.gammaln(of + 1) - special.gammaln(n - of + 1)

    logs = log_ways(n_marked, k) + log_ways(n_all - n_marked, n_drawn - k) - log_ways(n_all, n_drawn)
    return k, np.exp(logs)
