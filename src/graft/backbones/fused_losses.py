"""The summed cross-entropy of answers by Liger's fused kernel, on a GPU where liger-kernel is installed.

Never run on a GPU by this project, which had none at hand: so it is tried on a batch's own states before it is used,
and left alone where its loss or its gradients are not those of `graft.backbones.token_losses`.

Hsu et al., Liger Kernel, 2024: https://arxiv.org/abs/2410.10989
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import torch
from torch import Tensor, nn

from graft.backbones.token_losses import Head, summed_token_loss
from graft.core.optional import is_installed

__all__ = ["FusedLoss", "fused_loss_of"]

FusedLoss = Callable[[Tensor, Tensor], Tensor]
"""Gives the summed loss of states (n, width) and targets (n,), with gradients."""

_TRIED: Final = 64  # targets that it is tried on
_ALIKE: Final = 2e-2  # relative; half precision rounds otherwise in other orders


def fused_loss_of(network: Any, head: Head, states: Tensor, targets: Tensor) -> FusedLoss | None:
    """Return the fused loss of a network, None where there is none, or where it is not the plain one's equal.

    Parameters
    ----------
    head : as `graft.backbones.token_losses.head_of` gives it.
    states, targets : of a batch, on the device and in the precision that are trained in.
    """
    layer = network.get_output_embeddings()
    scaled = any(getattr(network.config, name, None) for name in ("logit_scale", "logits_scaling"))
    kernel = _kernel(states.device)
    if kernel is None or type(layer) is not nn.Linear or scaled or not len(states):
        return None
    cap = getattr(network.config, "final_logit_softcapping", None)

    def fused(own: Tensor, wanted: Tensor) -> Tensor:
        total: Tensor = kernel(own, layer.weight, wanted, bias=layer.bias, reduction="sum", softcap=cap)
        return total

    trained = [parameter for parameter in layer.parameters() if parameter.requires_grad]
    states, targets = states[:_TRIED].detach(), targets[:_TRIED]
    try:
        mine = _gradients(fused, states, targets, trained)
    except Exception:  # whatever Triton and the driver raise
        return None
    theirs = _gradients(lambda own, wanted: summed_token_loss(head, trained, own, wanted), states, targets, trained)
    pairs = list(zip(mine, theirs, strict=True))
    return fused if all(float((a - b).norm()) <= _ALIKE * float(b.norm()) for a, b in pairs) else None


def _kernel(device: torch.device) -> Callable[..., Any] | None:
    if device.type != "cuda" or not is_installed("liger_kernel"):
        return None
    try:
        from liger_kernel.transformers.functional import liger_fused_linear_cross_entropy
    except Exception:  # an import that looks for a driver
        return None
    found: Callable[..., Any] = liger_fused_linear_cross_entropy
    return found


def _gradients(loss: FusedLoss, states: Tensor, targets: Tensor, trained: Sequence[nn.Parameter]) -> list[Tensor]:
    """Return the loss and its gradients, in float32."""
    own = states.clone().requires_grad_(True)
    with torch.enable_grad():
        total = loss(own, targets)
        found = torch.autograd.grad(total, (own, *trained))
    return [tensor.detach().float() for tensor in (total, *found)]
