"""Parameter groups, fused AdamW and SGD with momentum, which weights decay, and the pull towards the start."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from graft.core.errors import ModelError
from graft.training.recipe import Recipe

__all__ = ["ParameterGroup", "StartPull", "build_optimizer", "parameter_groups"]


@dataclass(frozen=True)
class ParameterGroup:
    """Parameters that share a learning rate.

    Parameters
    ----------
    names : of the parameters in the network.
    rate_factor : share of the recipe's learning rate that they get.
    starts_at : share of the run, 0 to 1, after which they begin to move.
    decay_factor : share of the recipe's weight decay that they get.
    is_new : whether their start is nothing worth keeping (a new head): `Recipe.l2_sp` leaves them alone.
    """

    names: tuple[str, ...]
    rate_factor: float = 1.0
    starts_at: float = 0.0
    is_new: bool = False
    decay_factor: float = 1.0


def parameter_groups(
    network: nn.Module, *, weight_decay: float, groups: Sequence[ParameterGroup] | None = None
) -> list[dict[str, Any]]:
    """Return torch's parameter groups: each given group parted into what decays, and norms and biases that don't.

    A parameter with one axis or none is a bias, a norm's scale or a layer scale; those stay free of decay, and so do
    class tokens and position tables whose names end in ``_token`` or ``position_embeddings``.

    Parameters
    ----------
    groups : parameters with ``requires_grad`` that none names are left out; None: one group of all that are trainable.

    Raises
    ------
    ModelError
        When nothing is trainable, or a group names what is not.
    """
    trainable = {name: p for name, p in network.named_parameters() if p.requires_grad}
    if not trainable:
        raise ModelError(
            "no parameter of the network is trainable",
            expected="at least one parameter with requires_grad=True",
        )
    found: list[dict[str, Any]] = []
    for group in groups if groups is not None else (ParameterGroup(tuple(trainable)),):
        unknown = [name for name in group.names if name not in trainable]
        if unknown:
            raise ModelError(
                f"a parameter group names {unknown[0]}", expected="parameters of the network with requires_grad=True"
            )
        free = [n for n in group.names if trainable[n].ndim < 2 or n.endswith(("_token", "position_embeddings"))]
        decayed = [name for name in group.names if name not in set(free)]
        for names, decay in ((decayed, weight_decay * group.decay_factor), (free, 0.0)):
            if names:
                found.append(
                    {
                        "params": [trainable[name] for name in names],
                        "weight_decay": decay,
                        "rate_factor": group.rate_factor,
                        "starts_at": group.starts_at,
                        "is_new": group.is_new,
                    }
                )
    return found


def build_optimizer(
    network: nn.Module, recipe: Recipe, groups: Sequence[ParameterGroup] | None = None
) -> torch.optim.Optimizer:
    """Return the recipe's optimizer over the trainable parameters, in its fused form (one kernel for all weights)."""
    parameters = parameter_groups(network, weight_decay=recipe.weight_decay, groups=groups)
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(
            parameters,
            lr=recipe.learning_rate,
            momentum=recipe.momentum,
            nesterov=recipe.momentum > 0,
            fused=True,
        )
    return torch.optim.AdamW(parameters, lr=recipe.learning_rate, fused=True)


class StartPull:
    """L2-SP: after each step, every weight goes a little back towards where it started.

    Parameters
    ----------
    optimizer : its groups hold the weights, their rates, and which are new.
    strength : `Recipe.l2_sp`.
    """

    def __init__(self, optimizer: torch.optim.Optimizer, *, strength: float) -> None:
        self._strength = strength
        self._optimizer = optimizer
        self.starts: list[list[Tensor]] = [
            [] if group["is_new"] else [p.detach().clone() for p in group["params"]] for group in optimizer.param_groups
        ]

    @torch.no_grad()
    def step(self) -> None:
        """Pull all weights by ``rate * strength``."""
        for group, starts in zip(self._optimizer.param_groups, self.starts, strict=True):
            if starts and group["lr"]:
                torch._foreach_lerp_(group["params"], starts, min(1.0, float(group["lr"]) * self._strength))
