"""Weights in 4 bits (QLoRA): where they can be had."""

from __future__ import annotations

import importlib.util

import torch

from graft.core.errors import UsageError

__all__ = ["refuse_four_bits"]


def refuse_four_bits(device: torch.device) -> None:
    """Raise where 4-bit weights cannot be computed with.

    Raises
    ------
    UsageError
        On a CPU, or where bitsandbytes is not installed.

    References
    ----------
    Dettmers et al., QLoRA, 2023, https://arxiv.org/abs/2305.14314.
    """
    if device.type != "cuda" or importlib.util.find_spec("bitsandbytes") is None:
        why = f"the device is {device.type}" if device.type != "cuda" else "bitsandbytes is not installed"
        raise UsageError(
            f"--adapter qlora, but {why}",
            expected="an NVIDIA GPU and bitsandbytes (pip install bitsandbytes)",
            fix="--adapter lora (Python: adapter='lora')",
        )
