"""Which examples lie far from all others in feature space."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["far_out", "robust_distances"]

_FENCE = 3.0  # interquartile ranges


def far_out(distances: NDArray[np.floating[Any]], usual: NDArray[np.floating[Any]]) -> NDArray[np.bool_]:
    """Return which distances are farther out than the usual ones are spread: (n,).

    Parameters
    ----------
    distances : (n,), mean distance of each example to its nearest neighbours in train.
    usual : (m,), the same of training examples.

    References
    ----------
    Tukey, Exploratory Data Analysis, 1977: "far out" is more than three interquartile ranges above the third quartile;
    here of logarithms, since distances are skewed.

    Examples
    --------
    >>> far_out(np.array([1.0, 90.0]), np.linspace(1, 2, 100)).tolist()
    [False, True]
    """
    if not len(usual):
        return np.zeros(len(distances), dtype=bool)
    logs = np.log(np.maximum(usual, 1e-9))
    low, high = np.quantile(logs, [0.25, 0.75])
    # Where copies make half of the distances zero the quartiles say nothing; then twice the median is the least.
    fence = max(high + _FENCE * (high - low), float(np.median(logs)) + np.log(2))
    return np.asarray(np.log(np.maximum(distances, 1e-9)) > fence)


def robust_distances(values: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
    """Return how many robust standard deviations each value is from the median, and the median: (n,) and a number.

    The deviation is the median absolute one times 1.4826, at least 0.05, so that outliers do not hide themselves.
    """
    middle = float(np.median(values))
    spread = max(1.4826 * float(np.median(np.abs(values - middle))), 0.05)
    return (values - middle) / spread, middle
