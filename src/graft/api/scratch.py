"""The honest baseline 'the same network trained from random weights', on the same examples and preprocessing."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console

from graft.api.config import FitConfig
from graft.api.training_examples import examples_of
from graft.backbones.loading import ImageModel, random_network
from graft.core.devices import choose_device
from graft.core.errors import UsageError
from graft.core.processes import Processes
from graft.core.seeds import derive_seed
from graft.core.types import Predictions
from graft.data.dataset import LabeledDataset
from graft.data.images import decode_image
from graft.methods.fine_tuning import fine_tune
from graft.methods.full import Full
from graft.methods.settings import FineTuning
from graft.methods.where import Where, training_precision
from graft.tasks.base import Task
from graft.training.augmentation import Augmentation
from graft.training.examples import predict_logits
from graft.training.from_scratch import train_from_scratch

__all__ = ["scratch_baseline", "scratch_predictions"]

# Of networks of texts and sounds. 60 passes and 600 steps at least, as for pictures; the rate is a usual one for small
# transformers from random weights (BERT's 1e-4 is for 110 M parameters and batches of 256).
_FROM_RANDOM = FineTuning(
    learning_rate=5e-4, epochs=60, fewest_steps=600, batch_size=64, weight_decay=0.05, label_smoothing=0.1,
    batch_norm="train", word_embeddings="train",
)  # fmt: skip


def scratch_baseline(
    train: LabeledDataset,
    test: LabeledDataset,
    task: Task,
    config: FitConfig,
    *,
    label_names: tuple[str, ...],
    console: Console | None = None,
) -> Predictions:
    """Train the task's architecture from random weights on `train` and return its predictions of `test`."""
    if isinstance(task.model, ImageModel):
        return scratch_predictions(
            train, test, task.model, label_names=label_names, seed=config.seed, has_flip=config.flip, console=console
        )
    seed, model = derive_seed(config.seed, "from scratch"), task.model
    network = random_network(model, seed=seed)
    head = model.head.layer
    fresh = (np.zeros((head.out_features, head.in_features), np.float32), np.zeros(head.out_features, np.float32))
    with tempfile.TemporaryDirectory(prefix="graft-scratch-") as folder:
        examples = examples_of(
            [train, test], model, config, Path(folder), n_classes=len(label_names),
            processes=Processes(), say=lambda text: None, console=None,
        )  # fmt: skip
        done = fine_tune(
            Full(_FROM_RANDOM, layer_decay=1.0, head_factor=1.0),
            network,
            head=model.head.name,
            start=fresh,
            task=task,
            examples=examples,
            rows=np.arange(len(train)),
            seed=seed,
            where=Where(device=config.device, precision=config.precision, console=console),
        )
        device = choose_device(config.device)
        logits = predict_logits(
            done.network.to(device),
            examples,
            np.arange(len(train), len(examples)),
            predict=task.predict,
            precision=training_precision(done.network, device, wanted=config.precision),
        )
    return Predictions(test.ids, test.labels, logits, label_names, "test")


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
