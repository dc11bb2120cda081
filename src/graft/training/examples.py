"""Examples as methods train on them: shuffled and distorted for steps, plain and in order for predictions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from graft.core.devices import Precision
from graft.core.processes import Processes
from graft.training.augmentation import Augmentation
from graft.training.batches import Batches
from graft.training.mixing import Mixing
from graft.training.pictures import PictureBatches, Pictures, normalise

__all__ = ["BatchExtras", "PictureExamples", "TrainingExamples", "predict_logits"]

Strength = Literal["none", "light", "medium", "strong"]
Rows = NDArray[np.integer[Any]]


class TrainingExamples(Protocol):
    """Labelled examples of one task, encoded."""

    @property
    def targets(self) -> NDArray[np.integer[Any]]:
        """Class numbers (n_examples,), or (n_examples, n_classes) of 0 and 1 for several labels an example."""
        ...

    @property
    def n_classes(self) -> int:
        """Number of classes."""
        ...

    def __len__(self) -> int: ...

    def batches(
        self,
        rows: Rows,
        *,
        batch_size: int,
        augmentation: Strength,
        mixing: Mixing | None,
        label_smoothing: float,
        seed: int,
    ) -> Batches:
        """Return endless shuffled batches of some rows; `augmentation` is none, light, medium or strong."""
        ...

    def plain(self, rows: Rows, *, batch_size: int) -> Iterable[Mapping[str, Tensor]]:
        """Return batches of some rows in their order, undistorted."""
        ...

    def cheapest_order(self, rows: Rows) -> NDArray[np.int64]:
        """Return (n_rows,), the positions in `rows` in the order of least cost: texts by length."""
        ...


@dataclass(frozen=True)
class PictureExamples:
    """Pictures as the checkpoint's preprocessing gives them, before it normalises.

    Parameters
    ----------
    pictures : (n, 3, H, W) uint8, H = W, an array or a map of a file.
    targets : (n,), class numbers; or (n, n_classes), 0 or 1, for several labels an example.
    mean, std : of the preprocessing, one a channel, on pixels of 0 to 1.
    flip : whether mirror images keep their label.
    """

    pictures: Pictures
    targets: NDArray[np.integer[Any]]
    n_classes: int
    mean: Sequence[float]
    std: Sequence[float]
    flip: bool = True

    def __len__(self) -> int:
        return len(self.pictures)

    def batches(
        self,
        rows: Rows,
        *,
        batch_size: int,
        augmentation: Strength,
        mixing: Mixing | None,
        label_smoothing: float,
        seed: int,
    ) -> Batches:
        """Return endless shuffled batches of some rows, distorted."""
        return PictureBatches(
            self.pictures,
            self.targets,
            rows=np.asarray(rows),
            n_classes=self.n_classes,
            batch_size=batch_size,
            augmentation=Augmentation.for_strength(self.pictures.shape[-1], augmentation, flip=self.flip),
            mixing=mixing,
            label_smoothing=label_smoothing,
            mean=self.mean,
            std=self.std,
            seed=seed,
        )

    def plain(self, rows: Rows, *, batch_size: int) -> Iterable[Mapping[str, Tensor]]:
        """Return batches of some rows in their order, undistorted."""
        for first in range(0, len(rows), batch_size):
            own = np.asarray(rows[first : first + batch_size])
            pixels = torch.from_numpy(np.ascontiguousarray(self.pictures[own]))
            yield {
                "pixel_values": normalise(pixels, mean=self.mean, std=self.std),
                "labels": torch.from_numpy(np.asarray(self.targets[own], dtype=np.int64)),
            }

    def cheapest_order(self, rows: Rows) -> NDArray[np.int64]:
        """Return positions in their order: all pictures cost the same."""
        return np.arange(len(rows))


class BatchExtras:
    """Batches with tensors that are the same in each: class weights, or an offset of the logits.

    Parameters
    ----------
    inner : gives the batches.
    extras : what is added to each.
    """

    def __init__(self, inner: Batches, extras: Mapping[str, Tensor]) -> None:
        self._inner, self._extras, self.batch_size = inner, dict(extras), inner.batch_size

    def batch(self, step: int, part: slice = slice(None)) -> Mapping[str, Tensor]:
        """Return the tensors of a step with the extras."""
        return {**self._inner.batch(step, part), **self._extras}


@torch.inference_mode()
def predict_logits(
    network: nn.Module,
    examples: TrainingExamples,
    rows: Rows,
    *,
    predict: Callable[[nn.Module, Mapping[str, Tensor]], Tensor],
    precision: Precision,
    width: int | None = None,
    processes: Processes | None = None,
    batch_size: int = 64,
) -> NDArray[np.float32]:
    """Return logits (n_rows, n_classes) of plain examples, in the order of `rows`.

    Each process computes its share; all get all rows, none twice.

    Parameters
    ----------
    predict : `graft.tasks.base.Task.predict`; or another that gives a row of `width` numbers an example.
    width : None: the number of classes.
    """
    processes = processes or Processes()
    device = next(network.parameters()).device
    was_training = network.training
    network.eval()
    own_rows = np.asarray(rows)[processes.share(len(rows))]
    n_own = len(own_rows)
    order = examples.cheapest_order(own_rows)
    own_rows = own_rows[order]
    if processes.n > 1 and n_own * processes.n < len(rows):  # a network in shards wants equally many calls of all
        own_rows = np.append(own_rows, rows[:1])
    found = []
    with precision.autocast(device):
        for batch in examples.plain(own_rows, batch_size=batch_size):
            found.append(predict(network, {k: t.to(device) for k, t in batch.items()}).float().cpu().numpy())
    network.train(was_training)
    own = np.zeros((n_own, width or examples.n_classes), np.float32)
    if found:
        own[order] = np.concatenate(found)[:n_own]
    return processes.joined(own)
