"""A training run frozen between two steps, as one safetensors file that is whole or absent. No pickle.

The file holds tensors under ``network.``, ``average.``, ``optimizer.<parameter>.<state>`` and ``random.``; its header
holds a JSON text with the step, the seconds spent and the run's identity. The learning rate and the order of the
examples are functions of the step and the seed, so the step stands for the states of schedule and sampler.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from graft.core.errors import ResourceError, UsageError
from graft.core.files import atomic_path
from graft.training.averaging import WeightAverage

__all__ = ["Checkpoint", "CheckpointClock", "CheckpointPlan", "read_checkpoint", "write_checkpoint"]

FORMAT = "graft-checkpoint-1"


@dataclass(frozen=True)
class CheckpointPlan:
    """Where and how often checkpoints are written.

    Parameters
    ----------
    path : the file; each checkpoint replaces the one before.
    identity : JSON values that a resumed run must share: data, recipe, architecture.
    every_steps, every_s : a checkpoint is written when either has passed since the last; None: not by that measure.
    """

    path: Path
    identity: Mapping[str, Any]
    every_steps: int | None = None
    every_s: float | None = 120.0

    def is_due(self, *, steps_since: int, seconds_since: float) -> bool:
        """Return whether the next checkpoint should be written now."""
        by_steps = self.every_steps is not None and steps_since >= self.every_steps
        return by_steps or (self.every_s is not None and seconds_since >= self.every_s)


@dataclass(frozen=True)
class Checkpoint:
    """What was read: the number of finished steps, seconds spent, and all tensors by name."""

    step: int
    seconds: float
    tensors: Mapping[str, Tensor]

    @torch.no_grad()
    def restore(self, network: nn.Module, optimizer: torch.optim.Optimizer, average: WeightAverage | None) -> None:
        """Write every tensor back to where it came from, bit for bit, and set the random states.

        Memory formats are those of the live network: the tensors are copied into it, not put in its place.
        """
        _copy(self.tensors, network.state_dict(keep_vars=True), prefix="network.")
        if average is not None:
            _copy(self.tensors, average.tensors, prefix="average.")
        for name, parameter in network.named_parameters():
            prefix = f"optimizer.{name}."
            state = {key.removeprefix(prefix): t for key, t in self.tensors.items() if key.startswith(prefix)}
            if state:
                optimizer.state[parameter] = {key: _like(parameter, tensor) for key, tensor in state.items()}
        torch.set_rng_state(self.tensors["random.cpu"])
        if torch.cuda.is_available() and "random.cuda" in self.tensors:
            torch.cuda.set_rng_state(self.tensors["random.cuda"])


def write_checkpoint(
    plan: CheckpointPlan,
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    average: WeightAverage | None,
    *,
    step: int,
    seconds: float,
) -> None:
    """Write everything that the run needs to go on after `step` finished steps.

    Raises
    ------
    ResourceError
        When the disk is full or the place cannot be written; the checkpoint before stays.
    """
    tensors = {f"network.{name}": tensor for name, tensor in network.state_dict().items()}
    if average is not None:
        tensors |= {f"average.{name}": tensor for name, tensor in average.tensors.items()}
    for name, parameter in network.named_parameters():
        for key, value in optimizer.state.get(parameter, {}).items():
            if isinstance(value, Tensor):
                tensors[f"optimizer.{name}.{key}"] = value
    tensors["random.cpu"] = torch.get_rng_state()
    if torch.cuda.is_available():
        tensors["random.cuda"] = torch.cuda.get_rng_state()
    header = {"format": FORMAT, "step": step, "seconds": seconds, "identity": dict(plan.identity)}
    # Clones: tied weights share memory, which safetensors refuses.
    flat = {name: t.detach().to("cpu", copy=True, memory_format=torch.contiguous_format) for name, t in tensors.items()}
    with atomic_path(plan.path) as temporary:
        save_file(flat, temporary, metadata={"graft": json.dumps(header)})


def read_checkpoint(plan: CheckpointPlan) -> Checkpoint | None:
    """Return the last checkpoint, or None where there is none.

    Raises
    ------
    UsageError
        When the checkpoint belongs to another run (the differing settings are named).
    ResourceError
        When the file is damaged.
    """
    if not plan.path.exists():
        return None
    try:
        with safe_open(plan.path, framework="pt") as file:
            header = json.loads((file.metadata() or {})["graft"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  not a dict
    except (SafetensorError, KeyError, ValueError, OSError) as error:
        raise ResourceError(
            f"the checkpoint {plan.path} cannot be read: {error}",
            expected="a file that Graft wrote",
            fix="start anew with --overwrite (Python: overwrite=True)",
        ) from error
    wanted = json.loads(json.dumps(dict(plan.identity)))
    if header["format"] != FORMAT or header["identity"] != wanted:
        found = header["identity"]
        keys = sorted(k for k in {*found, *wanted} if found.get(k) != wanted.get(k))
        told = "; ".join(f"{key}: {found.get(key)} there, {wanted.get(key)} now" for key in keys)
        raise UsageError(
            f"the checkpoint {plan.path} is of another run ({told or header['format']})",
            expected="the same data and settings as when it was written",
            fix="give the settings of that run, or start anew with --overwrite (Python: overwrite=True)",
        )
    return Checkpoint(step=int(header["step"]), seconds=float(header["seconds"]), tensors=tensors)


class CheckpointClock:
    """Steps and seconds since the last checkpoint."""

    def __init__(self, step: int) -> None:
        self.step, self.time = step, time.monotonic()

    def is_due(self, plan: CheckpointPlan, step: int) -> bool:
        """Return whether a checkpoint after `step` finished steps is due; then the clock starts again."""
        due = plan.is_due(steps_since=step - self.step, seconds_since=time.monotonic() - self.time)
        if due:
            self.step, self.time = step, time.monotonic()
        return due


def _copy(source: Mapping[str, Tensor], target: Mapping[str, Tensor], *, prefix: str) -> None:
    for name, tensor in target.items():
        tensor.copy_(source[prefix + name])


def _like(parameter: nn.Parameter, tensor: Tensor) -> Tensor:
    """Return `tensor` on the parameter's device, in its memory format where the shapes agree."""
    if tensor.shape != parameter.shape:
        return tensor.to(parameter.device, copy=True)
    return torch.empty_like(parameter, dtype=tensor.dtype).copy_(tensor)
