"""All layers from a fresh head: the usual fine-tuning, with rates that fall off towards the input."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from torch import nn

from graft.backbones.depth import layer_blocks
from graft.methods.prepared import Prepared
from graft.methods.rates import layer_groups, prior_rate
from graft.methods.settings import FineTuning

__all__ = ["Full"]


@dataclass(frozen=True)
class Full:
    """Fine-tune all layers, the head from zeros.

    Parameters
    ----------
    settings : of fine-tuning.
    layer_decay : share of the rate that each block keeps of the next one's (0.65 to 0.75 is usual for ViTs).
    head_factor : the head's rate over that of the last block: a head of zeros has far to go.
    """

    settings: FineTuning = field(default_factory=FineTuning)
    layer_decay: float = 0.9
    head_factor: float = 10.0
    name: str = field(default="full", init=False)
    start: Literal["probe", "fresh"] = field(default="fresh", init=False)

    def prepare(self, network: nn.Module, *, head: str, family: str) -> Prepared:
        """Make all parameters trainable, each block at its rate."""
        network.requires_grad_(True)
        groups = layer_groups(network, layer_blocks(network, head=head), layer_decay=self.layer_decay)
        return Prepared(network, (*groups[:-1], replace(groups[-1], rate_factor=self.head_factor)))

    def learning_rate(self, family: str) -> float:
        """Return the rate of the settings, or the family's prior."""
        return self.settings.learning_rate or prior_rate(family)

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return asdict(self)
