"""Which device computes, in which precision, and why."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from graft.core.errors import UsageError

if TYPE_CHECKING:
    import torch

__all__ = ["Precision", "choose_device", "choose_precision", "is_cpu_told"]


@dataclass(frozen=True)
class Precision:
    """The dtype that a network computes in, and the reason for it.

    Parameters
    ----------
    name : ``"bf16"``, ``"fp16"`` or ``"fp32"``.
    reason : half a sentence, printed as it is.
    """

    name: str
    reason: str

    @property
    def dtype(self) -> torch.dtype:
        """The torch dtype of that name."""
        import torch

        return {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}[self.name]

    def autocast(self, device: torch.device) -> torch.autocast:
        """Return the context that computes in this precision on `device`; it does nothing in fp32."""
        import torch

        return torch.autocast(
            device.type, dtype=torch.bfloat16 if self.name == "fp32" else self.dtype, enabled=self.name != "fp32"
        )


def is_cpu_told() -> bool:
    """Return whether ``accelerate launch --cpu`` or its configuration wants the CPU."""
    return os.environ.get("ACCELERATE_USE_CPU", "").lower() in ("1", "true", "yes")


def choose_device(wanted: str = "auto") -> torch.device:
    """Return the device to compute on: this process's GPU where there is one, else the CPU.

    Parameters
    ----------
    wanted : ``"auto"``, ``"cpu"``, ``"cuda"``, ``"cuda:1"``, ``"mps"``.

    Raises
    ------
    UsageError
        When the device is unknown or not there.
    """
    import torch

    if wanted == "auto":
        return torch.device("cuda" if torch.cuda.is_available() and not is_cpu_told() else "cpu")
    try:
        device = torch.device(wanted)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise UsageError(
            f"device '{wanted}' cannot be used: {str(error).splitlines()[0]}",
            expected="auto, cpu, cuda, cuda:N or mps",
            fix="leave --device away (Python: device='auto') to take what is there",
        ) from error
    return device


def choose_precision(device: torch.device, *, wanted: str = "auto") -> Precision:
    """Return bf16 where the device multiplies matrices in it, fp32 else.

    Parameters
    ----------
    wanted : ``"auto"``, ``"bf16"``, ``"fp32"``, or ``"fp16"`` on a GPU.

    Raises
    ------
    UsageError
        When `wanted` is none of these.
    """
    import torch

    if wanted == "fp16" and device.type == "cuda":
        return Precision("fp16", "asked for")

    if wanted in ("bf16", "fp32"):
        return Precision(wanted, "asked for")
    if wanted != "auto":
        raise UsageError(f"precision '{wanted}'", expected="auto, bf16, fp32, or fp16 on a GPU")
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
        if torch.cuda.is_bf16_supported(including_emulation=False):
            return Precision("bf16", f"{name} multiplies in bfloat16")
        return Precision("fp32", f"{name} has no bfloat16")
    if device.type == "cpu":
        if torch.cpu._is_amx_tile_supported():
            return Precision("bf16", "this processor has AMX")
        if torch.cpu._is_avx512_bf16_supported():
            return Precision("bf16", "this processor has AVX512-BF16")
        return Precision("fp32", "this processor has no bfloat16 products")
    return Precision("fp32", f"bfloat16 is not tried on {device.type}")
