"""Distortions of whole batches of pictures: crop, flip and affine map are one resampling, then light."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from graft.core.errors import UsageError

__all__ = ["Augmentation", "augment"]


@dataclass(frozen=True)
class Augmentation:
    """How far a picture may be distorted; every amount is drawn evenly from its range.

    Parameters
    ----------
    side : pixels of a side of what comes out.
    crop_area : (low, high), share of the picture's area that is cut out and brought to `side`; (1, 1): all of it.
    crop_aspect : largest ratio of the sides of the cut, at least 1.
    shift : largest shift, as a share of the side. What comes from outside the picture repeats its border.
    zoom : (low, high), factor of size.
    rotation_degrees, shear_degrees : largest angles, either way.
    flip : mirror half of the pictures; off for letters, digits and all that has a left and a right.
    brightness, contrast : largest change, as a share; 0: none.

    Raises
    ------
    UsageError
        When a range is empty or out of bounds.
    """

    side: int
    crop_area: tuple[float, float] = (1.0, 1.0)
    crop_aspect: float = 1.0
    shift: float = 0.0
    zoom: tuple[float, float] = (1.0, 1.0)
    rotation_degrees: float = 0.0
    shear_degrees: float = 0.0
    flip: bool = False
    brightness: float = 0.0
    contrast: float = 0.0

    def __post_init__(self) -> None:
        for name, (low, high), limit in (("crop_area", self.crop_area, 1.0), ("zoom", self.zoom, 10.0)):
            if not 0 < low <= high <= limit:
                raise UsageError(f"{name} from {low} to {high}", expected=f"0 < low <= high <= {limit:g}")
        if self.side < 1 or self.crop_aspect < 1 or not 0 <= self.shift < 1:
            raise UsageError(
                f"side {self.side}, crop_aspect {self.crop_aspect}, shift {self.shift}",
                expected="side >= 1, crop_aspect >= 1, 0 <= shift < 1",
            )

    @classmethod
    def for_side(cls, side: int, *, flip: bool) -> Augmentation:
        """Return the usual distortions: shifted and slightly turned small pictures (to 96 pixels), crops of larger."""
        if side <= 96:
            return cls(side, shift=0.125, zoom=(0.85, 1.15), rotation_degrees=10, shear_degrees=10, flip=flip,
                       brightness=0.1, contrast=0.2)  # fmt: skip
        return cls(side, crop_area=(0.35, 1.0), crop_aspect=4 / 3, flip=flip, brightness=0.2, contrast=0.2)


def augment(pictures: Tensor, how: Augmentation, *, generator: torch.Generator) -> Tensor:
    """Return distorted pictures: (n, 3, side, side) float32, pixels of 0 to 255.

    Parameters
    ----------
    pictures : (n, 3, H, W) uint8.
    generator : the only source of randomness; the same state gives the same pixels.

    References
    ----------
    Szegedy et al., Going Deeper with Convolutions, 2015, section 6 (crops by area and aspect ratio).
    """
    n = len(pictures)

    def uniform(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(n, generator=generator)

    # Half the extent of the cut in each axis, in units of half the picture.
    area, log_aspect = uniform(*how.crop_area), uniform(-1, 1) * math.log(how.crop_aspect)
    half_x = (area * log_aspect.exp()).sqrt().clamp(max=1)
    half_y = (area * (-log_aspect).exp()).sqrt().clamp(max=1)
    centre_x, centre_y = uniform(-1, 1) * (1 - half_x), uniform(-1, 1) * (1 - half_y)
    centre_x, centre_y = centre_x + 2 * how.shift * uniform(-1, 1), centre_y + 2 * how.shift * uniform(-1, 1)
    zoom = (uniform(-1, 1) * 0.5 + 0.5) * (math.log(how.zoom[1]) - math.log(how.zoom[0])) + math.log(how.zoom[0])
    angle = uniform(-1, 1) * math.radians(how.rotation_degrees)
    shear = torch.tan(uniform(-1, 1) * math.radians(how.shear_degrees))
    mirror = 1 - 2 * ((torch.rand(n, generator=generator) < 0.5) & how.flip).float()
    light, contrast = 1 + uniform(-1, 1) * how.brightness, 1 + uniform(-1, 1) * how.contrast

    # Output to input coordinates: rotation, shear, then the cut's extent.
    cos, sin, shrink = angle.cos(), angle.sin(), (-zoom).exp()
    rows = [
        torch.stack([half_x * shrink * mirror * cos, half_x * shrink * (shear * cos - sin), centre_x], dim=1),
        torch.stack([half_y * shrink * mirror * sin, half_y * shrink * (shear * sin + cos), centre_y], dim=1),
    ]
    theta = torch.stack(rows, dim=1)  # (n, 2, 3)
    grid = functional.affine_grid(theta, [n, 3, how.side, how.side], align_corners=False)
    pixels = functional.grid_sample(pictures.float(), grid, mode="bilinear", padding_mode="border", align_corners=False)
    if how.brightness or how.contrast:
        middle = pixels.mean(dim=(1, 2, 3), keepdim=True)
        pixels = (pixels - middle) * contrast.view(-1, 1, 1, 1) + middle * light.view(-1, 1, 1, 1)
        pixels = pixels.clamp_(0, 255)
    return pixels
