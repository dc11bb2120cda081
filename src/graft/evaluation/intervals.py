"""Intervals of shares: Wilson, Clopper-Pearson; and what to say where a figure has no interval."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from graft.core.errors import DataError
from graft.core.types import Estimate
from graft.evaluation.distributions import beta_quantile, normal_quantile

__all__ = ["NoInterval", "clopper_pearson", "proportion", "wilson"]


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
    z = -float(normal_quantile((1 - level) / 2))
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
    low = 0.0 if successes == 0 else float(beta_quantile(tail, successes, n - successes + 1))
    high = 1.0 if successes == n else float(beta_quantile(1 - tail, successes + 1, n - successes))
    return Estimate(successes / n, low, high, n, "clopper-pearson", level)


def proportion(successes: int, n: int, *, level: float = 0.95) -> Estimate | NoInterval:
    """Return a proportion with Wilson's interval, or the exact one at 0 and at `n` successes."""
    if n == 0:
        return NoInterval(None, 0, "no examples", level)
    return (clopper_pearson if successes in (0, n) else wilson)(successes, n, level=level)


def _check_proportion(successes: int, n: int) -> None:
    if n < 1 or not 0 <= successes <= n:
        raise DataError(f"{successes} successes of {n}", expected="at least one trial, and 0 <= successes <= n")
