"""What it costs to move predictions to single classes in given shares: by optimal transport."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy import optimize

from graft.core.errors import DataError
from graft.core.seeds import generator

__all__ = ["transport_costs"]

_MOST: Final = 1_000  # examples matched at once: matching takes the cube of their number


def transport_costs(
    probabilities: NDArray[np.floating[Any]], shares: NDArray[np.floating[Any]], *, seed: int = 0
) -> NDArray[np.float64]:
    """Return what it costs to move each prediction to one class, all together in the given shares: (n_examples,).

    Parameters
    ----------
    probabilities : (n_examples, n_classes).
    shares : (n_classes,), of the classes among the examples; they sum to 1.
    seed : of the order, where there are more than 1,000 examples and they are matched by parts.

    Raises
    ------
    DataError
        When the two are not of the same classes.

    Notes
    -----
    The cost of moving a prediction to a class is 1 less the class's probability: half the L1 distance to one-hot. If
    all may go to their likeliest class, this is 1 less the confidence; where a model says one class of too many
    examples, as models do on strange data, some have to go elsewhere at a high cost, however sure it is.

    References
    ----------
    Lu et al. 2023, Characterizing out-of-distribution error via optimal transport (COT, COTT).

    Examples
    --------
    >>> sure = np.array([[1.0, 0.0], [1.0, 0.0], [0.9, 0.1], [0.0, 1.0]])
    >>> transport_costs(sure, np.array([0.5, 0.5])).round(2)
    array([0. , 0. , 0.9, 0. ])
    """
    p = np.asarray(probabilities, dtype=np.float64)
    if p.ndim != 2 or shares.shape != p.shape[1:]:
        raise DataError(f"probabilities {p.shape} and shares {shares.shape}", expected="of the same classes")
    order = generator(seed, "transport", len(p)).permutation(len(p))
    costs = np.empty(len(p))
    for rows in np.array_split(order, max(1, -(-len(p) // _MOST))):
        classes = _in_shares(shares, len(rows))
        cost = 1 - p[rows][:, classes]
        at, to = optimize.linear_sum_assignment(cost)
        costs[rows[at]] = cost[at, to]
    return costs


def _in_shares(shares: NDArray[np.floating[Any]], n: int) -> NDArray[np.int64]:
    """Return n class numbers in the given shares, the largest remainders rounded up."""
    exact = shares * n
    counts = np.floor(exact).astype(np.int64)
    counts[np.argsort(counts - exact, kind="stable")[: n - int(counts.sum())]] += 1
    return np.repeat(np.arange(len(shares)), counts)
