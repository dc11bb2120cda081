"""The last linear layer of a classification network: found by what it computes, read and replaced."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from graft.core.errors import ModelError

__all__ = ["FeatureNetwork", "Head", "find_head", "find_head_on"]


class Head:
    """The linear layer whose output is the network's logits.

    Parameters
    ----------
    network : the classification network that holds it.
    name : dotted name of the layer in the network.
    """

    def __init__(self, network: nn.Module, name: str) -> None:
        self.network, self.name = network, name

    @property
    def layer(self) -> nn.Linear:
        """The layer itself."""
        layer = self.network.get_submodule(self.name)
        assert isinstance(layer, nn.Linear)
        return layer

    @property
    def n_features(self) -> int:
        """Size of the features that the layer reads."""
        return self.layer.in_features

    @torch.no_grad()
    def set(self, weights: Tensor, bias: Tensor) -> None:
        """Write weights (n_classes, n_features) and bias (n_classes,) into the layer."""
        self.layer.weight.copy_(weights)
        self.layer.bias.copy_(bias)


class FeatureNetwork(nn.Module):
    """The network up to its head, preprocessing's linear part included.

    Parameters
    ----------
    network : a classification network whose head was found; a copy of it is made, the network itself is not changed.
    head : the network's head.
    scale, offset : (n_channels,), the linear part of the preprocessing.
    """

    scale: Tensor
    offset: Tensor

    def __init__(self, network: nn.Module, head: Head, *, scale: Tensor, offset: Tensor) -> None:
        super().__init__()
        network = copy.deepcopy(network)
        parent, _, child = head.name.rpartition(".")
        setattr(network.get_submodule(parent), child, nn.Identity())
        self.network = network
        self.register_buffer("scale", scale.view(1, -1, 1, 1).clone())
        self.register_buffer("offset", offset.view(1, -1, 1, 1).clone())
        self.eval()

    def forward(self, pixels: Tensor) -> Tensor:
        """Return features (n_pictures, n_features) of pixels (n_pictures, n_channels, height, width)."""
        features: Tensor = self.network(pixel_values=pixels.float() * self.scale + self.offset).logits
        return features


def find_head(network: nn.Module, pixels: Tensor, *, label: str) -> Head:
    """Return `find_head_on` of pixels (n_pictures, n_channels, height, width), float32, normalised."""
    return find_head_on(network, {"pixel_values": pixels}, label=label)


@torch.no_grad()
def find_head_on(network: nn.Module, inputs: Mapping[str, Tensor], *, label: str) -> Head:
    """Return the linear layer whose output equals the network's logits on some inputs.

    Found by watching, not by name: a small input is passed through and each linear layer's output compared.

    Parameters
    ----------
    network : a transformers classification network in eval mode.
    inputs : keyword arguments of its forward pass.

    Raises
    ------
    ModelError
        When the logits are not the output of one linear layer.
    """
    outputs: dict[str, Tensor] = {}
    hooks = []
    for name, module in network.named_modules():
        if isinstance(module, nn.Linear):

            def remember(_: nn.Module, __: Any, output: Tensor, name: str = name) -> None:
                outputs[name] = output

            hooks.append(module.register_forward_hook(remember))
    try:
        logits: Tensor = network(**inputs).logits
    finally:
        for hook in hooks:
            hook.remove()
    found = [name for name, y in outputs.items() if y.shape == logits.shape and torch.equal(y, logits)]
    if len(found) != 1:
        candidates = f" (candidates: {', '.join(found)})" if found else ""
        raise ModelError(
            f"{label} does not end in one linear layer{candidates}",
            expected="a classification network whose logits are the output of one nn.Linear",
            fix="choose a model whose transformers class is ...ForImageClassification with a linear classifier",
        )
    head = Head(network, found[0])
    layer: Any = head.layer
    if layer.bias is None:
        layer.bias = nn.Parameter(torch.zeros(layer.out_features))
    return head
