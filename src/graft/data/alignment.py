"""Whether one thumbnail shows a part of another: found by sliding it, made exact by least squares.

A copy that was cropped agrees with its original neither in a perceptual hash nor quite in features. Laid over the right
box of it, it agrees pixel by pixel.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

__all__ = ["SIDE", "agreement", "box_filter"]

SIDE = 32
"""Height and width of a thumbnail, in pixels; it shows the whole picture, squeezed to a square."""
_COARSE = 16
_LEAST_SIDE = 10  # of 16: a part that shows less than two fifths of the area is not looked for
_STEPS = 6
_UNDECIDED = 0.03  # difference at first sight within which either may be the part of the other
_BLUR = {0: 2, 2: 1, 4: 0}  # step from which on: pixels around each one that are averaged
_FIRST_SIGHT = (
    0.8  # correlation at 16 pixels below which nobody looks closer: one pair of unrelated ones in ten has more
)
_BLOCK = 256  # pairs at a time
_FLAT = 2.0  # standard deviation of details, in grey levels, below which there is nothing to compare
_AROUND = 4  # pixels on each side of one that its detail is relative to

_Array = NDArray[np.float32]


def agreement(a: _Array, b: _Array) -> NDArray[np.float64]:
    """Return how well two thumbnails agree where one is laid over the best box of the other.

    Parameters
    ----------
    a, b : (n, 32, 32), grey levels from 0 to 255, pair by pair.

    Returns
    -------
    (n,), the correlation of their details, -1 to 1: of each pixel less the mean of the 9 by 9 around it, without
    what a whole row or column has in common. 0 where either has next to no detail, or where not even the pixels
    themselves agree at first sight.

    Notes
    -----
    At 16 pixels all boxes of 39 to 100 % of the area are tried; from the best one, four numbers (place and size, each
    in both directions) are refined at 32 pixels by Gauss-Newton steps, the first of them on smoothed pictures, since half
    a pixel costs a fine texture most of its correlation. Details, since any two fields under a sky agree in what is
    light and what is dark; without rows and columns, since horizons and frames do.

    References
    ----------
    Lucas & Kanade, An iterative image registration technique with an application to stereo vision, 1981.
    """
    found = np.zeros(len(a))
    for start in range(0, len(a), _BLOCK):
        at = np.arange(start, min(start + _BLOCK, len(a)))
        x, y = _shrunk(a[at], _COARSE), _shrunk(b[at], _COARSE)
        ways = (_slide(x, y), a, b), (_slide(y, x), b, a)
        best = np.maximum(ways[0][0][0], ways[1][0][0])
        likely = best >= _FIRST_SIGHT
        likely &= np.minimum(_detail(a[at]).std(axis=(1, 2)), _detail(b[at]).std(axis=(1, 2))) >= _FLAT
        for (seen, boxes), whole, part in ways:
            close = likely & (seen >= best - _UNDECIDED)
            if close.any():
                rows = at[close]
                refined = _refined(whole[rows], part[rows], boxes[close] * (SIDE / _COARSE))
                found[rows] = np.maximum(found[rows], refined)
    return found


def _refined(whole: _Array, part: _Array, boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the correlation of the details of `part` with those of the box of `whole`, once that is moved to fit."""
    grid = (np.arange(SIDE) + 0.5) / SIDE
    best, finest = np.full(len(whole), -1.0), _detail(part)
    image, wanted = whole, part
    for step in range(_STEPS + 1):
        if step in _BLUR:
            image, wanted = (_smooth(p, _BLUR[step]).astype(np.float32) for p in (whole, part))
        y, x = boxes[:, :1] + boxes[:, 2:3] * grid - 0.5, boxes[:, 1:2] + boxes[:, 3:] * grid - 0.5
        seen, down, right = _sampled(image, y, x)
        if step >= max(_BLUR):
            best = np.maximum(best, _correlation(_detail(seen), finest))
        if step == _STEPS:
            break
        slopes = np.stack([down, right, down * grid[:, None], right * grid, seen, np.ones_like(seen)], axis=1).reshape(
            len(whole), 6, -1
        )
        off = (wanted - seen).reshape(len(whole), -1, 1)
        square = slopes @ slopes.transpose(0, 2, 1) + 1e-3 * np.eye(6)
        change = np.linalg.solve(square, slopes @ off)[:, :4, 0]
        boxes = boxes + np.clip(change, -1.0, 1.0)
        boxes[:, 2:] = np.clip(boxes[:, 2:], SIDE * 0.5, SIDE * 1.02)
        boxes[:, :2] = np.clip(boxes[:, :2], -0.5, SIDE + 0.5 - boxes[:, 2:])
    return best


def _slide(whole: _Array, part: _Array) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the best correlation over all square boxes, and the box: (n, 4), top, left, height, width."""
    n, side = whole.shape[:2]
    best, boxes = np.full(n, -1.0), np.zeros((n, 4))
    sums, squares = _integral(whole), _integral(np.square(whole))
    for k in range(_LEAST_SIDE, side + 1):
        template = _shrunk(part, k).reshape(n, -1, 1)
        template = template - template.mean(axis=1, keepdims=True)
        windows = sliding_window_view(whole, (k, k), axis=(1, 2)).reshape(n, -1, k * k)
        spread = np.sqrt(np.maximum(_boxes(squares, k) - _boxes(sums, k) ** 2 / k**2, k**2))
        found = (windows @ template)[:, :, 0] / (spread * np.maximum(np.linalg.norm(template, axis=1), 1.0))
        place = found.argmax(axis=1)
        value = found[np.arange(n), place]
        top, left = np.divmod(place, side - k + 1)
        box = np.stack([top, left, np.full(n, k), np.full(n, k)], axis=1)
        boxes = np.where((value > best)[:, None], box, boxes)
        best = np.maximum(best, value)
    return best, boxes


def _integral(images: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    return np.pad(images.astype(np.float64).cumsum(axis=1).cumsum(axis=2), ((0, 0), (1, 0), (1, 0)))


def _boxes(integral: NDArray[np.float64], k: int) -> NDArray[np.float64]:
    """Return the sum of every k by k box: (n, n_boxes)."""
    found = integral[:, k:, k:] - integral[:, :-k, k:] - integral[:, k:, :-k] + integral[:, :-k, :-k]
    return found.reshape(len(integral), -1)


def _sampled(
    image: _Array, y: NDArray[np.float64], x: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return grey levels between pixels, and how fast they change downwards and to the right: (n, 32, 32) each."""
    y, x = np.clip(y, 0, SIDE - 1.001), np.clip(x, 0, SIDE - 1.001)
    top, left = y.astype(np.int64), x.astype(np.int64)
    v, h = (y - top)[:, :, None], (x - left)[:, None, :]
    n = np.arange(len(image))[:, None, None]
    top, left = top[:, :, None], left[:, None, :]
    a, b = image[n, top, left], image[n, top, left + 1]
    c, d = image[n, top + 1, left], image[n, top + 1, left + 1]
    seen = (a * (1 - h) + b * h) * (1 - v) + (c * (1 - h) + d * h) * v
    return seen, (c - a) * (1 - h) + (d - b) * h, (b - a) * (1 - v) + (d - c) * v


def _detail(images: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Return each pixel less the mean around it, and of that what is not the same along a whole row or column."""
    found = images - _smooth(images, _AROUND)
    return np.asarray(found - found.mean(axis=1, keepdims=True) - found.mean(axis=2, keepdims=True))


def _smooth(images: NDArray[np.floating[Any]], around: int) -> NDArray[np.float64]:
    """Return the mean of each pixel and those up to `around` away in either direction."""
    padded = np.pad(images, ((0, 0), (around, around), (around, around)), mode="edge")
    side = 2 * around + 1
    return _boxes(_integral(padded), side).reshape(images.shape) / side**2


def _correlation(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    a, b = a - a.mean(axis=(1, 2), keepdims=True), b - b.mean(axis=(1, 2), keepdims=True)
    norms = np.sqrt((a * a).sum(axis=(1, 2)) * (b * b).sum(axis=(1, 2)))
    return np.asarray((a * b).sum(axis=(1, 2)) / np.maximum(norms, 1.0))


def _shrunk(images: _Array, side: int) -> _Array:
    """Return (n, side, side): each new pixel the mean of what it covers."""
    if images.shape[1] == side:
        return images
    m = box_filter(images.shape[1], side, 0, images.shape[1])
    return np.asarray(m @ images @ m.T, dtype=np.float32)


@cache
def box_filter(before: int, after: int, start: float, end: float) -> _Array:
    """Return (after, before): each of `after` new pixels is the mean of what it covers of `start` to `end`."""
    edges = np.linspace(start, end, after + 1)
    pixels = np.arange(before)
    covered = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    covered = np.clip(covered, 0, None)
    return np.asarray(covered / covered.sum(axis=1, keepdims=True), dtype=np.float32)
