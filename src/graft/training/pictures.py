"""Pictures as the loop eats them: decoded once into a memory-mapped file, then distorted in batches.

A picture is stored as 3 bytes a pixel at one square size, so memory stays flat in the number of pictures: what is
mapped is read from disk when a batch asks for it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console
from torch import Tensor, nn

from graft.core.files import atomic_path
from graft.core.seeds import derive_seed
from graft.training.augmentation import Augmentation, augment
from graft.training.batches import ShuffledOrder

__all__ = ["PictureBatches", "normalise", "open_pictures", "predict_pictures", "square", "store_pictures"]

Pictures = NDArray[np.uint8]


def square(image: Image.Image, *, side: int) -> Pictures:
    """Return the middle square of a picture: (3, side, side) uint8, the shorter side resized to `side` (bicubic)."""
    width, height = image.size
    short = min(width, height)
    wide, high = side * width // short, side * height // short  # rounded down, as transformers does
    if (wide, high) != image.size:
        image = image.resize((wide, high), Image.Resampling.BICUBIC)
    left, top = (wide - side) // 2, (high - side) // 2
    pixels = np.asarray(image.crop((left, top, left + side, top + side)).convert("RGB"))
    return np.ascontiguousarray(pixels.transpose(2, 0, 1))


def store_pictures(
    path: Path, n_pictures: int, *, decode: Callable[[int], Image.Image], side: int, console: Console | None = None
) -> Pictures:
    """Return all pictures as a read-only map of (n_pictures, 3, side, side) uint8, decoded now if they never were.

    The file is whole or absent: it has its name only once the last picture is in it.

    Raises
    ------
    DataError
        When a picture cannot be read (from `decode`).
    ResourceError
        When the disk is full.
    """
    shape = (n_pictures, 3, side, side)
    if not path.exists():
        with atomic_path(path) as temporary:
            stored = np.lib.format.open_memmap(temporary, mode="w+", dtype=np.uint8, shape=shape)
            for index in _counted(n_pictures, console=console):
                stored[index] = square(decode(index), side=side)
            stored.flush()
            del stored
    return open_pictures(path)


def open_pictures(path: Path) -> Pictures:
    """Return the pictures of a file that `store_pictures` wrote, mapped, not read."""
    mapped: Pictures = np.load(path, mmap_mode="r")
    return mapped


def normalise(pictures: Tensor, *, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """Return (n, 3, H, W) float32 input values, ``(pixel / 255 - mean) / std``, from pixels of 0 to 255."""
    shape = (1, -1, 1, 1)
    offset, scale = torch.tensor(mean).view(shape) * 255, torch.tensor(std).view(shape) * 255
    return ((pictures.float() - offset) / scale).contiguous(memory_format=torch.channels_last)


class PictureBatches:
    """Batches of distorted pictures: the same step gives the same pixels.

    Parameters
    ----------
    pictures : (n_pictures, 3, H, W) uint8, an array or a map of a file.
    targets : (n_pictures,), class numbers.
    batch_size : pictures a batch.
    augmentation : the distortions, and the side of what comes out.
    mean, std : of the preprocessing, one a channel, on pixels of 0 to 1.
    seed : of order and distortions.
    """

    def __init__(
        self,
        pictures: Pictures,
        targets: NDArray[np.integer[Any]],
        *,
        batch_size: int,
        augmentation: Augmentation,
        mean: Sequence[float],
        std: Sequence[float],
        seed: int,
    ) -> None:
        self._order = ShuffledOrder(len(pictures), batch_size=batch_size, seed=seed)
        self._pictures, self._augmentation, self._seed = pictures, augmentation, seed
        self._targets = torch.from_numpy(np.array(targets, dtype=np.int64))
        self._mean, self._std = tuple(mean), tuple(std)

    def batch(self, step: int) -> dict[str, Tensor]:
        """Return ``pixel_values`` (batch_size, 3, side, side) float32 and ``labels`` (batch_size,) of one step."""
        indices = self._order.indices(step)
        ascending = np.argsort(indices, kind="stable")  # reads the file forwards
        pixels = np.empty((len(indices), *self._pictures.shape[1:]), dtype=np.uint8)
        pixels[ascending] = self._pictures[indices[ascending]]
        generator = torch.Generator().manual_seed(derive_seed(self._seed, "augment", step))
        distorted = augment(torch.from_numpy(pixels), self._augmentation, generator=generator)
        return {
            "pixel_values": normalise(distorted, mean=self._mean, std=self._std),
            "labels": self._targets[torch.from_numpy(indices)],
        }


@torch.inference_mode()
def predict_pictures(
    network: nn.Module,
    pictures: Pictures,
    *,
    side: int,
    mean: Sequence[float],
    std: Sequence[float],
    batch_size: int = 128,
) -> NDArray[np.float32]:
    """Return the network's logits on the middle squares of `side` pixels, undistorted: (n_pictures, n_classes)."""
    device = next(network.parameters()).device
    start = (pictures.shape[-1] - side) // 2
    network.eval()
    logits = []
    for first in range(0, len(pictures), batch_size):
        middle = pictures[first : first + batch_size, :, start : start + side, start : start + side]
        values = normalise(torch.from_numpy(np.ascontiguousarray(middle)), mean=mean, std=std)
        logits.append(network(pixel_values=values.to(device)).logits.float().cpu().numpy())
    return np.concatenate(logits)


def _counted(n: int, *, console: Console | None) -> Any:
    if console is None:
        return range(n)
    from rich.progress import track

    return track(range(n), description="decoding", console=console, transient=True)
