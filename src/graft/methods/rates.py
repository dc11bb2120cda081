"""Learning rates where none was given: a prior for each family of architectures, and each block's share of it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

from torch import nn

from graft.backbones.depth import Block, block_numbers
from graft.training.optimizers import ParameterGroup

__all__ = ["LORA_FACTOR", "batch_factor", "layer_groups", "prior_rate", "width_factor"]

# AdamW at batches of 32. Convolutional networks: measured here (docs/experiments.md, "Learning rates of LP-FT").
# Transformers: the usual 2e-5 of BERT (Devlin et al. 2019, appendix A.3) and 1e-5 of CLIP's ViT.
_PRIORS: Final[Mapping[str, float]] = {
    "resnet": 2e-4,
    "regnet": 2e-4,
    "mobilenet_v1": 3e-4,
    "mobilenet_v2": 3e-4,
    "efficientnet": 3e-4,
    "convnext": 1e-4,
    "convnextv2": 1e-4,
    "swin": 5e-5,
    "vit": 3e-5,
    "deit": 3e-5,
    "beit": 3e-5,
    "dinov2": 1e-5,
}
_OTHER: Final = 2e-5
_BASE_WIDTH: Final = 768
_BATCH: Final = 32
LORA_FACTOR: Final = 10.0  # Biderman et al., LoRA Learns Less and Forgets Less, 2024; METHODS of the project


def prior_rate(family: str) -> float:
    """Return the learning rate for all layers of a family of architectures, for AdamW and batches of 32."""
    return _PRIORS.get(family, _OTHER)


def batch_factor(batch_size: int, optimizer: str) -> float:
    """Return what a rate for batches of 32 is multiplied by for another size: its square root, under SGD the ratio.

    References
    ----------
    Malladi et al., On the SDEs and Scaling Rules for Adaptive Gradient Algorithms, 2022, section 3; Goyal et al.,
    Accurate, Large Minibatch SGD, 2017, section 2.1.

    Examples
    --------
    >>> batch_factor(128, "adamw"), batch_factor(128, "sgd"), batch_factor(32, "adamw")
    (2.0, 4.0, 1.0)
    """
    ratio = batch_size / _BATCH
    return ratio if optimizer == "sgd" else math.sqrt(ratio)


def width_factor(network: nn.Module) -> float:
    """Return what a prior for transformers of width 768 is multiplied by for this network: 768 over its width.

    1 for families whose prior was measured on networks of their own. At most 2.5, at least 0.4.

    References
    ----------
    Yang et al., Tensor Programs V, 2022, table 3: under Adam the best rate falls as the width grows.
    """
    config: Any = getattr(network, "config", None)
    width = getattr(config, "hidden_size", None) or getattr(config, "dim", None)
    if getattr(config, "model_type", None) in _PRIORS or not isinstance(width, int):
        return 1.0
    return min(2.5, max(0.4, _BASE_WIDTH / width))


def layer_groups(network: nn.Module, blocks: Sequence[Block], *, layer_decay: float) -> tuple[ParameterGroup, ...]:
    """Return a group a block: block l of L, counted from the input, gets ``layer_decay ** (L - l)`` of the rate.

    The head is block L and gets all of it. Only parameters with ``requires_grad`` are named.

    References
    ----------
    Clark et al., ELECTRA, 2020, appendix B; Bao et al., BEiT, 2022, section 3.1.
    """
    number_of = block_numbers(network, blocks)
    names: list[list[str]] = [[] for _ in blocks]
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            names[number_of[name]].append(name)
    last = len(blocks) - 1
    return tuple(
        ParameterGroup(tuple(own), rate_factor=layer_decay ** (last - number), is_new=number == last)
        for number, own in enumerate(names)
        if own
    )
