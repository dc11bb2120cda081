"""Which examples lie far from all others in feature space."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["far_out"]

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
