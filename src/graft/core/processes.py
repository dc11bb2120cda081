"""The processes of one job, as ``accelerate launch`` or ``torchrun`` start them: who writes, who computes what.

Everything here also works in a job of one process, without torch.distributed and without importing torch.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from graft.core.devices import is_cpu_told
from graft.core.errors import UsageError

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Processes", "join_processes", "leave_processes"]

_LONGEST_WAIT: Final = timedelta(hours=12)  # for what the main process does alone; a dead process is noticed at once


@dataclass(frozen=True)
class Processes:
    """This process among those of its job.

    Parameters
    ----------
    rank : number of this process, from 0; number 0 is the one that writes.
    n : all processes.
    """

    rank: int = 0
    n: int = 1

    @property
    def is_main(self) -> bool:
        """Whether this is the process that writes files and talks."""
        return self.rank == 0

    def wait(self) -> None:
        """Wait until all processes have come here."""
        if self.n > 1:
            import torch.distributed as dist

            dist.barrier()

    def from_main(self, value: Any) -> Any:
        """Return the main process's value in every process."""
        if self.n == 1:
            return value
        import torch.distributed as dist

        box = [value if self.is_main else None]
        dist.broadcast_object_list(box, src=0)
        return box[0]

    def share(self, n: int) -> slice:
        """Return this process's even part of n things: parts differ by one at most, in the order of the ranks."""
        return slice(n * self.rank // self.n, n * (self.rank + 1) // self.n)

    def add(self, tensor: Tensor) -> Tensor:
        """Return the sum of a tensor over all processes, in place."""
        if self.n > 1:
            import torch.distributed as dist

            dist.all_reduce(tensor)
        return tensor

    def joined(self, rows: NDArray[Any]) -> NDArray[Any]:
        """Return all processes' rows, one after the other in the order of the ranks: exactly, none doubled."""
        if self.n == 1:
            return rows
        import torch.distributed as dist

        parts: list[Any] = [None] * self.n
        dist.all_gather_object(parts, rows)
        return np.concatenate([part for part in parts if len(part)] or [rows])

    def gathered(self, value: Any) -> list[Any]:
        """Return every process's value, in the order of the ranks."""
        if self.n == 1:
            return [value]
        import torch.distributed as dist

        values: list[Any] = [None] * self.n
        dist.all_gather_object(values, value)
        return values


def join_processes(device: str = "auto") -> Processes:
    """Return this process's place in its job, and connect it with the others where there are any.

    On GPUs each process gets its own, which is from then on what ``"cuda"`` means.

    Parameters
    ----------
    device : what is computed on, as `graft.core.devices.choose_device` has it.

    Raises
    ------
    UsageError
        When several processes would share a GPU.
    """
    if int(os.environ.get("WORLD_SIZE") or 1) == 1:
        return Processes()
    import torch
    from accelerate import PartialState

    is_cpu = is_cpu_told() or device == "cpu" or not torch.cuda.is_available()
    if not is_cpu:
        _refuse_shared_gpu(device)
    # With it, transformers gives weights to the main process alone; but all compute features.
    os.environ["FSDP_CPU_RAM_EFFICIENT_LOADING"] = "false"
    # Without `cpu`, accelerate makes processes on a machine without GPUs strangers to each other.
    state = PartialState(cpu=is_cpu, timeout=_LONGEST_WAIT)
    return Processes(state.process_index, state.num_processes)


def leave_processes() -> None:
    """Part from the other processes at the end of a job that went well."""
    if int(os.environ.get("WORLD_SIZE") or 1) == 1:
        return
    import torch.distributed as dist

    if dist.is_initialized():
        dist.destroy_process_group()


def _refuse_shared_gpu(device: str) -> None:
    import torch

    n_here = int(os.environ.get("LOCAL_WORLD_SIZE") or 1)
    n_gpus = torch.cuda.device_count()
    if n_here > 1 and ":" in device:
        raise UsageError(
            f"--device {device} with {n_here} processes",
            expected="a GPU for each process",
            fix="leave --device away (Python: device='auto')",
        )
    if n_here > n_gpus:
        raise UsageError(
            f"{n_here} processes for {n_gpus} GPUs",
            expected="a GPU for each process",
            fix=f"--num_processes {n_gpus} (torchrun: --nproc-per-node {n_gpus}), or --device cpu (Python: device=)",
        )
