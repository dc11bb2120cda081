"""Networks that are too large to be trained on one device: weights, gradients and moments lie in shards on all.

``accelerate launch --use_fsdp -m graft fit ...`` asks for it (``ACCELERATE_USE_FSDP``); PyTorch's ``fully_shard`` does
it, one block at a time. Running averages, best weights and the pull to the start are shards, too. Checkpoints and
results are whole: they do not tell how many processes there were, and can be gone on with in any number of them.

A single block must fit, whole, beside the shards; for predictions the network must fit on each device.
"""

from __future__ import annotations

import copy
import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, TypeGuard

import torch
from torch import Tensor, nn

from graft.core.devices import Precision
from graft.core.errors import UsageError
from graft.core.processes import Processes
from graft.training.recipe import Recipe

if TYPE_CHECKING:
    from torch.distributed.tensor import DTensor

__all__ = ["copy_into", "is_sharding_wanted", "refuse_unshardable", "sharded_copy", "whole", "write_whole"]


def is_sharding_wanted(processes: Processes) -> bool:
    """Return whether the launcher asked for shards, and there are processes to hold them."""
    return processes.n > 1 and os.environ.get("ACCELERATE_USE_FSDP", "").lower() in ("1", "true", "yes")


def refuse_unshardable(recipe: Recipe, computed_in: Precision) -> None:
    """Raise where a setting is not to be had with shards.

    Raises
    ------
    UsageError
        For fp16, whose loss scale would have to be agreed on, and for torch.compile.
    """
    if computed_in.name == "fp16":
        raise UsageError(
            "fp16 with --use_fsdp", expected="bf16 or fp32", fix="--precision bf16 (Python: precision='bf16')"
        )
    if recipe.is_compiled:
        raise UsageError(
            "torch.compile with --use_fsdp", expected="one or the other", fix="--no-compile (Python: compile=False)"
        )


def sharded_copy(network: nn.Module, device: torch.device, processes: Processes) -> nn.Module:
    """Return a copy of the network in shards on the processes' devices; the whole never lies on one of them.

    Its gradients are sums over the processes.

    Parameters
    ----------
    network : on the CPU, with the same weights in every process. Its outputs must be tensors, tuples, dicts or
        transformers' outputs: PyTorch looks into these for what the backward pass begins with.
    """
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import FSDPModule, fully_shard

    mesh = init_device_mesh(device.type, (processes.n,))
    own = copy.deepcopy(network).to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    for unit in (*_units(own), own):  # the whole last: it takes what no block has taken
        # True for the outermost, too: else it would go on with weights from before the running average was put in.
        fully_shard(unit, mesh=mesh, reshard_after_forward=True)
    for module in own.modules():
        if isinstance(module, FSDPModule):
            module.set_gradient_divide_factor(1.0)
            module.set_force_sum_reduction_for_comms(True)  # Gloo knows no factors
    for buffer in own.buffers():
        buffer.data = buffer.data.to(device)
    return own


def whole(tensor: Tensor) -> Tensor:
    """Return all of a tensor that may be in shards; to be called in every process."""
    return tensor.full_tensor() if _is_in_shards(tensor) else tensor


@torch.no_grad()
def copy_into(target: Tensor, source: Tensor) -> None:
    """Copy a whole tensor, the same in every process, into one that may be in shards."""
    if _is_in_shards(target):
        from torch.distributed.tensor import distribute_tensor

        there = source.to(target.device)
        source = distribute_tensor(there, target.device_mesh, target.placements, src_data_rank=None)
    target.copy_(source)


@torch.no_grad()
def write_whole(sharded: nn.Module, network: nn.Module) -> None:
    """Give `network` the weights and buffers of its sharded copy, one tensor at a time, in every process."""
    live = network.state_dict(keep_vars=True)
    for name, tensor in sharded.state_dict(keep_vars=True).items():
        live[name].copy_(whole(tensor.detach()))


def _is_in_shards(tensor: Tensor) -> TypeGuard[DTensor]:
    """Return whether it is a DTensor; where nothing has loaded their module, which takes half a second, none is."""
    module = sys.modules.get("torch.distributed.tensor")
    return module is not None and isinstance(tensor, module.DTensor)


def _units(network: nn.Module) -> Iterator[nn.Module]:
    """Yield the blocks: the elements of the outermost lists of modules."""
    for child in network.children():
        if isinstance(child, nn.ModuleList | nn.Sequential):
            yield from (block for block in child if any(True for _ in block.parameters()))
        else:
            yield from _units(child)
