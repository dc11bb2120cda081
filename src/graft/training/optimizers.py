"""Fused AdamW and SGD with momentum, and which weights decay."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from graft.core.errors import ModelError
from graft.training.recipe import Recipe

__all__ = ["build_optimizer", "parameter_groups"]


def parameter_groups(network: nn.Module, *, weight_decay: float) -> list[dict[str, Any]]:
    """Return two groups of trainable parameters: those that decay, and those of norms and biases that don't.

    A parameter with one axis or none is a bias, a norm's scale or a layer scale; those stay free of decay, and so do
    class tokens and position tables whose names end in ``_token`` or ``position_embeddings``.

    Raises
    ------
    ModelError
        When nothing is trainable.
    """
    decayed: list[nn.Parameter] = []
    free: list[nn.Parameter] = []
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            is_free = parameter.ndim < 2 or name.endswith(("_token", "position_embeddings"))
            (free if is_free else decayed).append(parameter)
    if not decayed and not free:
        raise ModelError(
            "no parameter of the network is trainable",
            expected="at least one parameter with requires_grad=True",
        )
    groups = [{"params": decayed, "weight_decay": weight_decay}, {"params": free, "weight_decay": 0.0}]
    return [group for group in groups if group["params"]]


def build_optimizer(network: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """Return the recipe's optimizer over the trainable parameters, in its fused form (one kernel for all weights)."""
    groups = parameter_groups(network, weight_decay=recipe.weight_decay)
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(
            groups,
            lr=recipe.learning_rate,
            momentum=recipe.momentum,
            nesterov=recipe.momentum > 0,
            fused=True,
        )
    return torch.optim.AdamW(groups, lr=recipe.learning_rate, fused=True)
