"""Learning rates where none was given: a prior for each family of architectures, and each block's share of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from torch import nn

from graft.backbones.depth import Block, block_numbers
from graft.training.optimizers import ParameterGroup

__all__ = ["LORA_FACTOR", "layer_groups", "prior_rate"]

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
LORA_FACTOR: Final = 10.0  # Biderman et al., LoRA Learns Less and Forgets Less, 2024; METHODS of the project


def prior_rate(family: str) -> float:
    """Return the learning rate for all layers of a family of architectures, for AdamW and batches of 32."""
    return _PRIORS.get(family, _OTHER)


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
