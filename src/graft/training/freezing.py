"""What does not train does not move: modes of modules, and BatchNorm's statistics."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import torch
from torch import Tensor, nn

__all__ = ["recalibrate_batch_norms", "set_training_mode"]

_BatchNorm = nn.modules.batchnorm._BatchNorm
_SANE_MOMENTUM = 0.1


def set_training_mode(network: nn.Module, *, batch_norm: str) -> None:
    """Put what trains into training mode, and all else, with its buffers, into eval mode.

    Parameters
    ----------
    batch_norm : ``"frozen"`` keeps every BatchNorm in eval mode: its statistics stay, its scale and shift may train.
        ``"train"`` lets those of modules that train move, with a momentum of at most 0.1: transformers' MobileNets
        carry 0.997, which in PyTorch forgets all but the last batch.
    """
    network.train()
    for module in network.modules():
        own = [p.requires_grad for p in module.parameters()]
        if own and not any(own):
            module.eval()
        if isinstance(module, _BatchNorm):
            if batch_norm == "frozen":
                module.eval()
            elif module.training and module.momentum is not None:
                module.momentum = min(module.momentum, _SANE_MOMENTUM)


@torch.no_grad()
def recalibrate_batch_norms(
    network: nn.Module, batches: Iterable[Mapping[str, Tensor]], *, predict: Callable[[Mapping[str, Tensor]], object]
) -> int:
    """Replace BatchNorm's running statistics by those of some batches; return how many norms there are.

    Each statistic becomes the plain mean over the batches, as momentum None does. The network is left in eval mode.

    Parameters
    ----------
    predict : runs the network on a batch.

    References
    ----------
    Wu and Johnson, Rethinking "Batch" in BatchNorm, 2021, section 3 (precise BatchNorm).
    """
    norms = [m for m in network.modules() if isinstance(m, _BatchNorm) and m.track_running_stats]
    momenta = [norm.momentum for norm in norms]
    network.eval()
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
        norm.train()
    try:
        for batch in batches:
            predict(batch)
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
            norm.eval()
    return len(norms)
