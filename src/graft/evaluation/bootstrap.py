"""The bootstrap over examples: BCa intervals, and tests of paired differences from the same draws."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from graft.core.errors import DataError
from graft.core.seeds import generator
from graft.core.types import Estimate
from graft.evaluation.distributions import normal_below, normal_quantile
from graft.evaluation.intervals import NoInterval

__all__ = ["Draws", "Statistic", "bca_bootstrap", "bootstrap_means", "draw_together"]

Statistic = Callable[[NDArray[np.float64]], NDArray[np.float64]]
"""Maps row weights (n_draws, n_rows) to one figure a draw (n_draws,), or to several (n_draws, n_figures)."""

_CHUNK_CELLS = 1_000_000  # weights held at once: 8 MB in float64
_MAX_JACKKNIFE_GROUPS = 500  # above this many rows the acceleration comes from groups of rows


@dataclass(frozen=True)
class Draws:
    """A figure, its bootstrap draws and its acceleration: what an interval and a test are made of.

    Parameters
    ----------
    value : the figure of all examples.
    draws : (n_draws,), of the bootstrap; not finite where a draw has no figure.
    influence : (n_jackknife,), how far leaving out an example, or a group of them, moves the figure.
    times : (n_jackknife,), how many examples each of these stands for.
    n : number of examples.
    """

    value: float
    draws: NDArray[np.float64]
    influence: NDArray[np.float64]
    times: NDArray[np.float64]
    n: int

    def minus(self, other: Draws) -> Draws:
        """Return the difference to another figure of the same draws (see `draw_together`)."""
        return replace(
            self,
            value=self.value - other.value,
            draws=self.draws - other.draws,
            influence=self.influence - other.influence,
        )

    @property
    def acceleration(self) -> float:
        """BCa's acceleration; NaN where the figure does not move."""
        if not np.isfinite(self.influence).all():
            return float("nan")
        second = float(self.times @ self.influence**2)
        return float(self.times @ self.influence**3) / (6 * second**1.5) if second > 0 else float("nan")

    def interval(self, level: float = 0.95) -> Estimate | NoInterval:
        """Return the figure with its BCa interval, see `bca_bootstrap`."""
        return _bca(self.value, self.draws, self.acceleration if self.n > 1 else 0.0, n=self.n, level=level)

    def p_value(self) -> float:
        """Return the two-sided p-value of the figure being zero: 1 less the level at which the interval ends at zero.

        At least 2 / (1 + n_draws).

        References
        ----------
        Efron 1987, Better bootstrap confidence intervals: the interval's formula, solved for its level.
        """
        draws = self.draws[np.isfinite(self.draws)]
        if not np.isfinite(self.value) or not draws.size:
            return 1.0
        least = 1 / (1 + draws.size)
        share = float(np.clip(_share_below(draws, 0.0), least, 1 - least))
        tail = share
        below = _share_below(draws, self.value)
        if 0 < below < 1 and np.isfinite(self.acceleration):
            bias, w = float(normal_quantile(below)), float(normal_quantile(share) - normal_quantile(below))
            if 1 + self.acceleration * w > 0:
                tail = float(normal_below(w / (1 + self.acceleration * w) - bias))
        return float(np.clip(2 * min(tail, 1 - tail), 2 * least, 1.0))


def draw_together(
    statistic: Statistic,
    n: int,
    *,
    multiplicity: NDArray[np.int64] | None = None,
    n_draws: int = 2_000,
    seed: int = 0,
    purpose: str = "bootstrap",
) -> list[Draws]:
    """Return the draws of several figures of the same examples, so that differences are paired.

    Parameters
    ----------
    statistic : maps row weights (n_draws, n_rows), each row of which sums to `n`, to (n_draws, n_figures).
    n, multiplicity, n_draws, seed, purpose : as for `bca_bootstrap`.

    Examples
    --------
    >>> x = np.array([[3.0, 1.0], [5.0, 2.0], [4.0, 3.5], [6.0, 4.0]])
    >>> a, b = draw_together(lambda w: w @ x / 4, 4)
    >>> a.minus(b).value
    1.875
    """
    counts = np.ones(n, dtype=np.int64) if multiplicity is None else np.asarray(multiplicity, dtype=np.int64)
    if counts.sum() != n:
        raise DataError(f"multiplicities sum to {counts.sum()}", expected=f"one for each of {n} examples")
    values = statistic(counts[None, :].astype(np.float64))[0]
    rng = generator(seed, purpose, n)
    draws = np.concatenate([statistic(w) for w in _resample(rng, counts, n, n_draws)])
    is_grouped = multiplicity is None and n > _MAX_JACKKNIFE_GROUPS
    influence, times = _jackknife(statistic, counts, rng, is_grouped=is_grouped)
    return [Draws(float(v), draws[:, i], influence[:, i], times, n) for i, v in enumerate(values)]


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
    (found,) = draw_together(
        lambda w: statistic(w)[:, None],
        n,
        multiplicity=multiplicity,
        n_draws=n_draws,
        seed=seed,
        purpose=purpose,
    )
    return found.interval(level)


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
    means = values.mean(axis=1)
    ones = np.ones(n)
    return [
        Draws(float(means[i]), draws[:, i], values[i] - means[i], ones, n).interval(level)
        for i in range(values.shape[0])
    ]


def _share_below(draws: NDArray[np.float64], value: float) -> float:
    """Return the share of the draws below `value`, ties counting half."""
    return float(((draws < value).sum() + (draws <= value).sum()) / 2 / draws.size)


def _bca(
    value: float, draws: NDArray[np.float64], acceleration: float, *, n: int, level: float
) -> Estimate | NoInterval:
    """Return the interval that bootstrap draws, their bias and the acceleration give."""
    if not np.isfinite(value):
        return NoInterval(None, n, "the figure is not finite", level)
    draws = draws[np.isfinite(draws)]
    if draws.size == 0 or draws.max() - draws.min() <= 1e-12 * max(1.0, abs(value)):
        return NoInterval(value, n, "all bootstrap draws are equal", level)
    tails = np.array([(1 - level) / 2, (1 + level) / 2])
    below = _share_below(draws, value)
    method = "bca-bootstrap"
    if not (0 < below < 1 and np.isfinite(acceleration)):
        method = "percentile-bootstrap (BCa's bias or acceleration is not defined)"
    else:
        bias = normal_quantile(below)
        z = bias + normal_quantile(tails)
        if (1 - acceleration * z > 0).all():
            tails = normal_below(bias + z / (1 - acceleration * z))
        else:
            method = "percentile-bootstrap (BCa's acceleration is too large)"
    low, high = np.quantile(draws, tails)
    return Estimate(value, float(min(low, value)), float(max(high, value)), n, method, level)


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


def _jackknife(
    statistic: Statistic, counts: NDArray[np.int64], rng: np.random.Generator, *, is_grouped: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the influence (n_jackknife, n_figures) of examples, or groups of rows, and how many each stands for."""
    n_rows = counts.size
    base = counts.astype(np.float64)
    if counts.sum() < 2:
        return np.full((1, statistic(base[None, :]).shape[1]), np.nan), np.ones(1)
    if is_grouped:
        group = rng.permutation(n_rows) % _MAX_JACKKNIFE_GROUPS
        left_out = np.concatenate(
            [
                statistic(np.where(group[None, :] == np.asarray(members)[:, None], 0.0, base[None, :]))
                for members in _parts(_MAX_JACKKNIFE_GROUPS, n_rows)
            ]
        )
        times = np.ones(_MAX_JACKKNIFE_GROUPS)
    else:  # one example of each row is left out, and counts as often as the row has examples
        pieces = []
        for rows in _parts(n_rows, n_rows):
            weights = np.tile(base, (len(rows), 1))
            weights[np.arange(len(rows)), rows] -= 1
            pieces.append(statistic(weights))
        left_out, times = np.concatenate(pieces), base
    with np.errstate(invalid="ignore"):  # inf - inf, where the figure itself is not finite
        return np.average(left_out, axis=0, weights=times) - left_out, times


def _parts(n: int, n_rows: int) -> Iterator[Sequence[int]]:
    """Yield 0 to n - 1 in parts, such that weights of `n_rows` for each fit a chunk."""
    step = max(1, _CHUNK_CELLS // n_rows)
    for start in range(0, n, step):
        yield range(start, min(start + step, n))
