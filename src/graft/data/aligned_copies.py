"""Near copies of pictures that were cropped, scaled or encoded anew: candidates by neighbourhood, proof by pixels.

Candidates are the nearest pictures in feature space and the nearest thumbnails. A candidate is a copy when one
thumbnail laid over the best box of the other (`graft.data.alignment`) agrees with it. How well it must agree depends on how near
the features are, measured by the typical distance of two pictures of the same class: those are alike without being
copies.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graft.data.alignment import SIDE, agreement, unlikely_to_agree
from graft.data.neighbours import nearest, typical_distance, unit_rows

__all__ = ["CopyPairs", "Looks", "aligned_copies"]

_BY_FEATURES, _BY_THUMBNAIL = 3, 2
_HALF = SIDE // 2
_FARTHEST = 1.0  # of the typical distance, beyond which feature neighbours are not looked at
_LEAST, _SLOPE, _MOST = 0.85, 0.2, 0.97  # agreement asked for: 0.85 + 0.2 x relative feature distance, at most 0.97


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
    candidates = np.concatenate(pairs)
    if is_same:
        candidates = np.sort(candidates, axis=1)
    candidates = np.unique(candidates, axis=0)
    candidates = candidates[~unlikely_to_agree(first.thumbnails[candidates[:, 0]], other.thumbnails[candidates[:, 1]])]
    apart = 1 - np.einsum("nd,nd->n", own[candidates[:, 0]], theirs[candidates[:, 1]])
    wanted = np.minimum(_LEAST + _SLOPE * apart / typical, _MOST)
    found = agreement(first.thumbnails[candidates[:, 0]], other.thumbnails[candidates[:, 1]])
    is_copy = found >= wanted
    return CopyPairs(candidates[is_copy].astype(np.int64), found[is_copy])


def _flattened(thumbnails: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the thumbnails at 16 pixels, without their mean, as rows."""
    small = thumbnails.reshape(len(thumbnails), _HALF, 2, _HALF, 2).mean(axis=(2, 4)).reshape(len(thumbnails), -1)
    return np.asarray(small - small.mean(axis=1, keepdims=True), dtype=np.float32)
