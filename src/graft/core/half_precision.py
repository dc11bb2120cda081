"""Whether a processor's half-precision convolutions can be trusted: some of a network's own, tried."""

from __future__ import annotations

from typing import Any, Final

import torch
from torch import nn

__all__ = ["wrong_convolution"]

_MOST_OFF: Final = 0.1  # as a share of the right output; rounding alone makes 0.003
_LONGEST: Final = 2  # windows that the sound is long


@torch.inference_mode()
def wrong_convolution(network: nn.Module, dtype: torch.dtype) -> str:
    """Return the name of a one-dimensional convolution that comes out wrong in half precision here; empty: none does.

    Each kind is tried once, on noise, in milliseconds.

    Parameters
    ----------
    network : on the CPU.
    dtype : torch.bfloat16 or torch.float16.

    Notes
    -----
    oneDNN's forward pass of grouped convolutions of 8 or 12 channels a group is wrong altogether in bfloat16 on
    processors with AMX (torch 2.13; nn.Conv1d(192, 192, 16, groups=16) is off by 117 % of its output), and right in
    float32. Related: https://github.com/pytorch/pytorch/issues/169688.
    """
    tried: set[tuple[Any, ...]] = set()
    for name, module in network.named_modules():
        if not isinstance(module, nn.Conv1d) or module.padding_mode != "zeros":
            continue
        kind = (module.in_channels, module.out_channels, module.kernel_size, module.stride, module.groups)
        if kind in tried:
            continue
        tried.add(kind)
        if _share_off(module, dtype) > _MOST_OFF:
            return name
    return ""


def _share_off(module: nn.Conv1d, dtype: torch.dtype) -> float:
    own = nn.Conv1d(
        module.in_channels, module.out_channels, module.kernel_size[0], stride=module.stride[0], groups=module.groups,
        padding=module.padding if isinstance(module.padding, str) else module.padding[0],
        dilation=module.dilation[0],
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        own.reset_parameters()
        sound = torch.randn(1, own.in_channels, _LONGEST * max(40, own.kernel_size[0]))
    right = own(sound)
    with torch.autocast("cpu", dtype=dtype):
        found = own(sound).float()
    return ((found - right).norm() / right.norm()).item()
