"""The cross-entropy of chosen tokens, without ever holding the logits of all of them.

For a vocabulary of 150,000 words the logits of 4,096 tokens are 2.5 GB in float32, and their gradient as much again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["head_of", "summed_token_loss", "token_losses"]

_MOST_LOGITS: Final = 1 << 25  # numbers held at once: 128 MiB in float32

Head = Callable[[Tensor], Tensor]


def head_of(network: Any) -> Head | None:
    """Return what turns the last hidden states into logits, as the network's own forward does; None: it is not known.

    Tried on the network itself: what is returned gives its logits to 1e-4 relative.
    """
    config = network.config
    layer = network.get_output_embeddings()
    if layer is None:
        return None
    cap, scale, by = (getattr(config, name, None) for name in
                      ("final_logit_softcapping", "logit_scale", "logits_scaling"))  # fmt: skip

    def head(states: Tensor) -> Tensor:
        logits: Tensor = layer(states)
        logits = logits * scale if scale else logits
        logits = logits / by if by else logits
        return torch.tanh(logits / cap) * cap if cap else logits

    own = next(network.parameters()).device
    tokens = torch.arange(4, device=own)[None] % int(layer.weight.shape[0])
    was_training = network.training
    network.eval()
    with torch.no_grad():
        theirs = network(input_ids=tokens, use_cache=False).logits.float()
        mine = head(network.base_model(input_ids=tokens, use_cache=False).last_hidden_state).float()
    network.train(was_training)
    is_same = mine.shape == theirs.shape and torch.allclose(mine, theirs, rtol=1e-4, atol=1e-4)
    return head if is_same else None


def token_losses(head: Head, states: Tensor, targets: Tensor) -> Tensor:
    """Return the cross-entropy of each target, in float32, without gradients: (n,).

    Parameters
    ----------
    head : gives logits (k, n_words) of states (k, width).
    states : (n, width), what each target is foretold from.
    targets : (n,), int64.
    """
    with torch.no_grad():
        size = _chunk(head, states)
        parts = zip(states.split(size), targets.split(size), strict=True)
        return torch.cat([_losses(head, *part) for part in parts]) if len(states) else states.new_zeros(0).float()


def summed_token_loss(head: Head, parameters: Sequence[nn.Parameter], states: Tensor, targets: Tensor) -> Tensor:
    """Return the sum of the cross-entropies, in float32, with gradients to `states` and `parameters`.

    Parameters
    ----------
    parameters : of the head, those that are trained.

    Notes
    -----
    Chunks of at most 2^25 logits. Where there are several, the gradients of each are computed at once, in the forward
    pass: no logits are held, and none are computed twice.

    References
    ----------
    Hsu et al., Liger Kernel, 2024, https://arxiv.org/abs/2410.10989, section 3.2 (fused linear cross-entropy).
    """
    size = _chunk(head, states)
    if len(states) <= size:
        return functional.cross_entropy(head(states).float(), targets, reduction="sum")
    if not torch.is_grad_enabled():
        return token_losses(head, states, targets).sum()
    total: Tensor = _Chunked.apply(head, size, targets, states, *parameters)
    return total


def _chunk(head: Head, states: Tensor) -> int:
    with torch.no_grad():
        n_words = int(head(states[:1].detach()).shape[-1]) if len(states) else 1
    return max(1, _MOST_LOGITS // n_words)


def _losses(head: Head, states: Tensor, targets: Tensor) -> Tensor:
    return functional.cross_entropy(head(states).float(), targets, reduction="none")


class _Chunked(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, head: Head, size: int, targets: Tensor, states: Tensor, *parameters: Tensor) -> Any:
        gradients = [torch.zeros_like(tensor) for tensor in (states, *parameters)]
        total = states.new_zeros((), dtype=torch.float32)
        for first in range(0, len(states), size):
            own = states[first : first + size].detach().requires_grad_(True)
            with torch.enable_grad():
                each = _losses(head, own, targets[first : first + size])
                of_states, *rest = torch.autograd.grad(each.sum(), (own, *parameters))
            gradients[0][first : first + size] = of_states
            for held, found in zip(gradients[1:], rest, strict=True):
                held += found
            total += each.detach().sum()
        ctx.gradients = gradients
        return total

    @staticmethod
    def backward(ctx: Any, of_total: Tensor) -> Any:
        return (None, None, None, *(gradient * of_total for gradient in ctx.gradients))
