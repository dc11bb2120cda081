"""Distortions of whole batches of pictures: crop, flip and affine map are one resampling, then light."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal, get_args

import torch
from torch import Tensor
from torch.nn import functional

from graft.core.errors import UsageError, did_you_mean
from graft.training.operations import Policy, apply_operations, draw_operations, geometric_map

__all__ = ["Augmentation", "Distortions", "Strength", "augment", "distort", "draw_distortions"]

Strength = Literal["none", "light", "medium", "strong"]


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
    policy : drawn operations on top, see `graft.training.operations`; ``"trivial"``: one a picture, of any strength;
        ``"rand"``: two of one strength.
    policy_magnitude : strength of ``"rand"``, 0 to 30; ``"trivial"`` draws its own.

    Raises
    ------
    UsageError
        When a range is empty or out of bounds, or a name is not known.
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
    policy: Policy = "none"
    policy_magnitude: float = 9.0

    def __post_init__(self) -> None:
        for name, (low, high), limit in (("crop_area", self.crop_area, 1.0), ("zoom", self.zoom, 10.0)):
            if not 0 < low <= high <= limit:
                raise UsageError(f"{name} from {low} to {high}", expected=f"0 < low <= high <= {limit:g}")
        if self.side < 1 or self.crop_aspect < 1 or not 0 <= self.shift < 1:
            raise UsageError(
                f"side {self.side}, crop_aspect {self.crop_aspect}, shift {self.shift}",
                expected="side >= 1, crop_aspect >= 1, 0 <= shift < 1",
            )
        _check_name("policy", self.policy, known=get_args(Policy))
        if not 0 <= self.policy_magnitude <= 30:
            raise UsageError(f"policy_magnitude {self.policy_magnitude}", expected="0 to 30")

    @classmethod
    def for_side(cls, side: int, *, flip: bool) -> Augmentation:
        """Return the usual distortions: shifted and slightly turned small pictures (to 96 pixels), crops of larger."""
        if side <= 96:
            return cls(side, shift=0.125, zoom=(0.85, 1.15), rotation_degrees=10, shear_degrees=10, flip=flip,
                       brightness=0.1, contrast=0.2)  # fmt: skip
        return cls(side, crop_area=(0.35, 1.0), crop_aspect=4 / 3, flip=flip, brightness=0.2, contrast=0.2)

    @classmethod
    def for_strength(cls, side: int, strength: Strength, *, flip: bool) -> Augmentation:
        """Return distortions by a word.

        Parameters
        ----------
        strength : ``"none"``: nothing at all, no flip either; ``"light"``: small shifts (to 96 pixels) or mild crops;
            ``"medium"``: as `for_side`; ``"strong"``: that and TrivialAugment.
        flip : mirror half of the pictures, with all but ``"none"``.

        Raises
        ------
        UsageError
            When there is no such strength.

        Examples
        --------
        >>> Augmentation.for_strength(224, "light", flip=True).crop_area
        (0.6, 1.0)
        """
        _check_name("augmentation strength", strength, known=get_args(Strength))
        if strength == "none":
            return cls(side)
        if strength == "light":
            return cls(side, shift=0.0625, flip=flip) if side <= 96 else cls(side, crop_area=(0.6, 1.0), flip=flip)
        medium = cls.for_side(side, flip=flip)
        return medium if strength == "medium" else replace(medium, policy="trivial")


@dataclass(frozen=True)
class Distortions:
    """What was drawn for n pictures; what is done to one depends on its own row alone.

    Parameters
    ----------
    maps : (n, 2, 3), from coordinates of the outcome to those of the picture, -1 to 1.
    brightness, contrast : (n,), factors.
    operations, amounts : (n, k), see `graft.training.operations.draw_operations`.
    """

    maps: Tensor
    brightness: Tensor
    contrast: Tensor
    operations: Tensor
    amounts: Tensor

    def __len__(self) -> int:
        return len(self.maps)

    def __getitem__(self, rows: slice | Tensor) -> Distortions:
        parts = (self.maps, self.brightness, self.contrast, self.operations, self.amounts)
        return Distortions(*(part[rows] for part in parts))


def augment(
    pictures: Tensor,
    how: Augmentation,
    *,
    generator: torch.Generator,
    part: slice = slice(None),
    n_whole: int | None = None,
) -> Tensor:
    """Return distorted pictures: (n, 3, side, side) float32, pixels of 0 to 255.

    Parameters
    ----------
    pictures : (n, 3, H, W) uint8, those of `part`.
    generator : the only source of randomness, on the CPU; the same state gives the same pixels.
    part : where in a whole batch of `n_whole` the pictures are; what comes out equals these rows of the whole batch's
        outcome to the bit, and the generator ends in the same state.
    n_whole : pictures of the whole batch; None: those given are all.

    Raises
    ------
    UsageError
        When the pictures are not as many as the part.

    Examples
    --------
    >>> how, pictures = Augmentation.for_side(8, flip=True), torch.randint(256, (4, 3, 8, 8), dtype=torch.uint8)
    >>> whole = augment(pictures, how, generator=torch.Generator().manual_seed(0))
    >>> half = augment(pictures[2:], how, generator=torch.Generator().manual_seed(0), part=slice(2, 4), n_whole=4)
    >>> torch.equal(half, whole[2:])
    True
    """
    drawn = draw_distortions(how, len(pictures) if n_whole is None else n_whole, generator=generator)
    places = range(len(drawn))[part]
    if len(places) != len(pictures):
        raise UsageError(f"{len(pictures)} pictures for {part} of {len(drawn)}", expected=f"{len(places)} pictures")
    return distort(pictures, drawn[torch.tensor(places, dtype=torch.int64)], how=how)


def draw_distortions(how: Augmentation, n_pictures: int, *, generator: torch.Generator) -> Distortions:
    """Return the distortions of a whole batch.

    References
    ----------
    Szegedy et al., Going Deeper with Convolutions, 2015, section 6 (crops by area and aspect ratio).
    """

    def uniform(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(n_pictures, generator=generator)

    # Half the extent of the cut in each axis, in units of half the picture.
    area, log_aspect = uniform(*how.crop_area), uniform(-1, 1) * math.log(how.crop_aspect)
    half_x = (area * log_aspect.exp()).sqrt().clamp(max=1)
    half_y = (area * (-log_aspect).exp()).sqrt().clamp(max=1)
    centre_x, centre_y = uniform(-1, 1) * (1 - half_x), uniform(-1, 1) * (1 - half_y)
    centre_x, centre_y = centre_x + 2 * how.shift * uniform(-1, 1), centre_y + 2 * how.shift * uniform(-1, 1)
    zoom = (uniform(-1, 1) * 0.5 + 0.5) * (math.log(how.zoom[1]) - math.log(how.zoom[0])) + math.log(how.zoom[0])
    angle = uniform(-1, 1) * math.radians(how.rotation_degrees)
    shear = torch.tan(uniform(-1, 1) * math.radians(how.shear_degrees))
    mirror = 1 - 2 * ((torch.rand(n_pictures, generator=generator) < 0.5) & how.flip).float()
    light, contrast = 1 + uniform(-1, 1) * how.brightness, 1 + uniform(-1, 1) * how.contrast
    operations, amounts = draw_operations(how.policy, n_pictures, magnitude=how.policy_magnitude, generator=generator)

    # Output to input coordinates: the policy's map, rotation, shear, then the cut's extent.
    cos, sin, shrink = angle.cos(), angle.sin(), (-zoom).exp()
    rows = [
        torch.stack([half_x * shrink * mirror * cos, half_x * shrink * (shear * cos - sin), centre_x], dim=1),
        torch.stack([half_y * shrink * mirror * sin, half_y * shrink * (shear * sin + cos), centre_y], dim=1),
    ]
    maps = torch.stack(rows, dim=1)  # (n, 2, 3)
    if how.policy != "none":
        maps = maps @ geometric_map(operations, amounts)
    return Distortions(maps, light, contrast, operations, amounts)


def distort(pictures: Tensor, drawn: Distortions, *, how: Augmentation) -> Tensor:
    """Return pictures distorted as drawn: (n, 3, side, side) float32, pixels of 0 to 255.

    Parameters
    ----------
    pictures : (n, 3, H, W) uint8.
    drawn : of these n pictures.

    Notes
    -----
    A picture's outcome does not depend on the others or on the number of threads: no step adds up over pictures, and
    sums within a picture are taken in an order that its size alone sets.
    """
    pixels = functional.grid_sample(
        pictures.float(), _grid(drawn.maps, side=how.side), mode="bilinear", padding_mode="border", align_corners=False
    )
    if how.policy != "none":
        pixels = apply_operations(pixels.round_().to(torch.uint8), drawn.operations, amounts=drawn.amounts).float()
    if how.brightness or how.contrast:
        middle = pixels.mean(dim=3).mean(dim=(1, 2)).view(-1, 1, 1, 1)  # at once, one picture's is split over threads
        contrast, light = drawn.contrast.view(-1, 1, 1, 1), drawn.brightness.view(-1, 1, 1, 1)
        pixels = pixels.sub_(middle).mul_(contrast).add_(middle * light).clamp_(0, 255)
    return pixels


def _grid(maps: Tensor, *, side: int) -> Tensor:
    """Return the places to read, (n, side, side, 2); torch's own is a matrix product, whose bits may vary with n."""
    across = (2 * torch.arange(side) + 1) / side - 1
    grid = torch.empty(len(maps), side, side, 2)
    for axis in (0, 1):
        along_x = maps[:, axis, 0, None] * across + maps[:, axis, 2, None]
        along_y = maps[:, axis, 1, None] * across
        torch.add(along_x[:, None, :], along_y[:, :, None], out=grid[..., axis])
    return grid


def _check_name(what: str, name: str, *, known: tuple[str, ...]) -> None:
    if name not in known:
        raise UsageError(f"{what} {name!r}.{did_you_mean(name, known)}", expected="one of " + ", ".join(known))
