"""A training run frozen between two steps, as one safetensors file that is whole or absent. No pickle.

The file holds tensors under ``network.``, ``average.``, ``best.``, ``start.<n>.`` (for L2-SP),
``optimizer.<parameter>.<state>`` and ``scaler.``; its header holds a JSON text with the step, the seconds spent, the
held-out figures and the run's identity. The learning rate, the order of the examples and torch's random state are
functions of the step and the seed, so the step stands for the states of schedule, sampler and generators.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from graft.core.errors import ResourceError, UsageError
from graft.core.files import atomic_path
from graft.training.averaging import WeightAverage
from graft.training.held_out import BestWeights
from graft.training.optimizers import StartPull
from graft.training.sharded import copy_into, whole

__all__ = ["Checkpoint", "CheckpointClock", "CheckpointPlan", "TrainingState", "read_checkpoint", "write_checkpoint"]

FORMAT = "graft-checkpoint-2"
_NAME = re.compile(r"step-(\d+)\.safetensors")


@dataclass(frozen=True)
class CheckpointPlan:
    """Where and how often checkpoints are written.

    Parameters
    ----------
    folder : for the files ``step-<number of finished steps>.safetensors``; made at the first.
    identity : JSON values that a resumed run must share: data, recipe, architecture.
    every_steps, every_s : a checkpoint is written when either has passed since the last; None: not by that measure.
    on_improvement : also whenever the held-out log-loss is the best so far.
    keep_last : newest files that stay, at least 1.
    """

    folder: Path
    identity: Mapping[str, Any]
    every_steps: int | None = None
    every_s: float | None = 120.0
    on_improvement: bool = True
    keep_last: int = 2

    def is_due(self, *, steps_since: int, seconds_since: float) -> bool:
        """Return whether the next checkpoint should be written now."""
        by_steps = self.every_steps is not None and steps_since >= self.every_steps
        return by_steps or (self.every_s is not None and seconds_since >= self.every_s)

    def files(self) -> list[Path]:
        """Return the files that are there, the newest first."""
        found = [path for path in self.folder.glob("step-*.safetensors") if _NAME.fullmatch(path.name)]
        return sorted(found, reverse=True)


@dataclass(frozen=True)
class TrainingState:
    """All that moves while a network is trained: what a checkpoint keeps, and is written back to.

    Parameters
    ----------
    network, optimizer : the bare ones, not wrapped for several processes.
    average, best, pull, scaler : where the run has them.
    """

    network: nn.Module
    optimizer: torch.optim.Optimizer
    average: WeightAverage | None = None
    best: BestWeights | None = None
    pull: StartPull | None = None
    scaler: Any = None

    def tensors(self) -> dict[str, Tensor]:
        """Return every tensor by its name in the file."""
        found = {f"network.{name}": tensor for name, tensor in self.network.state_dict().items()}
        if self.average is not None:
            found |= {f"average.{name}": tensor for name, tensor in self.average.tensors.items()}
        if self.best is not None:
            found |= {f"best.{name}": tensor for name, tensor in self.best.tensors.items()}
        if self.pull is not None:
            found |= {f"start.{g}.{i}": t for g, starts in enumerate(self.pull.starts) for i, t in enumerate(starts)}
        for name, parameter in self.network.named_parameters():
            for key, value in self.optimizer.state.get(parameter, {}).items():
                if isinstance(value, Tensor):
                    found[f"optimizer.{name}.{key}"] = value
        if self.scaler is not None:
            for key, value in self.scaler.state_dict().items():
                found[f"scaler.{key}"] = torch.tensor(value, dtype=torch.float64)
        return found


@dataclass(frozen=True)
class Checkpoint:
    """What was read: the number of finished steps, seconds spent, held-out figures, and all tensors by name."""

    step: int
    seconds: float
    tensors: Mapping[str, Tensor]
    history: Sequence[Mapping[str, Any]] = field(default=())

    @torch.no_grad()
    def restore(self, state: TrainingState) -> None:
        """Write every tensor back to where it came from, bit for bit.

        Memory formats are those of the live network: the tensors are copied into it, not put in its place.
        """
        _copy(self.tensors, state.network.state_dict(keep_vars=True), prefix="network.")
        if state.average is not None:
            _copy(self.tensors, state.average.tensors, prefix="average.")
        if state.pull is not None:
            for g, starts in enumerate(state.pull.starts):
                _copy(self.tensors, {str(i): tensor for i, tensor in enumerate(starts)}, prefix=f"start.{g}.")
        live = state.network.state_dict()
        if state.best is not None:
            state.best.history[:] = [dict(line) for line in self.history]
            state.best.tensors = {
                key.removeprefix("best."): _like(live[key.removeprefix("best.")], tensor)
                for key, tensor in self.tensors.items()
                if key.startswith("best.")
            }
        for name, parameter in state.network.named_parameters():
            prefix = f"optimizer.{name}."
            moments = {key.removeprefix(prefix): t for key, t in self.tensors.items() if key.startswith(prefix)}
            if moments:
                state.optimizer.state[parameter] = {key: _like(parameter, tensor) for key, tensor in moments.items()}
        if state.scaler is not None:
            kept = {k.removeprefix("scaler."): t.item() for k, t in self.tensors.items() if k.startswith("scaler.")}
            as_before = state.scaler.state_dict()
            state.scaler.load_state_dict({key: type(as_before[key])(value) for key, value in kept.items()})


def write_checkpoint(
    plan: CheckpointPlan, state: TrainingState, *, step: int, seconds: float, is_writer: bool = True
) -> Path:
    """Write everything that the run needs to go on after `step` finished steps; drop files beyond `keep_last`.

    Parameters
    ----------
    is_writer : False in a process that only hands over its shards.

    Raises
    ------
    ResourceError
        When the disk is full or the place cannot be written; the checkpoints before stay.
    """
    header = {
        "format": FORMAT,
        "step": step,
        "seconds": seconds,
        "history": state.best.history if state.best is not None else [],
        "identity": dict(plan.identity),
    }
    # Clones: tied weights share memory, which safetensors refuses.
    flat = {}
    for name, tensor in state.tensors().items():
        of_all = whole(tensor.detach())
        if is_writer:
            flat[name] = of_all.to("cpu", copy=True, memory_format=torch.contiguous_format)
    path = plan.folder / f"step-{step:08d}.safetensors"
    if not is_writer:
        return path
    with atomic_path(path) as temporary:
        save_file(flat, temporary, metadata={"graft": json.dumps(header)})
    # Files of later steps are damaged or of a run that was begun anew; partial ones are those of a killed process.
    own = plan.files()
    stale = own[own.index(path) + max(1, plan.keep_last) :] + own[: own.index(path)]
    for old in (*stale, *plan.folder.glob(".step-*.partial")):
        old.unlink(missing_ok=True)
    return path


def read_checkpoint(plan: CheckpointPlan) -> Checkpoint | None:
    """Return the newest checkpoint that can be read, or None where there is none.

    Raises
    ------
    UsageError
        When the checkpoint belongs to another run (the differing settings are named).
    ResourceError
        When there are files and all are damaged.
    """
    damage: tuple[Path, Exception] | None = None
    for path in plan.files():
        try:
            with safe_open(path, framework="pt") as file:
                header = json.loads((file.metadata() or {})["graft"])
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  not a dict
        except (SafetensorError, KeyError, ValueError, OSError) as error:
            damage = damage or (path, error)
            continue
        _refuse_other_run(path, header, plan)
        return Checkpoint(int(header["step"]), float(header["seconds"]), tensors, tuple(header["history"]))
    if damage is not None:
        raise ResourceError(
            f"the checkpoint {damage[0]} cannot be read: {damage[1]}",
            expected="a file that Graft wrote",
            fix="start anew with --overwrite (Python: overwrite=True)",
        ) from damage[1]
    return None


def _refuse_other_run(path: Path, header: Mapping[str, Any], plan: CheckpointPlan) -> None:
    wanted = json.loads(json.dumps(dict(plan.identity)))
    if header["format"] != FORMAT or header["identity"] != wanted:
        found = header["identity"]
        keys = sorted(k for k in {*found, *wanted} if found.get(k) != wanted.get(k))
        told = "; ".join(f"{key}: {found.get(key)} there, {wanted.get(key)} now" for key in keys)
        raise UsageError(
            f"the checkpoint {path} is of another run ({told or header['format']})",
            expected="the same data and settings as when it was written",
            fix="give the settings of that run, or start anew with --overwrite (Python: overwrite=True)",
        )


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
        copy_into(tensor, source[prefix + name])


def _like(parameter: Tensor, tensor: Tensor) -> Tensor:
    """Return `tensor` on the parameter's device, in its memory format where the shapes agree."""
    if tensor.shape != parameter.shape:
        return tensor.to(parameter.device, copy=True)
    like = torch.empty_like(parameter, dtype=tensor.dtype)
    copy_into(like, tensor)
    return like
