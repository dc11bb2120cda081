"""The honest baseline: the same network trained from random weights on the same labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from torch import nn

from graft.training.augmentation import Augmentation
from graft.training.loop import train
from graft.training.losses import classification_loss
from graft.training.pictures import PictureBatches
from graft.training.recipe import Recipe

__all__ = ["scratch_steps", "train_from_scratch"]

_BATCH_SIZE = 64
_EPOCHS = 60
_FEWEST_STEPS = 600


def scratch_steps(n_examples: int, *, batch_size: int = _BATCH_SIZE) -> int:
    """Return the steps of training from scratch: 60 passes, and never under 600, so that tiny sets get enough."""
    return max(_FEWEST_STEPS, -(-_EPOCHS * n_examples // batch_size))


def train_from_scratch(
    network: nn.Module,
    pictures: NDArray[np.uint8],
    targets: NDArray[np.integer[Any]],
    *,
    mean: Sequence[float],
    std: Sequence[float],
    seed: int,
    flip: bool = True,
    augmentation: Augmentation | None = None,
    max_seconds: float | None = None,
    n_steps: int | None = None,
    learning_rate: float = 2e-3,
    label_smoothing: float = 0.1,
    console: Console | None = None,
) -> nn.Module:
    """Return `network`, trained in place on all its parameters with distortions, warm-up and cosine.

    Parameters
    ----------
    network : with random weights; called as ``network(pixel_values=...)``, answers with ``.logits``.
    pictures : (n, 3, H, W) uint8, H = W, an array or a map of a file, as the preprocessing gives them before
        it normalises.
    targets : (n,), class numbers.
    mean, std : of the preprocessing, one a channel, on pixels of 0 to 1.
    flip : mirror half of the pictures; off for letters and digits.
    augmentation : the distortions; None: those that `Augmentation.for_side` gives for the size and `flip`.
    max_seconds : the schedule ends by then, whatever `n_steps` is; None: no bound.
    n_steps : optimizer steps; None: `scratch_steps`.

    Raises
    ------
    DataError, ModelError, Interrupted
        As `graft.training.loop.train` does.
    """
    batch_size = min(_BATCH_SIZE, max(len(pictures), 1))
    recipe = Recipe(
        n_steps=scratch_steps(len(pictures), batch_size=batch_size) if n_steps is None else n_steps,
        learning_rate=learning_rate,
        weight_decay=0.05,
        ema_decay=0.99,
        seed=seed,
    )
    batches = PictureBatches(
        pictures,
        targets,
        batch_size=batch_size,
        augmentation=augmentation or Augmentation.for_side(pictures.shape[-1], flip=flip),
        mean=mean,
        std=std,
        seed=seed,
    )
    train(
        network,
        batches,
        loss=classification_loss(label_smoothing=label_smoothing),
        recipe=recipe,
        max_seconds=max_seconds,
        console=console,
    )
    return network
