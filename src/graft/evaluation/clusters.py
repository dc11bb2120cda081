"""Shares and differences whose intervals hold for new groups: recordings of one speaker are not independent."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from graft.core.errors import DataError
from graft.core.types import Estimate
from graft.evaluation.distributions import student_quantile
from graft.evaluation.intervals import NoInterval, clopper_pearson, wilson

__all__ = ["FEWEST_GROUPS", "share_difference_over_groups", "share_over_groups"]

FEWEST_GROUPS = 3  # of two, t has one degree of freedom: the interval is then nearly 0 to 1


def share_over_groups(
    is_right: NDArray[np.bool_], groups: NDArray[np.integer[Any]], *, level: float = 0.95
) -> Estimate | NoInterval:
    """Return the share of right answers with an interval for groups like these, not seen before.

    Parameters
    ----------
    is_right : (n_examples,).
    groups : (n_examples,), whose example each is; any integers.
    level : nominal coverage, between 0 and 1.

    Returns
    -------
    Estimate or NoInterval
        Without an interval where there are fewer than 3 groups. `n` is the number of examples.

    Raises
    ------
    DataError
        When there is no example, or not a group for each.

    Notes
    -----
    The linearised standard error of the ratio (right answers by examples of a group) and Student's t with one degree of
    freedom less than groups, on the logit scale, where shares near 1 are less skewed. The interval is never narrower
    than Wilson's, which takes examples for independent. Where no example or every example is right, each group counts
    as one trial (Clopper-Pearson). Simulated coverage at 95 %: 91 to 96 % with 3 to 40 groups.

    References
    ----------
    Cochran, Sampling Techniques, 1977, chapter 9A (clusters of unequal sizes, the ratio to size).

    Examples
    --------
    >>> speakers = np.repeat(np.arange(6), 100)
    >>> e = share_over_groups(np.random.default_rng(0).random(600) < np.repeat([.2, .3, .3, .4, .5, .6], 100), speakers)
    >>> round(e.value, 3), round(e.low, 3), round(e.high, 3)
    (0.355, 0.211, 0.531)
    """
    right, sizes = _by_group(np.asarray(is_right, dtype=np.float64), groups)
    n, n_groups = int(sizes.sum()), len(sizes)
    share = right.sum() / n
    if n_groups < FEWEST_GROUPS:
        reason = f"{n_groups} group{'' if n_groups == 1 else 's'}, at least {FEWEST_GROUPS} are needed"
        return NoInterval(float(share), n, reason, level)
    if share in (0.0, 1.0):
        ends = clopper_pearson(n_groups if share else 0, n_groups, level=level)
        return Estimate(float(share), ends.low, ends.high, n, "clopper-pearson over groups", level)
    spread = right - share * sizes
    error = np.sqrt(n_groups / (n_groups - 1) * np.square(spread).sum()) / n
    half = student_quantile((1 + level) / 2, n_groups - 1) * error / (share * (1 - share))
    middle = np.log(share / (1 - share))
    low, high = 1 / (1 + np.exp(-(middle - half))), 1 / (1 + np.exp(-(middle + half)))
    own = wilson(int(right.sum()), n, level=level)
    return Estimate(
        float(share), float(min(low, own.low)), float(max(high, own.high)), n, "t over groups, logit scale", level
    )


def share_difference_over_groups(
    first: NDArray[np.bool_],
    second: NDArray[np.bool_],
    groups: NDArray[np.integer[Any]],
    *,
    level: float = 0.95,
) -> Estimate | NoInterval:
    """Return the share of right answers of `first` less that of `second`, paired, with an interval for new groups.

    Parameters
    ----------
    first, second : (n_examples,), whether each is right.
    groups, level : as in `share_over_groups`.

    Raises
    ------
    DataError
        As `share_over_groups`.
    """
    difference, sizes = _by_group(np.asarray(first, np.float64) - np.asarray(second, np.float64), groups)
    n, n_groups = int(sizes.sum()), len(sizes)
    value = float(difference.sum() / n)
    if n_groups < FEWEST_GROUPS:
        reason = f"{n_groups} group{'' if n_groups == 1 else 's'}, at least {FEWEST_GROUPS} are needed"
        return NoInterval(value, n, reason, level)
    spread = np.square(difference - value * sizes).sum()
    half = student_quantile((1 + level) / 2, n_groups - 1) * np.sqrt(n_groups / (n_groups - 1) * spread) / n
    return Estimate(
        value, float(max(-1.0, value - half)), float(min(1.0, value + half)), n, "t over groups, paired", level
    )


def _by_group(
    values: NDArray[np.float64], groups: NDArray[np.integer[Any]]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return sum of values and number of examples of each group: (n_groups,) both."""
    if not len(values) or len(groups) != len(values):
        raise DataError(f"{len(groups)} groups for {len(values)} examples", expected="a group an example, at least one")
    numbers = np.unique(groups, return_inverse=True)[1]
    return np.bincount(numbers, weights=values).astype(np.float64), np.bincount(numbers).astype(np.float64)
