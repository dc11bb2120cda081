"""The processes of one job, as ``accelerate launch`` or ``torchrun`` start them: who writes, who computes what.

Everything here also works in a job of one process, without torch.distributed and without importing torch.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Processes", "join_processes"]


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

    def any(self, flag: bool) -> bool:
        """Return whether the flag is up in any process."""
        if self.n == 1:
            return flag
        import torch
        import torch.distributed as dist

        device = "cuda" if dist.get_backend() == "nccl" else "cpu"
        return bool(self.add(torch.tensor([int(flag)], device=device)))


def join_processes(environment: Sequence[str] = ("RANK", "WORLD_SIZE")) -> Processes:
    """Return this process's place in its job, and connect it with the others where there are any.

    Parameters
    ----------
    environment : names of the variables that the launcher sets: the rank, and the number of processes.
    """
    n = int(os.environ.get(environment[1], "1") or 1)
    if n == 1:
        return Processes()
    from accelerate import PartialState

    state = PartialState(cpu=os.environ.get("ACCELERATE_USE_CPU", "").lower() in ("1", "true", "yes"))
    return Processes(state.process_index, state.num_processes)
