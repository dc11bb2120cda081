"""The solver's head first, then all layers at a small rate.

Kumar et al., Fine-Tuning can Distort Pretrained Features and Underperform Out-of-Distribution, 2022:
https://arxiv.org/abs/2202.10054
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from torch import nn

from graft.backbones.depth import layer_blocks
from graft.methods.prepared import Prepared
from graft.methods.rates import layer_groups, prior_rate
from graft.methods.settings import FineTuning
from graft.training.optimizers import ParameterGroup

__all__ = ["LPFT"]


@dataclass(frozen=True)
class LPFT:
    """Linear probe, then fine-tuning: with a good head from the start, the features below it are bent less.

    Parameters
    ----------
    settings : of fine-tuning.
    layer_decay : share of the rate that each block keeps of the next one's; 1: all layers alike, for which no order of
        layers need be known.
    """

    settings: FineTuning = field(default_factory=FineTuning)
    layer_decay: float = 1.0
    name: str = field(default="lp-ft", init=False)
    start: Literal["probe", "fresh"] = field(default="probe", init=False)

    def prepare(self, network: nn.Module, *, head: str, family: str) -> Prepared:
        """Make all parameters trainable."""
        network.requires_grad_(True)
        if self.layer_decay == 1:
            own = tuple(name for name, _ in network.named_parameters() if name.startswith(head + "."))
            rest = tuple(name for name, _ in network.named_parameters() if not name.startswith(head + "."))
            return Prepared(network, (ParameterGroup(rest), ParameterGroup(own, is_new=True)))
        return Prepared(network, layer_groups(network, layer_blocks(network, head=head), layer_decay=self.layer_decay))

    def learning_rate(self, family: str) -> float:
        """Return the rate of the settings, or the family's prior."""
        return self.settings.learning_rate or prior_rate(family)

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return asdict(self)
