"""Looking at held-out examples while training: figures by step, the best weights, and when to stop."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["BestWeights", "HeldOut", "best_line"]


@dataclass(frozen=True)
class HeldOut:
    """What is looked at, how often, and with how much patience.

    Parameters
    ----------
    evaluate : gives figures of a network in eval mode; ``"log_loss"`` must be among them.
    every_steps : optimizer steps between two evaluations; there is one more after the last step.
    patience : evaluations without a better figure after which training stops; None: it runs to its end.
    decided_by : the figure whose least value decides; the log-loss decides between equals.
    """

    evaluate: Callable[[nn.Module], Mapping[str, float]]
    every_steps: int
    patience: int | None = None
    decided_by: str = "log_loss"


def best_line(history: Sequence[Mapping[str, Any]], *, decided_by: str = "log_loss") -> dict[str, Any] | None:
    """Return the line of held-out figures with the least deciding figure, then the least log-loss; None: there is none.

    Examples
    --------
    >>> best_line([{"log_loss": 3.0, "wer": 1.0}, {"log_loss": 2.0, "wer": 1.0}], decided_by="wer")["log_loss"]
    2.0
    """
    lines = [line for line in history if math.isfinite(line["log_loss"])]
    return dict(min(lines, key=lambda line: (line[decided_by], line["log_loss"]))) if lines else None


class BestWeights:
    """The best weights so far on held-out examples, and all figures.

    Parameters
    ----------
    network : whose trainable parameters and buffers are kept.
    decided_by : the figure whose least value decides; the log-loss decides between equals.
    """

    def __init__(self, network: nn.Module, *, decided_by: str = "log_loss") -> None:
        self._decided_by = decided_by
        trainable = {name for name, p in network.named_parameters() if p.requires_grad}
        parameters = {name for name, _ in network.named_parameters(remove_duplicate=False)}
        self._live = {
            name: tensor.detach()
            for name, tensor in network.state_dict(keep_vars=True).items()
            if name in trainable or name not in parameters
        }
        self.tensors: dict[str, Tensor] = {}
        self.history: list[dict[str, Any]] = []

    @property
    def best(self) -> dict[str, Any] | None:
        """The line of the history that decides."""
        return best_line(self.history, decided_by=self._decided_by)

    def n_since_best(self) -> int:
        """Return how many looks came after the best one."""
        best = self.best
        return 0 if best is None else sum(line["step"] > best["step"] for line in self.history)

    @torch.no_grad()
    def take(self, step: int, figures: Mapping[str, float]) -> bool:
        """Note figures after `step` finished steps; keep the network's present weights if they are the best."""
        self.history.append({"step": step, **figures})
        best = self.best
        if best is None or best["step"] != step:
            return False
        self.tensors = {name: tensor.clone() for name, tensor in self._live.items()}
        return True

    @torch.no_grad()
    def write_to_network(self) -> None:
        """Give the network the best weights."""
        for name, tensor in self.tensors.items():
            self._live[name].copy_(tensor)
