"""Where a run computes, in what precision, and where it leaves its traces."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from torch import nn

from graft.core.devices import Precision, choose_device, choose_precision
from graft.core.half_precision import wrong_convolution
from graft.core.processes import Processes
from graft.training.batches import Batches
from graft.training.checkpoints import CheckpointPlan
from graft.training.held_out import HeldOut
from graft.training.loop import Training, train
from graft.training.losses import Loss
from graft.training.optimizers import ParameterGroup
from graft.training.recipe import Recipe

__all__ = ["Where", "family_of", "train_here", "training_precision"]


@dataclass(frozen=True)
class Where:
    """Where and how a run computes, and where it leaves its traces; plain values that no result depends on.

    Parameters
    ----------
    device, precision : as `graft.core.devices` has them.
    folder : for checkpoints, the step log and cached activations; None: nothing is written, and `is_cached` methods
        are refused.
    checkpoint_every_s : seconds between checkpoints.
    resume : go on from a checkpoint in `folder`.
    """

    device: str = "auto"
    precision: str = "auto"
    folder: Path | None = None
    checkpoint_every_s: float | None = 120.0
    resume: bool = False
    processes: Processes = field(default_factory=Processes)
    console: Console | None = None

    def inside(self, name: str) -> Where:
        """Return the same with a folder of that name in the folder."""
        return self if self.folder is None else replace(self, folder=self.folder / name)


def family_of(network: nn.Module) -> str:
    """Return the architecture's family, for example ``"resnet"``, as the network's configuration states it."""
    config: Any = getattr(network, "config", None)
    return str(getattr(config, "model_type", type(network).__name__))


def training_precision(network: nn.Module, device: torch.device, *, wanted: str = "auto") -> Precision:
    """Return what to train in: as `choose_precision`, but float32 for depthwise convolutions on a CPU.

    Their bfloat16 backward pass is slower than float32 there, by 1.3 to 1.8 times (docs/experiments.md). Also float32
    where a convolution of the network comes out wrong in half precision, see `wrong_convolution`.
    """
    chosen = choose_precision(device, wanted=wanted)
    if family_of(network) == "deberta" and chosen.name != "fp32":
        return Precision("fp32", "DeBERTa v1 masks with a number that half precision cannot hold")
    is_depthwise = any(isinstance(m, nn.Conv2d) and m.groups == m.in_channels > 1 for m in network.modules())
    if wanted == "auto" and device.type == "cpu" and is_depthwise and chosen.name != "fp32":
        return Precision("fp32", "depthwise convolutions train faster so on a CPU")
    is_half_on_cpu = wanted == "auto" and device.type == "cpu" and chosen.name != "fp32"
    if is_half_on_cpu and (name := wrong_convolution(network, chosen.dtype)):
        return Precision("fp32", f"the convolution {name} comes out wrong in {chosen.name} on this processor")
    return chosen


def train_here(
    network: nn.Module,
    batches: Batches,
    *,
    loss: Loss,
    recipe: Recipe,
    groups: Sequence[ParameterGroup],
    held_out: HeldOut | None,
    identity: Mapping[str, Any],
    max_seconds: float | None,
    precision: Precision,
    where: Where,
) -> Training:
    """Run `graft.training.loop.train`, its checkpoints and its log in the folder of `where`.

    Parameters
    ----------
    identity : of the run, JSON values: a checkpoint of another is refused.

    Raises
    ------
    UsageError, DataError, ModelError, Interrupted
        As the loop does.
    """
    plan = None
    if where.folder is not None:
        folder = where.folder / "checkpoints"
        plan = CheckpointPlan(folder, identity=identity, every_s=where.checkpoint_every_s)
    return train(
        network,
        batches,
        loss=loss,
        recipe=recipe,
        groups=groups,
        held_out=held_out,
        log=None if where.folder is None else where.folder / "steps.jsonl",
        checkpoints=plan,
        resume=where.resume,
        max_seconds=max_seconds,
        precision=precision.name,
        device="cpu" if choose_device(where.device).type == "cpu" else "auto",
        console=where.console,
    )
