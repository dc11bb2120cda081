"""The honest baseline 'the same network trained from random weights', on the same pictures and preprocessing."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console

from graft.backbones.loading import ImageModel, random_network
from graft.core.errors import UsageError
from graft.core.seeds import derive_seed
from graft.core.types import Predictions
from graft.data.dataset import LabeledDataset
from graft.data.images import decode_image
from graft.training.augmentation import Augmentation
from graft.training.from_scratch import train_from_scratch

__all__ = ["scratch_predictions"]


def scratch_predictions(
    train: LabeledDataset,
    test: LabeledDataset,
    model: ImageModel,
    *,
    label_names: tuple[str, ...],
    seed: int,
    has_flip: bool = True,
    is_augmented: bool = True,
    n_steps: int | None = None,
    console: Console | None = None,
) -> Predictions:
    """Train the model's architecture from random weights on `train` and return its predictions of `test`.

    Parameters
    ----------
    has_flip : mirror half of the pictures.
    is_augmented : distort the pictures, as `graft.training.augmentation.Augmentation.for_side` does; else they are
        learned as they are.
    n_steps : optimizer steps; None: `graft.training.from_scratch.scratch_steps`.

    Raises
    ------
    UsageError
        When the model's preprocessing cannot be shared with training from scratch.
    """
    preprocessing = model.preprocessing
    if not preprocessing.is_split or preprocessing.shape[0] != 3 or preprocessing.shape[1] != preprocessing.shape[2]:
        raise UsageError(
            f"--from-scratch with {model.backbone.id}: its preprocessing gives {preprocessing.shape} pictures",
            expected="square RGB pictures, resized and normalised",
            fix="leave --from-scratch away (Python: from_scratch=False)",
        )
    std = 1 / (255 * preprocessing.scale)
    mean = -preprocessing.offset * std
    network = random_network(model, seed=derive_seed(seed, "from scratch"))
    with tempfile.TemporaryDirectory(prefix="graft-scratch-") as folder:
        pixels = _pixels(train, model, Path(folder) / "train.npy")
        train_from_scratch(
            network,
            pixels,
            train.labels,
            mean=mean.tolist(),
            std=std.tolist(),
            seed=seed,
            flip=has_flip,
            augmentation=None if is_augmented else Augmentation(preprocessing.shape[1]),
            n_steps=n_steps,
            console=console,
        )
    return Predictions(test.ids, test.labels, _logits(network, test, model), label_names, "test")


def _pixels(data: LabeledDataset, model: ImageModel, path: Path) -> NDArray[np.uint8]:
    """Return preprocessed pixels of all pictures, in a file that is mapped, not read."""
    stored = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=(len(data), *model.preprocessing.shape))
    for i in range(len(data)):
        stored[i] = model.preprocessing(decode_image(data.read(i), name=data.place(i)))
    stored.flush()
    return np.load(path, mmap_mode="r")


@torch.inference_mode()
def _logits(
    network: torch.nn.Module, data: LabeledDataset, model: ImageModel, *, batch_size: int = 64
) -> NDArray[np.float32]:
    network.eval()
    device = next(network.parameters()).device
    scale, offset = (
        torch.from_numpy(x).view(1, -1, 1, 1).to(device)
        for x in (model.preprocessing.scale, model.preprocessing.offset)
    )
    found = []
    for first in range(0, len(data), batch_size):
        rows = range(first, min(first + batch_size, len(data)))
        pixels = np.stack([model.preprocessing(decode_image(data.read(i), name=data.place(i))) for i in rows])
        values = torch.from_numpy(pixels).to(device).float() * scale + offset
        found.append(network(pixel_values=values).logits.float().cpu().numpy())
    return np.concatenate(found)
