"""One small training run, also as a program that another process kills.

``python runs.py WEIGHTS [CHECKPOINT LOG SLEEP_S]`` writes the trained weights; from CHECKPOINT on, if it is there.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from sklearn.datasets import load_digits
from torch import Tensor, nn

from graft.training.augmentation import Augmentation
from graft.training.checkpoints import CheckpointPlan
from graft.training.loop import train
from graft.training.losses import classification_loss
from graft.training.pictures import PictureBatches
from graft.training.recipe import Recipe

N_STEPS = 14


class TinyNetwork(nn.Module):
    """Convolution, BatchNorm, dropout and a head: all that a checkpoint must keep."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, 8, 3, stride=2)
        self.norm = nn.BatchNorm2d(8)
        self.dropout = nn.Dropout(0.1)
        self.head = nn.Linear(8 * 9, 10)

    def forward(self, pixel_values: Tensor) -> SimpleNamespace:
        hidden = torch.relu(self.norm(self.convolution(pixel_values))).flatten(1)
        return SimpleNamespace(logits=self.head(self.dropout(hidden)))


def tiny_network() -> TinyNetwork:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return TinyNetwork()


def digit_pictures() -> tuple[np.ndarray, np.ndarray]:
    """Return 300 real pictures (300, 3, 8, 8) uint8 and their digits."""
    found = load_digits()
    grey = np.minimum(found.images[:300] * 16, 255).astype(np.uint8)
    return np.repeat(grey[:, None], 3, axis=1), found.target[:300].astype(np.int64)


def digit_batches() -> PictureBatches:
    pictures, targets = digit_pictures()
    return PictureBatches(
        pictures,
        targets,
        batch_size=16,
        augmentation=Augmentation.for_side(8, flip=False),
        mean=[0.5] * 3,
        std=[0.5] * 3,
        seed=3,
    )


class Watched:
    """Batches that tell which step is asked for, before it is given."""

    def __init__(self, inner: PictureBatches, on_step: Callable[[int], None]) -> None:
        self._inner, self._on_step, self.batch_size = inner, on_step, inner.batch_size

    def batch(self, step: int, part: slice = slice(None)) -> Mapping[str, Tensor]:
        self._on_step(step)
        return self._inner.batch(step, part)


def run(
    checkpoint: Path | None,
    *,
    resume: bool = False,
    on_step: Callable[[int], None] = lambda step: None,
    log: Path | None = None,
    optimizer: Any = "adamw",
    precision: str = "auto",
) -> dict[str, Tensor]:
    """Return the trained weights."""
    network = tiny_network()
    train(
        network,
        Watched(digit_batches(), on_step),
        loss=classification_loss(label_smoothing=0.1),
        recipe=Recipe(n_steps=N_STEPS, optimizer=optimizer, learning_rate=0.01, ema_decay=0.9),
        checkpoints=None if checkpoint is None else CheckpointPlan(checkpoint, identity={"run": 1}, every_steps=3),
        resume=resume,
        log=log,
        precision=precision,
        device="cpu",
    )
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


def main(weights: str, checkpoint: str | None = None, log: str | None = None, pause_s: str = "0") -> None:
    trained = run(
        None if checkpoint is None else Path(checkpoint),
        resume=checkpoint is not None and Path(checkpoint).exists(),
        log=None if log is None else Path(log),
        on_step=lambda step: time.sleep(float(pause_s)),
    )
    save_file(trained, weights)


if __name__ == "__main__":
    main(*sys.argv[1:])
