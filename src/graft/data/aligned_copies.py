"""Near copies of pictures that were cropped, scaled or encoded anew: candidates by neighbourhood, proof by pixels.

Candidates are the nearest pictures in feature space, the nearest thumbnails, and the nearest crops of them (those up to
3e7 pairs of pictures). A candidate is a copy when one
thumbnail laid over the best box of the other (`graft.data.alignment`) agrees with it. How well it must agree depends
on how near the features are, measured by the typical distance of two pictures of the same class: those are alike
without being copies.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graft.data.alignment import SIDE, agreement, box_filter
from graft.data.neighbours import nearest, typical_distance, unit_rows

__all__ = ["CopyPairs", "Looks", "aligned_copies"]

_BY_FEATURES, _BY_THUMBNAIL = 3, 2
_HALF = SIDE // 2
_TINY = 8
# Size, top and left, as shares.
_CROPS = [(0.88, 0.06, 0.06), *((0.88, y, x) for y in (0.0, 0.12) for x in (0.0, 0.12))]
_CROPS += [(0.77, y, x) for y in (0.0, 0.115, 0.23) for x in (0.0, 0.115, 0.23)]
_MOST_CROPPED = 3e7
_ALIKE = 0.8  # correlation of 8 by 8 grey levels from which on a crop is a candidate
_FARTHEST = 1.0  # of the typical distance, beyond which feature neighbours are not looked at
_LEAST, _SLOPE, _MOST = 0.72, 0.2, 0.84  # agreement asked for: 0.72 + 0.2 x relative feature distance, at most 0.84


@dataclass(frozen=True)
class Looks:
    """What copies of pictures are found by.

    Parameters
    ----------
    features : (n, n_features), of the frozen network.
    thumbnails : (n, 32, 32), grey levels, 0 to 255.
    """

    features: NDArray[np.float32]
    thumbnails: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.features)


@dataclass(frozen=True)
class CopyPairs:
    """Pairs of examples that are near copies.

    Parameters
    ----------
    pairs : (n_pairs, 2), index in the first set and in the second; where both are one set, the smaller index first.
    agreement : (n_pairs,), how well they agree, at most 1.
    """

    pairs: NDArray[np.int64]
    agreement: NDArray[np.float64]


def aligned_copies(
    first: Looks, second: Looks | None = None, *, classes: NDArray[np.integer[Any]] | None = None
) -> CopyPairs:
    """Return the near copies between two sets of pictures, or within the first.

    Parameters
    ----------
    first, second : the sets; `second` None: within `first`.
    classes : of `first`: how far apart pictures of one class lie calibrates how near a copy must be; None: of any two.

    Notes
    -----
    Measured on flowers5 and CIFAR-10 with features of MobileNetV2 (docs/experiments.md). Copies turned or mirrored, and
    crops that keep less than two fifths of the area, are not found.
    """
    other = first if second is None else second
    if len(first) < 1 + (second is None) or not len(other):
        return CopyPairs(np.zeros((0, 2), np.int64), np.zeros(0))
    is_same = second is None
    own, theirs = unit_rows(first.features), unit_rows(other.features)
    typical = typical_distance(own, classes)
    pairs = []
    places, distance = nearest(theirs, own, _BY_FEATURES, is_same=is_same)
    near = distance <= _FARTHEST * typical
    pairs.append(np.stack([places[near], np.nonzero(near)[0]], axis=1))
    small = [unit_rows(_flattened(looks.thumbnails)) for looks in (first, other)]
    places, _ = nearest(small[1], small[0], _BY_THUMBNAIL, is_same=is_same)
    pairs.append(np.stack([places.ravel(), np.repeat(np.arange(len(other)), places.shape[1])], axis=1))
    if len(first) * len(other) <= _MOST_CROPPED:
        pairs += _cropped_neighbours(first.thumbnails, other.thumbnails, is_same=is_same)
    candidates = np.concatenate(pairs)
    if is_same:
        candidates = np.sort(candidates, axis=1)
    candidates = np.unique(candidates, axis=0)
    apart = 1 - np.einsum("nd,nd->n", own[candidates[:, 0]], theirs[candidates[:, 1]])
    wanted = np.minimum(_LEAST + _SLOPE * apart / typical, _MOST)
    found = agreement(first.thumbnails[candidates[:, 0]], other.thumbnails[candidates[:, 1]])
    is_copy = found >= wanted
    return CopyPairs(candidates[is_copy].astype(np.int64), found[is_copy])


def _flattened(thumbnails: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the thumbnails at 16 pixels, without their mean, as rows."""
    small = thumbnails.reshape(len(thumbnails), _HALF, 2, _HALF, 2).mean(axis=(2, 4)).reshape(len(thumbnails), -1)
    return np.asarray(small - small.mean(axis=1, keepdims=True), dtype=np.float32)


def _cropped_neighbours(
    first: NDArray[np.float32], other: NDArray[np.float32], *, is_same: bool
) -> list[NDArray[np.int64]]:
    """Return pairs (n, 2) of what looks most like a crop of each picture, and of what each is most like a crop of."""
    whole = [_tiny(images, 1.0, 0.0, 0.0) for images in (first, other)]
    rows = np.arange(len(other))
    best = np.full((2, len(other)), -1.0, np.float32)
    place = np.zeros((2, len(other)), np.int64)
    for crop in _CROPS:
        for way, alike in enumerate((whole[1] @ _tiny(first, *crop).T, _tiny(other, *crop) @ whole[0].T)):
            if is_same:
                np.fill_diagonal(alike, -1)
            nearest_one = alike.argmax(axis=1)
            value = alike[rows, nearest_one]
            place[way] = np.where(value > best[way], nearest_one, place[way])
            best[way] = np.maximum(best[way], value)
    return [np.stack([place[way][found], rows[found]], axis=1) for way in (0, 1) for found in (best[way] >= _ALIKE,)]


def _tiny(images: NDArray[np.float32], size: float, top: float, left: float) -> NDArray[np.float32]:
    """Return a crop of each thumbnail at 8 by 8, without its mean, as rows of norm 1."""
    down, across = (box_filter(SIDE, _TINY, start * SIDE, (start + size) * SIDE) for start in (top, left))
    small = (down @ images @ across.T).reshape(len(images), -1)
    return unit_rows(small - small.mean(axis=1, keepdims=True))
