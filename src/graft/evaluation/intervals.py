"""Intervals: Wilson, Clopper-Pearson, BCa bootstrap, and what to say when there is none."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from graft.core.errors import DataError
from graft.core.seeds import generator
from graft.core.types import Estimate

__all__ = ["NoInterval", "Statistic", "bca_bootstrap", "bootstrap_means", "clopper_pearson", "proportion", "wilson"]

Statistic = Callable[[NDArray[np.float64]], NDArray[np.float64]]
"""Maps row weights (n_draws, n_rows) to one figure a draw (n_draws,)."""

_CHUNK_CELLS = 1_000_000  # weights held at once: 8 MB in float64
_MAX_JACKKNIFE_GROUPS = 500  # above this many rows the acceleration comes from groups of rows


@dataclass(frozen=True)
class NoInterval:
    """A figure without an interval, or no figure at all, and the reason.

    Parameters
    ----------
    value : the point estimate, None where even that cannot be had.
    n : number of independent examples behind it.
    reason : why there is no interval.
    level : the level that was asked for.
    """

    value: float | None
    n: int
    reason: str
    level: float = 0.95

    @property
    def low(self) -> None:
        """None: there is no lower end."""
        return

    @property
    def high(self) -> None:
        """None: there is no upper end."""
        return

    @property
    def method(self) -> str:
        """The reason, in the place where an `Estimate` names its method."""
        return f"{'not estimable' if self.value is None else 'no interval'}: {self.reason}"

    def as_dict(self) -> dict[str, float | int | str | None]:
        """Return the same keys as `Estimate.as_dict`, with null for what is not known."""
        return {
            "value": self.value,
            "low": None,
            "high": None,
            "n": self.n,
            "method": self.method,
            "level": self.level,
        }


def wilson(successes: int, n: int, *, level: float = 0.95) -> Estimate:
    """Return a proportion with Wilson's score interval.

    Parameters
    ----------
    successes : between 0 and `n`.
    n : at least 1.
    level : nominal coverage, between 0 and 1.

    Raises
    ------
    DataError
        When `successes` of `n` is not a proportion.

    References
    ----------
    Wilson 1927, Probable inference, the law of succession, and statistical inference.

    Examples
    --------
    >>> e = wilson(45, 50)
    >>> round(e.low, 3), round(e.high, 3)
    (0.786, 0.957)
    """
    _check_proportion(successes, n)
    z = float(stats.norm.isf((1 - level) / 2))
    p = successes / n
    middle = p + z * z / (2 * n)
    half = z * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    scale = 1 + z * z / n
    low = 0.0 if successes == 0 else float((middle - half) / scale)
    high = 1.0 if successes == n else float((middle + half) / scale)
    return Estimate(p, low, high, n, "wilson", level)


def clopper_pearson(successes: int, n: int, *, level: float = 0.95) -> Estimate:
    """Return a proportion with the exact interval of Clopper and Pearson.

    It never covers less than `level`, which is wanted where there was no error at all, or nothing but errors.

    Raises
    ------
    DataError
        When `successes` of `n` is not a proportion.

    References
    ----------
    Clopper and Pearson 1934, The use of confidence or fiducial limits illustrated in the case of the binomial.

    Examples
    --------
    >>> round(clopper_pearson(50, 50).low, 3)
    0.929
    """
    _check_proportion(successes, n)
    tail = (1 - level) / 2
    low = 0.0 if successes == 0 else float(stats.beta.ppf(tail, successes, n - successes + 1))
    high = 1.0 if successes == n else float(stats.beta.isf(tail, successes + 1, n - successes))
    return Estimate(successes / n, low, high, n, "clopper-pearson", level)


def proportion(successes: int, n: int, *, level: float = 0.95) -> Estimate | NoInterval:
    """Return a proportion with Wilson's interval, or the exact one at 0 and at `n` successes."""
    if n == 0:
        return NoInterval(None, 0, "no examples", level)
    return (clopper_pearson if successes in (0, n) else wilson)(successes, n, level=level)


def bca_bootstrap(
    statistic: Statistic,
    n: int,
    *,
    multiplicity: NDArray[np.int64] | None = None,
    n_draws: int = 2_000,
    level: float = 0.95,
    seed: int = 0,
    purpose: str = "bootstrap",
) -> Estimate | NoInterval:
    """Return a statistic of `n` examples with its BCa bootstrap interval.

    Parameters
    ----------
    statistic : maps row weights (n_draws, n_rows), each row of which sums to `n`, to (n_draws,) figures.
    n : number of examples, at least 2.
    multiplicity : (n_rows,), how many examples each row stands for, summing to `n`; None for one each. Where the
        statistic only sees a few kinds of example (the cells of a confusion matrix), this saves most of the work.
    n_draws : bootstrap draws.
    level : nominal coverage.
    seed, purpose : what the draws depend on.

    Returns
    -------
    Estimate | NoInterval
        `method` is ``"bca-bootstrap"``; where bias or acceleration cannot be had it is ``"percentile-bootstrap (...)"``
        with the reason. No interval when all draws are equal, or the statistic is not finite.

    References
    ----------
    Efron 1987, Better bootstrap confidence intervals, equations 3.2 and 6.6.

    Notes
    -----
    The acceleration comes from the delete-one jackknife; with more than 500 rows from random groups of rows, which
    adds an error of about 0.001 to it. Ties with the estimate count half in the bias, as the statistics are discrete.

    Examples
    --------
    >>> x = np.arange(100.0)
    >>> e = bca_bootstrap(lambda w: w @ x / w.sum(axis=1), 100)
    >>> e.method, 43 < e.low < 45, 54 < e.high < 56
    ('bca-bootstrap', True, True)
    """
    counts = np.ones(n, dtype=np.int64) if multiplicity is None else np.asarray(multiplicity, dtype=np.int64)
    if counts.sum() != n:
        raise DataError(f"multiplicities sum to {counts.sum()}", expected=f"one for each of {n} examples")
    value = float(statistic(counts[None, :].astype(np.float64))[0])
    rng = generator(seed, purpose, n)
    draws = np.concatenate([statistic(w) for w in _resample(rng, counts, n, n_draws)])
    is_grouped = multiplicity is None and n > _MAX_JACKKNIFE_GROUPS
    acceleration = _acceleration(statistic, counts, rng, is_grouped=is_grouped) if n > 1 else 0.0
    return _bca(value, draws, acceleration, n=n, level=level)


def bootstrap_means(
    values: NDArray[np.float64],
    *,
    n_draws: int = 2_000,
    level: float = 0.95,
    seed: int = 0,
    purpose: str = "bootstrap",
) -> list[Estimate | NoInterval]:
    """Return the mean of each row of `values` with its BCa interval; all rows share the bootstrap draws.

    Parameters
    ----------
    values : (n_figures, n_examples), finite.

    Notes
    -----
    As `bca_bootstrap`, but the acceleration of a mean is known in closed form (Efron 1987, equation 6.6).

    Examples
    --------
    >>> [round(e.value, 2) for e in bootstrap_means(np.array([[1.0, 2.0, 3.0], [0.0, 0.0, 1.0]]))]
    [2.0, 0.33]
    """
    n = values.shape[1]
    rng = generator(seed, purpose, n)
    weights = _resample(rng, np.ones(n, dtype=np.int64), n, n_draws)
    draws = np.concatenate([w @ values.T for w in weights]) / n
    spread = values - values.mean(axis=1, keepdims=True)
    second = (spread**2).sum(axis=1) ** 1.5
    acceleration = np.divide((spread**3).sum(axis=1), 6 * second, out=np.zeros_like(second), where=second > 0)
    means = values.mean(axis=1)
    return [
        _bca(float(means[i]), draws[:, i], float(acceleration[i]), n=n, level=level) for i in range(values.shape[0])
    ]


def _bca(
    value: float, draws: NDArray[np.float64], acceleration: float, *, n: int, level: float
) -> Estimate | NoInterval:
    """Return the interval that bootstrap draws, their bias and the acceleration give."""
    if not np.isfinite(value):
        return NoInterval(None, n, "the figure is not finite", level)
    draws = np.sort(draws[np.isfinite(draws)])
    if draws.size == 0 or draws[-1] - draws[0] <= 1e-12 * max(1.0, abs(value)):
        return NoInterval(value, n, "all bootstrap draws are equal", level)
    tails = np.array([(1 - level) / 2, (1 + level) / 2])
    below = (np.searchsorted(draws, value, "left") + np.searchsorted(draws, value, "right")) / 2 / draws.size
    method = "bca-bootstrap"
    if not (0 < below < 1 and np.isfinite(acceleration)):
        method = "percentile-bootstrap (BCa's bias or acceleration is not defined)"
    else:
        bias = stats.norm.ppf(below)
        z = bias + stats.norm.ppf(tails)
        if (1 - acceleration * z > 0).all():
            tails = stats.norm.cdf(bias + z / (1 - acceleration * z))
        else:
            method = "percentile-bootstrap (BCa's acceleration is too large)"
    low, high = np.quantile(draws, tails)
    return Estimate(value, float(min(low, value)), float(max(high, value)), n, method, level)


def _check_proportion(successes: int, n: int) -> None:
    if n < 1 or not 0 <= successes <= n:
        raise DataError(f"{successes} successes of {n}", expected="at least one trial, and 0 <= successes <= n")


def _resample(
    rng: np.random.Generator, counts: NDArray[np.int64], n: int, n_draws: int
) -> Iterator[NDArray[np.float64]]:
    """Yield bootstrap weights (some draws, n_rows) until `n_draws` are done."""
    n_rows = counts.size
    row_of = np.repeat(np.arange(n_rows), counts)
    is_coarse = 8 * n_rows < n  # few rows: multinomial() is faster than drawing examples and counting them
    step = max(1, _CHUNK_CELLS // (n_rows if is_coarse else n))
    for start in range(0, n_draws, step):
        b = min(step, n_draws - start)
        if is_coarse:
            yield rng.multinomial(n, counts / n, size=b).astype(np.float64)
        else:
            rows = row_of[rng.integers(0, n, size=(b, n))] + n_rows * np.arange(b)[:, None]
            yield np.bincount(rows.ravel(), minlength=b * n_rows).reshape(b, n_rows).astype(np.float64)


def _acceleration(
    statistic: Statistic, counts: NDArray[np.int64], rng: np.random.Generator, *, is_grouped: bool
) -> float:
    """Return BCa's acceleration from a jackknife over examples or groups of rows; NaN where it has no spread."""
    n_rows = counts.size
    base = counts.astype(np.float64)
    if is_grouped:
        group = rng.permutation(n_rows) % _MAX_JACKKNIFE_GROUPS
        weights = np.where(group[None, :] == np.arange(_MAX_JACKKNIFE_GROUPS)[:, None], 0.0, base[None, :])
        left_out, times = statistic(weights), np.ones(_MAX_JACKKNIFE_GROUPS)
    else:  # one example of each row is left out, and counts as often as the row has examples
        step = max(1, _CHUNK_CELLS // n_rows)
        pieces = []
        for start in range(0, n_rows, step):
            rows = np.arange(start, min(start + step, n_rows))
            weights = np.tile(base, (rows.size, 1))
            weights[np.arange(rows.size), rows] -= 1
            pieces.append(statistic(weights))
        left_out, times = np.concatenate(pieces), base
    if not np.isfinite(left_out).all():
        return float("nan")
    influence = np.average(left_out, weights=times) - left_out
    second = float(times @ influence**2)
    return float(times @ influence**3) / (6 * second**1.5) if second > 0 else float("nan")
