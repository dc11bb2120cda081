"""One network in several processes: where each computes, equal weights at the start, gradients that are sums over all.

Not `DistributedDataParallel`: it stops at parameters that a step leaves unused (mask tokens), and its remedy for these
cannot look into outputs that are neither dicts nor tuples. What it would win, sums that overlap with the backward pass,
matters for models and jobs larger than fine-tuning on few labels.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from graft.core.errors import UsageError
from graft.core.processes import Processes, join_processes

__all__ = ["align", "batch_parts", "place", "sum_gradients"]

_BUCKET = 1 << 24  # numbers that are summed at a time


def place(device: str) -> tuple[Processes, torch.device]:
    """Return this process among those of its job, and the device it computes on.

    Parameters
    ----------
    device : ``"auto"`` (what accelerate finds) or ``"cpu"``.
    """
    processes = join_processes(device)
    if device == "cpu":
        return processes, torch.device("cpu")
    from accelerate import PartialState

    return processes, PartialState().device


def batch_parts(batch_size: int, processes: Processes, micro_batch_size: int | None) -> list[slice]:
    """Return the positions of a step's batch that this process works off, one forward pass after the other.

    Raises
    ------
    UsageError
        When there are fewer examples in a batch than processes.

    Examples
    --------
    >>> batch_parts(10, Processes(1, 2), 3)
    [slice(5, 8, None), slice(8, 10, None)]
    """
    if batch_size < processes.n:
        raise UsageError(
            f"batches of {batch_size} for {processes.n} processes",
            expected="at least one example a process",
            fix=f"--batch-size {processes.n} (Python: batch_size={processes.n}), or fewer processes",
        )
    own = processes.share(batch_size)
    size = micro_batch_size or batch_size
    return [slice(first, min(first + size, own.stop)) for first in range(own.start, own.stop, size)]


@torch.no_grad()
def align(tensors: Iterable[Tensor], processes: Processes) -> None:
    """Give every process the main one's values, in place."""
    if processes.n > 1:
        import torch.distributed as dist

        for tensor in tensors:
            whole = tensor.detach().contiguous()
            dist.broadcast(whole, src=0)
            tensor.copy_(whole)


@torch.no_grad()
def sum_gradients(parameters: Sequence[nn.Parameter], processes: Processes) -> None:
    """Replace every gradient by its sum over all processes.

    A gradient that none has stays away, so that the optimizer leaves its parameter alone, as it does in one process.
    """
    if processes.n == 1 or not parameters:
        return
    device = parameters[0].device
    is_there = processes.add(torch.tensor([float(p.grad is not None) for p in parameters], device=device)).tolist()
    buckets: dict[torch.dtype, list[Tensor]] = {}
    for parameter, n in zip(parameters, is_there, strict=True):
        if n:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            bucket = buckets.setdefault(parameter.grad.dtype, [])
            bucket.append(parameter.grad)
            if sum(gradient.numel() for gradient in bucket) >= _BUCKET:
                _sum(buckets.pop(parameter.grad.dtype), processes)
    for bucket in buckets.values():
        _sum(bucket, processes)


def _sum(gradients: list[Tensor], processes: Processes) -> None:
    flat = processes.add(torch.cat([gradient.reshape(-1) for gradient in gradients]))
    for gradient, total in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
        gradient.copy_(total.view(gradient.shape))
