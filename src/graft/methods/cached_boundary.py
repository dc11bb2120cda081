"""The frozen part of a network run once: what it says of every example, on disk, and the rest of the network."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from graft.backbones.boundary import split_network
from graft.backbones.depth import layer_blocks
from graft.core.devices import Precision, choose_device
from graft.core.errors import UsageError
from graft.methods.prepared import Prepared
from graft.methods.settings import FineTuning
from graft.methods.where import Where
from graft.training.activations import ActivationBatches, ActivationStore, store_activations
from graft.training.batches import Batches
from graft.training.examples import Rows, TrainingExamples
from graft.training.mixing import soft_targets

__all__ = ["CachedBoundary", "cache_boundary"]


@dataclass(frozen=True)
class CachedBoundary:
    """A run that begins behind the frozen blocks.

    Parameters
    ----------
    network : the rest of the network; its input is what the frozen part says.
    batches : of the rows that are trained on.
    examples : all rows, those that are held out included, to be looked at.
    seconds : of the pass through the frozen part; next to none where its output was there.
    """

    network: nn.Module
    batches: Batches
    examples: TrainingExamples
    seconds: float


def cache_boundary(
    prepared: Prepared,
    settings: FineTuning,
    examples: TrainingExamples,
    *,
    rows: Rows,
    held_out_rows: Rows | None,
    head: str,
    precision: Precision,
    batch_size: int,
    seed: int,
    where: Where,
) -> CachedBoundary:
    """Return the network behind its frozen blocks, whose output for all rows is computed now if it never was.

    Parameters
    ----------
    prepared : with `n_frozen_blocks` above 0.
    head : dotted name of the network's last linear layer.
    where : with a folder, for the files ``activations-<view>.npy``.

    Raises
    ------
    UsageError
        When the settings want more than plain pictures and their mirror images, or there is no folder.
    """
    if settings.mixup or settings.cutmix or settings.batch_norm == "recalibrate":
        raise UsageError(
            "mixing or recalibration with activations cached at the frozen boundary",
            expected="plain pictures and their mirror images",
            fix="--no-cache-boundary (Python: Partial(is_cached=False))",
        )
    if where.folder is None:
        raise UsageError("cached activations without a folder", expected="Where(folder=...)")
    device = choose_device(where.device)
    network = prepared.network.eval().to(device)
    sample = {k: t.to(device) for k, t in next(iter(examples.plain(rows[:2], batch_size=2))).items()}
    blocks = layer_blocks(network, head=head)
    boundary = split_network(network, blocks, first_trainable=prepared.n_frozen_blocks, sample=sample["pixel_values"])
    needed = np.asarray(rows) if held_out_rows is None else np.concatenate([rows, held_out_rows])
    has_mirror = settings.augmentation != "none" and bool(getattr(examples, "flip", False))
    stores, began = [], time.perf_counter()
    with torch.inference_mode(), precision.autocast(device):
        for name in ("plain", "mirror")[: 1 + has_mirror]:

            def compute(part: range, name: str = name) -> Tensor:
                batch = next(iter(examples.plain(needed[part.start : part.stop], batch_size=len(part))))
                pixels = batch["pixel_values"].to(device)
                found: Tensor = boundary.frozen(pixel_values=pixels.flip(-1) if name == "mirror" else pixels)
                return found

            path = where.folder / f"activations-{name}.npy"
            if where.processes.is_main:
                if not where.resume:
                    path.unlink(missing_ok=True)
                store_activations(path, len(needed), compute=compute, is_bf16=precision.name == "bf16")
            where.processes.wait()
            stores.append(ActivationStore(path))
    seconds = time.perf_counter() - began
    targets = examples.targets[needed]
    own = np.arange(len(rows))
    batches: Batches = ActivationBatches(stores, targets, rows=own, batch_size=batch_size, seed=seed)
    if settings.label_smoothing:
        batches = _Smoothed(batches, examples.n_classes, settings.label_smoothing)
    looked_at = _Activations(stores[0], targets, examples.n_classes, needed)
    return CachedBoundary(boundary.tail, batches, looked_at, seconds)


class _Smoothed:
    """Batches whose targets are spread a little over all classes."""

    def __init__(self, inner: Batches, n_classes: int, smoothing: float) -> None:
        self._inner, self._n_classes, self._smoothing = inner, n_classes, smoothing
        self.batch_size = inner.batch_size

    def batch(self, step: int, part: slice = slice(None)) -> Mapping[str, Tensor]:
        given = self._inner.batch(step, part)
        return {**given, "soft_labels": soft_targets(given["labels"], self._n_classes, smoothing=self._smoothing)}


class _Activations:
    """Held-out examples as cached activations; rows are those of the original examples."""

    def __init__(self, store: ActivationStore, targets: NDArray[np.integer[Any]], n_classes: int, rows: Rows) -> None:
        self._store, self.targets, self.n_classes = store, targets, n_classes
        self._place = {int(row): place for place, row in enumerate(rows)}

    def __len__(self) -> int:
        return len(self._place)

    def batches(self, rows: Rows, **_: Any) -> Batches:
        raise UsageError("batches of held-out activations", expected="predictions: they are looked at, not trained on")

    def cheapest_order(self, rows: Rows) -> NDArray[np.int64]:
        return np.arange(len(rows))

    def plain(self, rows: Rows, *, batch_size: int) -> Iterable[dict[str, Tensor]]:
        for first in range(0, len(rows), batch_size):
            places = np.array([self._place[int(row)] for row in rows[first : first + batch_size]])
            yield {
                "pixel_values": self._store.read(places).float(),
                "labels": torch.from_numpy(np.asarray(self.targets[places], dtype=np.int64)),
            }
