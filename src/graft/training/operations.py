"""Named operations on pictures and the two policies that draw them: TrivialAugment and RandAugment.

Pixel operations take and give whole batches of uint8 pictures and equal Pillow's to the bit. Geometric operations are
given as a map of coordinates, so that they cost no resampling of their own.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

__all__ = ["OPERATIONS", "Policy", "apply_operation", "apply_operations", "draw_operations", "geometric_map"]

Policy = Literal["none", "trivial", "rand"]

# Largest amount under (RandAugment, TrivialAugment's wide space), and whether it goes both ways.
# Factors: change from 1. Posterize: bits taken. Solarize: share of the scale that is inverted. Rotate: degrees.
# Shear: tangent. Translate: share of the side.
_LARGEST = {
    "identity": (0.0, 0.0, False),
    "autocontrast": (0.0, 0.0, False),
    "equalize": (0.0, 0.0, False),
    "brightness": (0.9, 0.99, True),
    "colour": (0.9, 0.99, True),
    "contrast": (0.9, 0.99, True),
    "sharpness": (0.9, 0.99, True),
    "posterize": (4.0, 6.0, False),
    "solarize": (1.0, 1.0, False),
    "rotate": (30.0, 135.0, True),
    "shear_x": (0.3, 0.99, True),
    "shear_y": (0.3, 0.99, True),
    "translate_x": (150 / 331, 32 / 224, True),
    "translate_y": (150 / 331, 32 / 224, True),
}
OPERATIONS = tuple(_LARGEST)
_N_LEVELS = 30
_N_RAND = 2  # operations a picture under RandAugment


def draw_operations(
    policy: Policy, n_pictures: int, *, magnitude: float, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Return places in `OPERATIONS` (n_pictures, n) int64, and their amounts (n_pictures, n) float32.

    Parameters
    ----------
    policy : ``"none"``: n is 0; ``"trivial"``: 1; ``"rand"``: 2.
    magnitude : strength of RandAugment's operations, 0 to 30; TrivialAugment draws it anew for each picture.

    Notes
    -----
    Both draw from all 14 operations. Shifts are shares of the side: TrivialAugment's 32 pixels are taken at 224.
    Solarizing starts from 256, where the identity is, not from 255. What comes from outside the picture repeats its
    border instead of one colour, and geometric operations come before the others.

    References
    ----------
    Müller & Hutter, TrivialAugment, 2021, https://arxiv.org/abs/2103.10158, table 1 (wide).
    Cubuk et al., RandAugment, 2020, https://arxiv.org/abs/1909.13719, section 3.
    """
    if policy == "none":
        return torch.zeros(n_pictures, 0, dtype=torch.int64), torch.zeros(n_pictures, 0)
    column, n_drawn = (0, _N_RAND) if policy == "rand" else (1, 1)
    shape = (n_pictures, n_drawn)
    operations = torch.randint(len(OPERATIONS), shape, generator=generator)
    levels = torch.randint(_N_LEVELS + 1, shape, generator=generator).float()
    ways = 1 - 2 * torch.randint(2, shape, generator=generator).float()
    if policy == "rand":
        levels = torch.full(shape, float(magnitude))
    largest = torch.tensor([row[column] for row in _LARGEST.values()])[operations]
    is_signed = torch.tensor([row[2] for row in _LARGEST.values()])[operations]
    return operations, levels / _N_LEVELS * largest * torch.where(is_signed, ways, torch.ones(()))


def geometric_map(operations: Tensor, amounts: Tensor) -> Tensor:
    """Return where each point of the outcome lies in the picture: (n, 3, 3) float32, coordinates of -1 to 1.

    Parameters
    ----------
    operations, amounts : (n, k), as `draw_operations` gives them; all that are not geometric leave points in place.
    """

    def amount(name: str) -> Tensor:
        return torch.where(operations == OPERATIONS.index(name), amounts, torch.zeros(()))  # (n, k)

    angle = amount("rotate") * (math.pi / 180)
    zero, one = torch.zeros_like(amounts), torch.ones_like(amounts)
    # Of all amounts of a picture at most one is not 0 in each column, so their order within it does not matter.
    entries = [
        [angle.cos(), amount("shear_x") - angle.sin(), 2 * amount("translate_x")],
        [amount("shear_y") + angle.sin(), angle.cos(), 2 * amount("translate_y")],
        [zero, zero, one],
    ]
    steps = torch.stack([torch.stack(row, dim=-1) for row in entries], dim=-2)  # (n, k, 3, 3)
    whole = torch.eye(3).expand(len(operations), 3, 3)
    for place in range(operations.shape[1]):
        whole = whole @ steps[:, place]
    return whole


def apply_operations(pictures: Tensor, operations: Tensor, *, amounts: Tensor) -> Tensor:
    """Return `pictures` after their pixel operations, column after column: (n, 3, H, W) uint8.

    Parameters
    ----------
    pictures : (n, 3, H, W) uint8; left as they are.
    operations, amounts : (n, k), as `draw_operations` gives them; the geometric ones are passed over.
    """
    outcome = pictures.clone()
    for place in range(operations.shape[1]):
        for number, name in enumerate(OPERATIONS):
            if name in _PIXELWISE:
                rows = (operations[:, place] == number).nonzero()[:, 0]
                if len(rows):
                    outcome[rows] = apply_operation(outcome[rows], name, amounts=amounts[rows, place])
    return outcome


def apply_operation(pictures: Tensor, name: str, *, amounts: Tensor) -> Tensor:
    """Return all pictures after one pixel operation: (n, 3, H, W) uint8.

    Parameters
    ----------
    pictures : (n, 3, H, W) uint8.
    name : one of `OPERATIONS`, not geometric.
    amounts : (n,), change of the factor from 1; for posterize the bits taken, rounded; for solarize the share of the
        scale, from its bright end, that is inverted. The others need none.

    Examples
    --------
    >>> grey = torch.full((1, 3, 2, 2), 200, dtype=torch.uint8)
    >>> apply_operation(grey, "brightness", amounts=torch.tensor([-0.5]))[0, 0, 0].tolist()
    [100, 100]
    """
    return _PIXELWISE[name](pictures, amounts.view(-1, 1, 1, 1))


def _blend(degenerate: Tensor, pictures: Tensor, amounts: Tensor) -> Tensor:
    """Return ``degenerate + (1 + amount) (pictures - degenerate)``, cut off to whole numbers as Pillow does."""
    pixels = torch.sub(pictures.float(), degenerate).mul_(1 + amounts).add_(degenerate)
    return pixels.clamp_(0, 255).to(torch.uint8)


def _grey(pictures: Tensor) -> Tensor:
    """Return the luma of ITU-R 601-2 in Pillow's whole numbers: (n, 1, H, W) int32."""
    red, green, blue = pictures.int().split(1, dim=1)
    return (19595 * red + 38470 * green + 7471 * blue + 0x8000) >> 16


def _brightness(pictures: Tensor, amounts: Tensor) -> Tensor:
    return _blend(torch.zeros(()), pictures, amounts)


def _colour(pictures: Tensor, amounts: Tensor) -> Tensor:
    return _blend(_grey(pictures).float(), pictures, amounts)


def _contrast(pictures: Tensor, amounts: Tensor) -> Tensor:
    grey = _grey(pictures)
    middle = (grey.sum(dim=(1, 2, 3), keepdim=True).double() / grey[0].numel() + 0.5).floor()
    return _blend(middle.float(), pictures, amounts)


def _sharpness(pictures: Tensor, amounts: Tensor) -> Tensor:
    height, width = pictures.shape[2:]
    if height < 3 or width < 3:
        return pictures
    whole = pictures.short()
    rows = whole[:, :, :-2] + whole[:, :, 1:-1] + whole[:, :, 2:]
    total = rows[..., :-2] + rows[..., 1:-1] + rows[..., 2:] + 4 * whole[:, :, 1:-1, 1:-1]  # of 13 in all
    smooth = pictures.float()  # Pillow leaves the border as it is
    smooth[:, :, 1:-1, 1:-1] = (total.float() / 13).round_()
    return _blend(smooth, pictures, amounts)


def _posterize(pictures: Tensor, amounts: Tensor) -> Tensor:
    kept = torch.tensor([256 - 2**bits for bits in range(9)], dtype=torch.int64)
    return pictures & kept[amounts.round().long()].to(torch.uint8)


def _solarize(pictures: Tensor, amounts: Tensor) -> Tensor:
    return torch.where(pictures.short() < 256 * (1 - amounts), pictures, 255 - pictures)


def _autocontrast(pictures: Tensor, amounts: Tensor) -> Tensor:
    flat = pictures.flatten(2)
    low, high = flat.amin(dim=2, keepdim=True).double(), flat.amax(dim=2, keepdim=True).double()
    scale = torch.full_like(low, 255) / (high - low).clamp(min=1)  # 255 / tensor would be 255 * its reciprocal
    values = torch.arange(256, dtype=torch.float64)
    stretched = (values * scale - low * scale).clamp_(0, 255)
    return _look_up(pictures, torch.where(high > low, stretched, values))


def _equalize(pictures: Tensor, amounts: Tensor) -> Tensor:
    n_channels = pictures.shape[0] * pictures.shape[1]
    flat = pictures.view(n_channels, -1).long() + 256 * torch.arange(n_channels)[:, None]
    counts = torch.bincount(flat.view(-1), minlength=256 * n_channels).view(n_channels, 256)
    last = counts.gather(1, flat.amax(dim=1, keepdim=True) % 256)  # pixels of the brightest value
    step = (counts.sum(dim=1, keepdim=True) - last) // 255
    table = (counts.cumsum(dim=1) - counts + step // 2) // step.clamp(min=1)
    table = torch.where(step > 0, table.clamp_(max=255), torch.arange(256))
    return _look_up(pictures, table.view(*pictures.shape[:2], 256))


def _look_up(pictures: Tensor, tables: Tensor) -> Tensor:
    """Return ``tables[i, c][pictures[i, c]]``; tables : (n, 3, 256), cut off to whole numbers."""
    return tables.to(torch.uint8).gather(2, pictures.flatten(2).long()).view(pictures.shape)


_PIXELWISE: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "autocontrast": _autocontrast,
    "equalize": _equalize,
    "brightness": _brightness,
    "colour": _colour,
    "contrast": _contrast,
    "sharpness": _sharpness,
    "posterize": _posterize,
    "solarize": _solarize,
}
