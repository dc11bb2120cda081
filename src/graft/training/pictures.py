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

from graft.core.errors import DataError, UsageError
from graft.core.files import atomic_path
from graft.core.seeds import derive_seed, generator
from graft.training.augmentation import Augmentation, distort, draw_distortions
from graft.training.batches import ShuffledOrder
from graft.training.mixing import Mixing, draw_mix, mix_pictures, soft_targets

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
    """Batches of distorted pictures: the same step gives the same pixels, whole or in parts.

    Parameters
    ----------
    pictures : (n_pictures, 3, H, W) uint8, an array or a map of a file.
    targets : (n_pictures,), class numbers; or (n_pictures, n_classes), 0 or 1, for several labels a picture.
    batch_size : pictures a batch.
    augmentation : the distortions, and the side of what comes out.
    mean, std : of the preprocessing, one a channel, on pixels of 0 to 1.
    seed : of order, distortions and mixing.
    rows : which of the pictures are trained on; None: all.
    n_classes : needed for soft labels only.
    mixing : of the pictures of a batch with each other; None: not mixed.
    label_smoothing : share of a label's mass that is spread evenly over all classes, 0 to 1.

    Raises
    ------
    DataError
        When there is no picture to train on, or targets or rows do not fit the pictures.
    UsageError
        When soft labels are asked for without `n_classes`, or a number is out of bounds.
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
        rows: NDArray[np.integer[Any]] | None = None,
        n_classes: int | None = None,
        mixing: Mixing | None = None,
        label_smoothing: float = 0.0,
    ) -> None:
        self._rows = np.arange(len(pictures)) if rows is None else np.array(rows, dtype=np.int64)
        self._order = ShuffledOrder(len(self._rows), batch_size=batch_size, seed=seed)
        self._pictures, self._augmentation, self._seed = pictures, augmentation, seed
        self._targets = torch.from_numpy(np.array(targets, dtype=np.int64))
        self._mean, self._std = tuple(mean), tuple(std)
        self.batch_size = batch_size
        if len(targets) != len(pictures):
            raise DataError(f"{len(targets)} targets", expected=f"one for each of {len(pictures)} pictures")
        if self._rows.min() < 0 or self._rows.max() >= len(pictures):
            raise DataError(
                f"rows {self._rows.min()} to {self._rows.max()}", expected=f"0 to {len(pictures) - 1}, one a picture"
            )
        if not 0 <= label_smoothing <= 1:
            raise UsageError(f"label_smoothing {label_smoothing}", expected="0 to 1")
        self._mixing = mixing if mixing is not None and mixing.is_on else None
        self._label_smoothing = label_smoothing
        is_soft = self._mixing is not None or label_smoothing > 0
        if is_soft and n_classes is None:
            raise UsageError("mixing or label smoothing without n_classes", fix="PictureBatches(..., n_classes=10)")
        self._n_classes = n_classes if is_soft else None
        highest = int(self._targets[torch.from_numpy(self._rows)].max())
        if self._n_classes is not None and highest >= self._n_classes:
            raise DataError(f"a target {highest}", expected=f"0 to {self._n_classes - 1}, as n_classes says")

    def batch(self, step: int, part: slice = slice(None)) -> dict[str, Tensor]:
        """Return one step's batch, or the rows of it that `part` names, equal to the bit.

        Parameters
        ----------
        step : counted from 0.
        part : positions in the whole batch; only these pictures and the partners they are mixed with are read.

        Returns
        -------
        dict
            ``pixel_values`` (n, 3, side, side) float32, ``labels`` int64 in the form of the targets, and where pictures
            are mixed or labels smoothed ``soft_labels`` (n, n_classes) float32.
        """
        indices = self._rows[self._order.indices(step)]
        places = np.arange(self.batch_size)[part]
        mix = None
        if self._mixing is not None:
            source = generator(self._seed, "mixing", step)
            mix = draw_mix(self._mixing, self.batch_size, side=self._augmentation.side, generator=source)
        labels, partner_labels = self._targets[torch.from_numpy(indices[places])], None
        if mix is None:
            pixels = self._distorted(step, indices, places=places)
        else:
            others = mix.partners[places]
            partner_labels = self._targets[torch.from_numpy(indices[others])]
            needed, where = np.unique(np.concatenate([places, others]), return_inverse=True)
            distorted = self._distorted(step, indices, places=needed)
            own, partner = torch.from_numpy(where).view(2, -1)
            pixels = mix_pictures(distorted[own], distorted[partner], mix=mix)
        batch = {"pixel_values": normalise(pixels, mean=self._mean, std=self._std), "labels": labels}
        if self._n_classes is not None:
            batch["soft_labels"] = soft_targets(
                labels,
                self._n_classes,
                smoothing=self._label_smoothing,
                partners=partner_labels,
                share=1.0 if mix is None else mix.share,
            )
        return batch

    def _distorted(self, step: int, indices: NDArray[np.int64], *, places: NDArray[np.int64]) -> Tensor:
        """Return the pictures at some places of a step's batch, each distorted as its place demands."""
        wanted = indices[places]
        ascending = np.argsort(wanted, kind="stable")  # reads the file forwards
        pixels = np.empty((len(wanted), *self._pictures.shape[1:]), dtype=np.uint8)
        pixels[ascending] = self._pictures[wanted[ascending]]
        source = torch.Generator().manual_seed(derive_seed(self._seed, "augment", step))
        drawn = draw_distortions(self._augmentation, self.batch_size, generator=source)
        return distort(torch.from_numpy(pixels), drawn[torch.from_numpy(places)], how=self._augmentation)


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
        values = normalise(torch.from_numpy(np.array(middle, order="C")), mean=mean, std=std)
        logits.append(network(pixel_values=values.to(device)).logits.float().cpu().numpy())
    return np.concatenate(logits)


def _counted(n: int, *, console: Console | None) -> Any:
    if console is None:
        return range(n)
    from rich.progress import track

    return track(range(n), description="decoding", console=console, transient=True)
