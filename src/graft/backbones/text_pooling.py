"""Mean pooling inside stock transformers checkpoints: one more layer whose weights say "take the mean of all tokens".

The stock classes for BERT and its kin read the first token, while sentence encoders are trained for the mean of all
tokens. A layer with queries and keys of zero attends to all tokens alike; with values and output the identity, times a
large factor that drowns the residual, and no feed-forward part, its output at every position is the layer-normalised
mean of the tokens: a unit-norm sentence vector times the square root of the width, but for its mean over the columns.
What follows in the checkpoint (a dense layer with an activation) is set to the identity as well. The saved folder is an
ordinary BERT, RoBERTa, ... with a layer more, which `transformers.pipeline` loads without knowing of Graft. Which
architectures can say so is in `graft.backbones.text_families`.

In memory these layers compute what their weights say without reading them: that is faster, and nothing can train them.
"""

from __future__ import annotations

import copy
import math
import threading
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from graft.backbones.text_families import Family, family_of_text

__all__ = [
    "LARGE",
    "Fixed",
    "fixed_modules",
    "graft_pooling",
    "head_input_scale",
    "mark_pooling",
    "pooled_features",
]

LARGE = 4096.0  # how much the mean outweighs the residual; a power of two costs no precision
_SMALL = 2.0**-7  # tanh(x / 128) is x / 128 to 2e-4 for layer-normalised x
_LIFT = 32.0  # keeps layer-normalised values on the linear side of ReLU
_TINY = 2.0**-10  # GELU(x) is x / 2 near nought: to 0.2 % for three standard deviations times this


class Fixed(nn.Module):
    """Marks a module whose parameters say what it computes but are not read; they are never trained.

    Attributes
    ----------
    output_scale : what it multiplies its input by.
    """

    output_scale = 1.0


@torch.no_grad()
def graft_pooling(network: nn.Module, *, n_layers: int, pooling: str) -> nn.Module:
    """Return a copy whose head reads the pooled output of its first `n_layers` layers.

    Parameters
    ----------
    network : a classification network of a known family, in eval mode.
    n_layers : layers that stay; those above are cut off.
    pooling : ``"mean"`` (a pooling layer is added, where the family can take one) or ``"cls"`` (the first token, as it
        leaves the last layer).

    Notes
    -----
    The features are ``LayerNorm(LayerNorm(LARGE * mean + first token))``, squeezed through the activation; the head is
    fitted to what comes out, so no approximation stands between features and saved model.
    """
    family = family_of_text(network)
    assert family is not None
    own: Any = copy.deepcopy(network)
    if family.layers:
        layers = own.get_submodule(family.layers)
        kept = list(layers[:n_layers])
        if pooling == "mean":
            kept.append(copy.deepcopy(layers[0]))
            _write_mean(kept[-1], family)
        _replace(own, family.layers, nn.ModuleList(kept))
        setattr(own.config, family.n_layers, len(kept))
    factor, bias = {"tanh": (_SMALL, 0.0), "relu": (1.0, _LIFT), "gelu": (_TINY, 0.0)}[family.activation]
    _identity(own.get_submodule(family.dense), factor, bias)
    return mark_pooling(own, f"{pooling}@{n_layers}").eval()


def mark_pooling(network: nn.Module, block: str) -> nn.Module:
    """Return the network, its pooling layers (as `graft_pooling` wrote them) computing without their weights.

    Parameters
    ----------
    block : ``"mean@6"``, ``"cls@6"``; ``"own"``: there are none.
    """
    family = family_of_text(network)
    if block == "own" or family is None:
        return network
    if block.startswith("mean@"):
        last: Any = network.get_submodule(family.layers)[-1]  # type: ignore[index]
        last.__class__ = _fixed(type(last), _pooled_with_nothing if family.is_tuple else _pooled_forward)
    dense = network.get_submodule(family.dense)
    if family.activation == "tanh":
        dense.__class__ = _fixed(type(dense), _small_dense, output_scale=_SMALL)
    elif family.activation == "gelu":
        dense.__class__ = _fixed(type(dense), _tiny_dense, output_scale=_TINY / 2)
    else:
        dense.__class__ = _fixed(type(dense), _lifted_dense)
    for module in fixed_modules(network).values():
        module.requires_grad_(False)
    return network


def fixed_modules(network: nn.Module) -> dict[str, nn.Module]:
    """Return the modules that are never trained, by dotted name."""
    return {name: module for name, module in network.named_modules() if isinstance(module, Fixed)}


def _replace(root: nn.Module, name: str, module: nn.Module) -> None:
    parent, _, child = name.rpartition(".")
    setattr(root.get_submodule(parent), child, module)


def _identity(layer: Any, factor: float = 1.0, bias: float = 0.0) -> None:
    layer.weight.copy_(factor * torch.eye(*layer.weight.shape))
    layer.bias.fill_(bias)


def _write_mean(layer: nn.Module, family: Family) -> None:
    query, key, value = (layer.get_submodule(f"{family.attention}.{name}") for name in family.projections)
    for module in (query, key, layer.get_submodule(family.middle), layer.get_submodule(family.last)):
        for parameter in module.parameters():
            parameter.zero_()
    _identity(value)
    _identity(layer.get_submodule(family.output), LARGE)
    for name in family.norms:
        norm: Any = layer.get_submodule(name)
        norm.weight.fill_(1.0)
        norm.bias.zero_()


def head_input_scale(network: nn.Module) -> float:
    """Return how much smaller the head's input is than layer-normalised features; 1 for networks without pooling."""
    return math.prod(module.output_scale for module in network.modules() if isinstance(module, Fixed))


def _fixed(base: type[nn.Module], forward: Callable[..., Any], *, output_scale: float = 1.0) -> type[nn.Module]:
    """Return a subclass that computes by `forward`; its state dictionary is that of `base`."""
    members = {"forward": forward, "__init__": base.__init__, "output_scale": output_scale}
    return type(f"Fixed{base.__name__}", (base, Fixed), members)


def _pooled_forward(
    self: Any, hidden_states: Tensor, attention_mask: Tensor | None = None, *_: Any, **__: Any
) -> Tensor:
    """Return (n, 1, width): what the layer's weights give at the first position, the only one that is read."""
    first = hidden_states[:, :1].float()
    if attention_mask is None:
        mean = hidden_states.float().mean(1, keepdim=True)
    else:
        seen = _tokens(attention_mask).to(torch.float32).unsqueeze(-1)
        mean = (hidden_states.float() * seen).sum(1, keepdim=True) / seen.sum(1, keepdim=True)
    width = (hidden_states.shape[-1],)
    pooled = functional.layer_norm(LARGE * mean + first, width, eps=1e-12)
    return functional.layer_norm(pooled, width, eps=1e-12)


def _pooled_with_nothing(self: Any, *given: Any, **named: Any) -> tuple[Tensor, None]:
    """Return `_pooled_forward` and, in place of attention weights, nothing."""
    return _pooled_forward(self, *given, **named), None


def _tokens(attention_mask: Tensor) -> Tensor:
    """Return (n, n_tokens), whether a token is there, from any mask that transformers makes of it."""
    mask = attention_mask[:, 0, 0] if attention_mask.dim() == 4 else attention_mask
    if mask.dtype == torch.bool:
        return mask
    is_added = attention_mask.dim() == 4 and mask.is_floating_point()  # to the scores: nought where a token is
    return mask >= 0 if is_added else mask > 0


def _small_dense(self: Any, features: Tensor) -> Tensor:
    return features * _SMALL


def _tiny_dense(self: Any, features: Tensor) -> Tensor:
    return features * _TINY


def _lifted_dense(self: Any, features: Tensor) -> Tensor:
    return features + _LIFT


@torch.no_grad()
def pooled_features(network: nn.Module, inputs: Mapping[str, Tensor], blocks: tuple[str, ...], *, head: str) -> Tensor:
    """Return what the head would read under each way of pooling, side by side: (n, len(blocks) * width).

    Parameters
    ----------
    network : a classification network as loaded, or, for a single block, as `graft_pooling` has made it.
    inputs : keyword arguments of its forward pass.
    blocks : ``"mean@6"``, ``"cls@6"``, ``"own"``.
    head : dotted name of the last linear layer.
    """
    family = family_of_text(network)
    is_grafted = any(isinstance(module, Fixed) for module in network.modules())
    if is_grafted or blocks == ("own",):
        return _head_input(network, inputs, head)[0]
    assert family is not None
    states: tuple[Tensor, ...]
    if "own" in blocks:  # the one pass through the whole network gives the states as well
        own, states = _head_input(network, inputs, head, output_hidden_states=True)
    else:
        base: Any = getattr(network, str(network.base_model_prefix))
        states = base(**inputs, output_hidden_states=True).hidden_states
    found: list[Tensor] = []
    for block in blocks:
        if block == "own":
            found.append(own)
            continue
        pooling, _, layer = block.partition("@")
        hidden = states[int(layer)]
        pooled = _pooled_forward(None, hidden, inputs["attention_mask"]) if pooling == "mean" else hidden[:, :1].float()
        found.append(_activated(pooled[:, 0], family))
    return torch.cat([block.float() for block in found], dim=1)


def _activated(pooled: Tensor, family: Family) -> Tensor:
    """Return what the layer before the head makes of pooled features, as `graft_pooling` writes that layer."""
    if family.activation == "tanh":
        return torch.tanh(pooled * _SMALL)
    if family.activation == "gelu":
        return functional.gelu(pooled * _TINY)
    return torch.relu(pooled + _LIFT)


def _head_input(
    network: nn.Module, inputs: Mapping[str, Tensor], head: str, **options: bool
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Return what the head reads, and the states between the layers where `options` ask for them."""
    seen: list[Tensor] = []
    own = threading.get_ident()  # several threads may be in the network at once, each with a hook of its own

    def keep(_: nn.Module, given: tuple[Tensor, ...]) -> None:
        if threading.get_ident() == own:
            seen.append(given[0])

    hook = network.get_submodule(head).register_forward_pre_hook(keep)
    try:
        given = network(**inputs, **options)
    finally:
        hook.remove()
    return seen[0], given.hidden_states or ()
