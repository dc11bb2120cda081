"""A running average of the weights, which usually predicts better than the last ones."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

__all__ = ["WeightAverage"]


class WeightAverage:
    """Exponential moving average of a network's parameters; its buffers are copied, not averaged.

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
        self._of_network = {name: tensor.detach() for name, tensor in network.state_dict(keep_vars=True).items()}
        self.tensors: dict[str, Tensor] = {name: tensor.clone() for name, tensor in self._of_network.items()}
        parameters = {name for name, _ in network.named_parameters(remove_duplicate=False)}
        self._averaged = [n for n, t in self.tensors.items() if n in parameters and t.is_floating_point()]
        self._copied = sorted(set(self.tensors) - set(self._averaged))

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the network's weights after optimizer step `step`, counted from 0."""
        decay = min(self.decay, (1 + step) / (10 + step))
        if self._averaged:
            torch._foreach_lerp_(
                [self.tensors[n] for n in self._averaged], [self._of_network[n] for n in self._averaged], 1 - decay
            )
        for name in self._copied:
            self.tensors[name].copy_(self._of_network[name])

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
