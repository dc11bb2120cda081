"""A running average of the weights, which usually predicts better than the last ones."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

__all__ = ["WeightAverage"]


class WeightAverage:
    """Exponential moving average of a network's trainable parameters; all else is the network's own.

    Parameters
    ----------
    network : its present weights are the start.
    decay : weight of the past in each step, 0 to 1.

    Notes
    -----
    In step t (from 0) the decay is at most (1 + t) / (10 + t), so that the random start is soon forgotten.

    References
    ----------
    Polyak and Juditsky, Acceleration of Stochastic Approximation by Averaging, 1992.
    """

    def __init__(self, network: nn.Module, *, decay: float) -> None:
        self.decay = decay
        self._of_network = {
            name: p.detach() for name, p in network.named_parameters() if p.requires_grad and p.is_floating_point()
        }
        self.tensors: dict[str, Tensor] = {name: tensor.clone() for name, tensor in self._of_network.items()}

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the network's weights after optimizer step `step`, counted from 0."""
        decay = min(self.decay, (1 + step) / (10 + step))
        if self.tensors:
            torch._foreach_lerp_(list(self.tensors.values()), list(self._of_network.values()), 1 - decay)

    @torch.no_grad()
    def write_to_network(self) -> None:
        """Give the network the averaged weights."""
        for name, tensor in self.tensors.items():
            self._of_network[name].copy_(tensor)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Let the network have the averaged weights for a while."""
        with torch.no_grad():
            present = {name: tensor.clone() for name, tensor in self._of_network.items()}
        self.write_to_network()
        try:
            yield
        finally:
            with torch.no_grad():
                for name, tensor in present.items():
                    self._of_network[name].copy_(tensor)
