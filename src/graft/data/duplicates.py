"""Which examples are copies of each other, exact or near: within one split, and between two.

Exact copies share their content hash. Near copies (encoded again, scaled, lightly cropped or brightened) are pairs of
*textured* pictures whose perceptual hashes differ in few bits and whose features, where there are any, agree.
Textured means that 64 to 192 of the 256 bits are set: the hash of digits, drawings on white and clear skies has too few
to tell unrelated ones apart, so those are compared by content alone. Thresholds were measured on photos of flowers
(227 px), CIFAR-10 (32 px) and MNIST.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graft.core.errors import DataError
from graft.core.seeds import generator

__all__ = [
    "FEATURE_RATIO",
    "NEAR_DISTANCE",
    "WIDE_DISTANCE",
    "SplitOverlap",
    "cross_split_duplicates",
    "duplicate_groups",
    "textured_rows",
]

NEAR_DISTANCE = 20
WIDE_DISTANCE = 64
FEATURE_RATIO = 0.2
_VETO_RATIO = 0.6
_TEXTURED = (64, 192)
_ROWS, _COLUMNS = 16, 8192  # a tile of 128 Ki words stays in a core's cache
_SAMPLED_PAIRS = 4096
_MARGIN = 12

_Hashes = NDArray[np.uint64]
_Features = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class SplitOverlap:
    """Examples of one split that have a copy in another.

    Parameters
    ----------
    pairs : (n, 2), index in the first split and index in the second; each example of the second at most once, with
        its exact copy where it has one, else with a near one.
    n_exact : how many of them are exact copies.
    """

    pairs: NDArray[np.int64]
    n_exact: int

    @property
    def count(self) -> int:
        """Number of examples of the second split that have a copy in the first."""
        return len(self.pairs)


def duplicate_groups(
    content_hashes: Sequence[str],
    *,
    perceptual: _Hashes | None = None,
    features: _Features | None = None,
    near_distance: int = NEAR_DISTANCE,
    wide_distance: int = WIDE_DISTANCE,
    feature_ratio: float = FEATURE_RATIO,
) -> NDArray[np.int64]:
    """Return the group of every example: (n_examples,), numbered from 0 by first occurrence; copies share a group.

    Parameters
    ----------
    content_hashes : n_examples hashes of the bytes.
    perceptual : (n_examples, 4), `graft.data.images.perceptual_hash` of each; None: exact copies only.
    features : (n_examples, n_features), of the frozen backbone; None: by the perceptual hash alone.
    near_distance : bits, 0 to 256, in which textured pictures may differ to be copies.
    wide_distance : bits in which they may differ where the features agree closely; used with `features` only.
    feature_ratio : features agree closely when their cosine distance is at most this share of the median cosine
        distance of random pairs. A share, since the cosines of unrelated pictures differ from backbone to backbone.

    Raises
    ------
    DataError
        When the arrays differ in length.

    Notes
    -----
    Groups are connected components: a chain of copies is one group. Time is quadratic with a small constant, memory
    flat: no array grows with the number of pairs compared.

    Examples
    --------
    >>> duplicate_groups(["x", "y", "x", "z"]).tolist()
    [0, 1, 0, 2]
    """
    n = len(content_hashes)
    _check_lengths(n, perceptual, features)
    numbers: dict[str, int] = {}
    exact = np.fromiter((numbers.setdefault(h, len(numbers)) for h in content_hashes), dtype=np.int64, count=n)
    if perceptual is None or n < 2:
        return exact
    _, first = np.unique(exact, return_index=True)  # one of each set of exact copies stands for all
    close = _Closeness(
        perceptual[first],
        perceptual[first],
        None if features is None else features[first],
        None if features is None else features[first],
        near_distance=near_distance,
        wide_distance=wide_distance,
        feature_ratio=feature_ratio,
    )
    parent = np.arange(len(first))
    for rows, columns in close.pairs(above_diagonal=True):
        for a, b in zip(rows.tolist(), columns.tolist(), strict=True):
            low, high = sorted((_root(parent, a), _root(parent, b)))
            parent[high] = low
    # Roots are the lowest of their group, so numbering them in order numbers groups by first occurrence.
    roots = np.array([_root(parent, a) for a in range(len(first))])
    _, merged = np.unique(roots, return_inverse=True)
    return np.asarray(merged[exact], dtype=np.int64)


def cross_split_duplicates(
    first_hashes: Sequence[str],
    second_hashes: Sequence[str],
    *,
    first_perceptual: _Hashes | None = None,
    second_perceptual: _Hashes | None = None,
    first_features: _Features | None = None,
    second_features: _Features | None = None,
) -> SplitOverlap:
    """Return which examples of the second split have a copy in the first, for example of test in train.

    Parameters
    ----------
    first_hashes, second_hashes : hashes of the bytes of each split's examples.
    first_perceptual, second_perceptual : (n, 4), perceptual hashes; None: exact copies only.
    first_features, second_features : (n, n_features), of the frozen backbone; None: by the perceptual hash alone.

    Raises
    ------
    DataError
        When the arrays of a split differ in length.

    Examples
    --------
    >>> overlap = cross_split_duplicates(["x", "y"], ["z", "y", "y"])
    >>> overlap.count, overlap.pairs.tolist()
    (2, [[1, 1], [1, 2]])
    """
    _check_lengths(len(first_hashes), first_perceptual, first_features)
    _check_lengths(len(second_hashes), second_perceptual, second_features)
    position = {digest: index for index, digest in reversed(list(enumerate(first_hashes)))}
    twin = np.array([position.get(digest, -1) for digest in second_hashes], dtype=np.int64)
    n_exact = int((twin >= 0).sum())
    if first_perceptual is not None and second_perceptual is not None and len(first_hashes):
        left = np.flatnonzero(twin < 0)
        with_features = first_features is not None and second_features is not None
        close = _Closeness(
            second_perceptual[left],
            first_perceptual,
            second_features[left] if second_features is not None and with_features else None,
            first_features if with_features else None,
        )
        for rows, columns in close.pairs():
            fresh = twin[left[rows]] < 0
            # Backwards, so that the first of several copies is what stays.
            twin[left[rows[fresh][::-1]]] = columns[fresh][::-1]
    found = np.flatnonzero(twin >= 0)
    return SplitOverlap(np.stack([twin[found], found], axis=1), n_exact)


class _Closeness:
    """Finds the near copies between the rows of `a` and the rows of `b`, tile by tile."""

    def __init__(
        self,
        a: _Hashes,
        b: _Hashes,
        a_features: _Features | None,
        b_features: _Features | None,
        *,
        near_distance: int = NEAR_DISTANCE,
        wide_distance: int = WIDE_DISTANCE,
        feature_ratio: float = FEATURE_RATIO,
    ) -> None:
        self.near_distance = near_distance
        self.reach = near_distance if a_features is None else max(near_distance, wide_distance)
        self.feature_ratio = feature_ratio
        self.a_index, self.b_index = textured_rows(a), textured_rows(b)
        # One row a word: comparing word by word leaves early. (4, n)
        self.a, self.b = (np.ascontiguousarray(h[i].T) for h, i in ((a, self.a_index), (b, self.b_index)))
        self.a_features, self.b_features = a_features, b_features
        self.typical = 0.0
        if a_features is not None and b_features is not None and len(self.a_index) and len(self.b_index):
            rng = generator(0, "typical feature distance")
            i, j = rng.choice(self.a_index, _SAMPLED_PAIRS), rng.choice(self.b_index, _SAMPLED_PAIRS)
            apart = (a[i] != b[j]).any(axis=1)
            self.typical = float(np.median(self._cosine_distance(i[apart], j[apart]))) if apart.any() else 0.0

    def pairs(self, *, above_diagonal: bool = False) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
        """Yield row numbers in `a` and `b` of near copies; with `above_diagonal` only row < column."""
        for r in range(0, self.a.shape[1], _ROWS):
            tile = self.a[:, r : r + _ROWS, None]
            for c in range(r if above_diagonal else 0, self.b.shape[1], _COLUMNS):
                rows, columns, distance = self._within_reach(tile, self.b[:, None, c : c + _COLUMNS])
                rows, columns = self.a_index[rows + r], self.b_index[columns + c]
                keep = rows < columns if above_diagonal else np.ones(len(rows), dtype=bool)
                rows, columns = rows[keep], columns[keep]
                keep = self._agree(rows, columns, distance[keep])
                if keep.any():
                    yield rows[keep], columns[keep]

    def _within_reach(self, a: _Hashes, b: _Hashes) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        # Half of the bits, spread over the whole picture, hold half of the differences give or take 4: three times that
        # is allowed, and almost all unrelated pairs (about 60 of 128) leave here.
        partial = np.bitwise_count(a[0] ^ b[0])
        partial += np.bitwise_count(a[1] ^ b[1])
        rows, columns = _where(partial <= min(self.reach, self.reach // 2 + _MARGIN))
        distance = partial[rows, columns].astype(np.int64)
        for word in (2, 3):
            distance += np.bitwise_count(a[word, rows, 0] ^ b[word, 0, columns])
        keep = distance <= self.reach
        return rows[keep], columns[keep], distance[keep]

    def _agree(
        self, rows: NDArray[np.int64], columns: NDArray[np.int64], distance: NDArray[np.int64]
    ) -> NDArray[np.bool_]:
        if self.a_features is None or not len(rows):
            return distance <= self.near_distance
        apart = self._cosine_distance(rows, columns)
        near = (distance <= self.near_distance) & (apart <= _VETO_RATIO * self.typical)
        return near | (apart <= self.feature_ratio * self.typical)

    def _cosine_distance(self, rows: NDArray[np.int64], columns: NDArray[np.int64]) -> NDArray[np.float64]:
        assert self.a_features is not None
        assert self.b_features is not None
        result = np.empty(len(rows))
        for start in range(0, len(rows), _ROWS):
            at = slice(start, start + _ROWS)
            x = np.asarray(self.a_features[rows[at]], dtype=np.float64)
            y = np.asarray(self.b_features[columns[at]], dtype=np.float64)
            norms = np.linalg.norm(x, axis=1) * np.linalg.norm(y, axis=1)
            result[at] = 1 - np.divide((x * y).sum(axis=1), norms, out=np.zeros(len(x)), where=norms > 0)
        return result


def textured_rows(hashes: _Hashes) -> NDArray[np.int64]:
    """Return the rows whose pictures have detail all over: digits and drawings look alike without being copies.

    Parameters
    ----------
    hashes : (n, 4), perceptual hashes.
    """
    n_set = np.bitwise_count(hashes).sum(axis=1)
    return np.flatnonzero((n_set >= _TEXTURED[0]) & (n_set <= _TEXTURED[1]))


def _where(mask: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return rows and columns of what is true; `np.nonzero` on a flat array is several times faster."""
    rows, columns = np.divmod(np.flatnonzero(mask), mask.shape[1])
    return rows, columns


def _root(parent: NDArray[np.int64], a: int) -> int:
    while parent[a] != a:
        parent[a] = parent[parent[a]]
        a = int(parent[a])
    return a


def _check_lengths(n: int, perceptual: _Hashes | None, features: _Features | None) -> None:
    if perceptual is not None and perceptual.shape != (n, 4):
        raise DataError(f"perceptual hashes {perceptual.shape} for {n} examples", expected="(n_examples, 4)")
    if features is not None and len(features) != n:
        raise DataError(f"features {features.shape} for {n} examples", expected="(n_examples, n_features)")
