"""The nearest rows of one matrix to each row of another, by cosine distance, in flat memory."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["nearest", "typical_distance", "unit_rows"]

_ROWS = 512
_COLUMNS = 16_384
_WIDEST = 128  # columns kept where the comparison is long
_LONG = 2e7  # pairs from which on it is
_PAIRS = 4_000


def unit_rows(matrix: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
    """Return the rows divided by their norms; rows of zeros stay."""
    norms = np.linalg.norm(matrix, axis=1, keepdims=True)
    return np.asarray(matrix / np.where(norms > 0, norms, 1), dtype=np.float32)


def nearest(
    a: NDArray[np.float32], b: NDArray[np.float32], k: int, *, is_same: bool = False
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return the `k` nearest rows of `b` to each row of `a`, nearest first, and their cosine distances.

    Parameters
    ----------
    a, b : (n, d) and (m, d), rows of norm 1, see `unit_rows`.
    k : fewer are returned where `b` has fewer rows.
    is_same : `a` is `b`, and a row is no neighbour of itself.

    Returns
    -------
    (n, k) row numbers of `b` and (n, k) distances, 0 to 2.

    Notes
    -----
    Time is quadratic. Where there are more than 2e7 pairs, neighbours are looked for in 128 random directions, twice as
    many as wanted, and then ranked by their true distances.

    Examples
    --------
    >>> rows = unit_rows(np.array([[1.0, 0], [1, 0.1], [0, 1]]))
    >>> nearest(rows, rows, 1, is_same=True)[0].ravel().tolist()
    [1, 0, 1]
    """
    k = min(k, len(b) - is_same)
    if k < 1 or not len(a):
        return np.zeros((len(a), 0), np.int64), np.zeros((len(a), 0), np.float32)
    if a.shape[1] > _WIDEST and len(a) * len(b) > _LONG:
        directions = np.random.default_rng(0).standard_normal((a.shape[1], _WIDEST)).astype(np.float32)
        rows = min(2 * k, len(b) - is_same)
        found, _ = nearest(unit_rows(a @ directions), unit_rows(b @ directions), rows, is_same=is_same)
        distance = np.stack([1 - np.einsum("nd,nd->n", a, b[found[:, j]]) for j in range(rows)], axis=1)
        order = np.argsort(distance, axis=1, kind="stable")[:, :k]
        return np.take_along_axis(found, order, axis=1), np.take_along_axis(distance, order, axis=1)
    places = np.zeros((len(a), k), np.int64)
    distances = np.full((len(a), k), np.inf, np.float32)
    for r in range(0, len(a), _ROWS):
        at = slice(r, r + _ROWS)
        for c in range(0, len(b), _COLUMNS):
            distance = 1 - a[at] @ b[c : c + _COLUMNS].T
            if is_same:
                own = np.arange(r, min(r + _ROWS, len(a)))
                inside = (own >= c) & (own < c + _COLUMNS)
                distance[np.flatnonzero(inside), own[inside] - c] = np.inf
            few = min(k, distance.shape[1])
            best = np.argpartition(distance, few - 1, axis=1)[:, :few] if few < distance.shape[1] else None
            best = np.tile(np.arange(few), (len(distance), 1)) if best is None else best
            both = np.concatenate([distances[at], np.take_along_axis(distance, best, axis=1)], axis=1)
            where = np.concatenate([places[at], best + c], axis=1)
            order = np.argsort(both, axis=1, kind="stable")[:, :k]
            distances[at], places[at] = np.take_along_axis(both, order, 1), np.take_along_axis(where, order, 1)
    return places, distances


def typical_distance(rows: NDArray[np.float32], classes: NDArray[np.integer[Any]] | None, *, seed: int = 0) -> float:
    """Return the median cosine distance of random pairs of the same class: what merely similar examples are apart.

    Parameters
    ----------
    rows : (n, d), of norm 1.
    classes : (n,), class numbers; None: of all pairs.
    """
    rng = np.random.default_rng(seed)
    n = len(rows)
    if n < 2:
        return 1.0
    first = rng.integers(0, n, _PAIRS)
    if classes is None:
        second = rng.integers(0, n, _PAIRS)
    else:
        order = np.argsort(classes, kind="stable")
        starts = np.searchsorted(classes[order], classes[first])
        ends = np.searchsorted(classes[order], classes[first], side="right")
        second = order[rng.integers(starts, ends)]
    apart = first != second
    if not apart.any():
        return 1.0
    distance = 1 - np.einsum("nd,nd->n", rows[first[apart]], rows[second[apart]])
    return float(max(np.median(distance), 1e-6))
