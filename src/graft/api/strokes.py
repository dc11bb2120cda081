"""What turns drawn letters into something like scanned handwriting: thinning, bending, thickness, fitting."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["COARSE_SIDE", "GLYPH_SIDE", "SCAN_SIDE", "distort", "thin"]

GLYPH_SIDE = 64  # pixels of a drawn glyph before it is distorted
SCAN_SIDE = 32  # pixels of the black and white picture whose ink a coarse picture counts
COARSE_SIDE = 8  # pixels of the coarse grey picture


def thin(pictures: Tensor) -> Tensor:
    """Return the middle lines of strokes, three pixels wide: (n, H, W) float32 of 0 and 1.

    Parameters
    ----------
    pictures : (n, H, W), ink above 0.5.

    References
    ----------
    Zhang and Suen, A Fast Parallel Algorithm for Thinning Digital Patterns, 1984.
    """
    ink = functional.pad(pictures > 0.5, (1, 1, 1, 1))
    while True:
        before = ink
        for first in (True, False):
            # Neighbours clockwise from above: P2 to P9 of the paper.
            p = [ink.roll(shift, dims=(1, 2)) for shift in ((1, 0), (1, -1), (0, -1), (-1, -1),
                                                           (-1, 0), (-1, 1), (0, 1), (1, 1))]  # fmt: skip
            n_ink = torch.stack(p).sum(0)
            n_rises = torch.stack([~p[i] & p[(i + 1) % 8] for i in range(8)]).sum(0)
            up, right, down, left = p[0], p[2], p[4], p[6]
            if first:
                is_edge = ~(up & right & down) & ~(right & down & left)
            else:
                is_edge = ~(up & right & left) & ~(up & down & left)
            ink = ink & ~((n_ink >= 2) & (n_ink <= 6) & (n_rises == 1) & is_edge)
        if torch.equal(ink, before):
            break
    line = ink[:, 1:-1, 1:-1].float()
    return functional.max_pool2d(line[:, None], 3, stride=1, padding=1)[:, 0]


def distort(pictures: Tensor, *, random: torch.Generator) -> Tensor:
    """Return black and white pictures (n, 32, 32) float32 of 0 and 1, of pictures (n, 1, 64, 64) float32 of 0 to 1.

    Rotated, sheared, stretched, bent by a smooth random field, with thinner or thicker strokes; then fitted to their
    ink again, as scanned characters are.

    References
    ----------
    Simard, Steinkraus and Platt, Best Practices for Convolutional Neural Networks, 2003, section 2.
    """
    n = len(pictures)

    def uniform(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(n, generator=random)

    angle, shear = uniform(-0.15, 0.15), uniform(-0.3, 0.3)
    wide, high = uniform(0.9, 1.8), uniform(0.85, 1.15)
    cos, sin, nothing = angle.cos(), angle.sin(), torch.zeros(n)
    theta = torch.stack(
        [
            torch.stack([wide * cos, wide * (shear * cos - sin), nothing], 1),
            torch.stack([high * sin, high * (shear * sin + cos), nothing], 1),
        ],
        dim=1,
    )
    grid = functional.affine_grid(theta, [n, 1, GLYPH_SIDE, GLYPH_SIDE], align_corners=False)
    for knots, strength in ((4, 0.14), (8, 0.04)):
        field = torch.randn(n, 2, knots, knots, generator=random) * strength * uniform(0.2, 1.0).view(n, 1, 1, 1)
        bent = functional.interpolate(field, size=(GLYPH_SIDE, GLYPH_SIDE), mode="bicubic", align_corners=True)
        grid = grid + bent.permute(0, 2, 3, 1)
    ink = functional.grid_sample(pictures, grid, align_corners=False)
    # Thickness: a blurred picture cut at a low or high level is a thicker or thinner one.
    blurred = functional.avg_pool2d(functional.avg_pool2d(ink, 5, stride=1, padding=2), 5, stride=1, padding=2)
    level = uniform(0.04, 0.35).view(n, 1, 1, 1)
    ink = (blurred > torch.minimum(level, 0.6 * blurred.amax(dim=(1, 2, 3), keepdim=True))).float()
    return _refit(ink, random=random)


def _refit(ink: Tensor, *, random: torch.Generator) -> Tensor:
    """Scale every drawing so that its ink fills the height, keeping widths within what fits: (n, 32, 32)."""
    n, _, side, _ = ink.shape
    places = torch.linspace(-1, 1, side)
    low_high = []
    for along in (2, 3):  # sum over rows gives columns, and the other way round
        has_ink = ink.sum(dim=(1, along)) > 0
        low_high.append(torch.where(has_ink, places, 2.0).amin(1))
        low_high.append(torch.where(has_ink, places, -2.0).amax(1))
    left, right, top, bottom = low_high
    fill = 1.0 + 0.12 * torch.rand(n, generator=random)
    half_height = (bottom - top).clamp(min=0.2) / 2 * fill
    half_width = torch.maximum((right - left).clamp(min=0.2) / 2 * fill, half_height)
    shift = 0.1 * (2 * torch.rand(n, generator=random) - 1) * half_width
    zero = torch.zeros(n)
    theta = torch.stack(
        [
            torch.stack([half_width, zero, (left + right) / 2 + shift], 1),
            torch.stack([zero, half_height, (top + bottom) / 2], 1),
        ],
        dim=1,
    )
    grid = functional.affine_grid(theta, [n, 1, SCAN_SIDE, SCAN_SIDE], align_corners=False)
    return (functional.grid_sample(ink, grid, align_corners=False)[:, 0] > 0.5).float()
