"""A language model's frozen weights in 4 bits, for low-rank updates on top of them; bitsandbytes is an extra.

Dettmers et al., QLoRA, 2023: https://arxiv.org/abs/2305.14314
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from graft.backbones.loading import quiet_transformers
from graft.core.devices import Precision
from graft.core.errors import ModelError
from graft.core.optional import require

__all__ = ["FourBits", "four_bit_loader"]

FourBits = Callable[[torch.device, Precision], Any]
"""Gives the network in 4 bits, on a device, to be computed with in some precision."""


def four_bit_loader(
    model: str, *, revision: str | None = None, is_offline: bool = False, trust_remote_code: bool = False
) -> FourBits:
    """Return what loads a checkpoint's linear layers in 4 bits (NF4, the scales quantised too).

    Word tables, norms and the output layer stay in float32.

    Raises
    ------
    UsageError
        When bitsandbytes is missing.

    Notes
    -----
    Tried on a CPU with bitsandbytes 0.50, against the network in float32; never on a GPU, which was not at hand.
    """
    require("bitsandbytes", extra="gpu", purpose="--adapter qlora (Python: adapter='qlora')")

    def load(device: torch.device, precision: Precision) -> Any:
        from transformers import AutoModelForCausalLM, BitsAndBytesConfig

        settings = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=precision.dtype,
        )
        try:
            with quiet_transformers():
                network: Any = AutoModelForCausalLM.from_pretrained(
                    model,
                    quantization_config=settings,
                    device_map={"": device},
                    dtype=torch.float32,
                    revision=revision or "main",
                    local_files_only=is_offline,
                    trust_remote_code=trust_remote_code,
                )
        except (OSError, ValueError, ImportError, RuntimeError) as error:
            raise ModelError(
                f"{model} cannot be loaded in 4 bits: {(str(error).strip().splitlines() or [''])[0][:160]}",
                expected="linear layers that bitsandbytes can hold on this device",
                fix="--adapter lora (Python: adapter='lora')",
            ) from error
        for module in network.modules():
            # On some CPUs a look without gradients would repack a layer, and its next gradients would be wrong.
            if hasattr(module, "support_avx512bf16_for_cpu"):
                module.support_avx512bf16_for_cpu = False
        return network.eval().requires_grad_(False)

    return load
