"""One block after the other, from the head down.

Howard and Ruder, Universal Language Model Fine-tuning, 2018, section 3.3: https://arxiv.org/abs/1801.06146
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from torch import nn

from graft.backbones.depth import layer_blocks
from graft.core.errors import UsageError
from graft.methods.prepared import Prepared
from graft.methods.rates import layer_groups, prior_rate
from graft.methods.settings import FineTuning

__all__ = ["GradualUnfreeze"]


@dataclass(frozen=True)
class GradualUnfreeze:
    """Fine-tune from the probe's head, the blocks joining one by one, the last first.

    Parameters
    ----------
    settings : of fine-tuning.
    layer_decay : share of the rate that each block keeps of the next one's.
    all_by : share of the run, above 0 and under 1, after which the first block has joined too; the others join at even
        distances before.
    """

    settings: FineTuning = field(default_factory=FineTuning)
    layer_decay: float = 0.9
    all_by: float = 0.5
    name: str = field(default="gradual", init=False)
    start: Literal["probe", "fresh"] = field(default="probe", init=False)

    def __post_init__(self) -> None:
        if not 0 < self.all_by < 1:
            raise UsageError(f"all_by {self.all_by}", expected="a share of the run between 0 and 1")

    def prepare(self, network: nn.Module, *, head: str, family: str) -> Prepared:
        """Make all parameters trainable, each block from its time on."""
        network.requires_grad_(True)
        groups = layer_groups(network, layer_blocks(network, head=head), layer_decay=self.layer_decay)
        last = len(groups) - 1
        return Prepared(
            network,
            tuple(replace(group, starts_at=self.all_by * (last - i) / last) for i, group in enumerate(groups)),
        )

    def learning_rate(self, family: str) -> float:
        """Return the rate of the settings, or the family's prior."""
        return self.settings.learning_rate or prior_rate(family)

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return asdict(self)
