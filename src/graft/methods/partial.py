"""The last blocks and the head; the frozen part runs once, its output is cached."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from torch import nn

from graft.backbones.depth import layer_blocks
from graft.core.errors import UsageError
from graft.methods.prepared import Prepared
from graft.methods.rates import layer_groups, prior_rate
from graft.methods.settings import FineTuning

__all__ = ["Partial"]


@dataclass(frozen=True)
class Partial:
    """Fine-tune the last blocks from the probe's head.

    Parameters
    ----------
    last_k_blocks : blocks before the head that move (see `graft.backbones.depth.layer_blocks`), at least 1.
    settings : of fine-tuning.
    layer_decay : share of the rate that each block keeps of the next one's.
    is_cached : for pictures, compute what enters the first trainable block once, for the plain picture and, where
        ``settings.augmentation`` is not ``"none"``, its mirror image, and train on that. False: distort and run the
        whole network in every step.
    """

    last_k_blocks: int = 2
    settings: FineTuning = field(default_factory=FineTuning)
    layer_decay: float = 1.0
    is_cached: bool = True
    name: str = field(default="partial", init=False)
    start: Literal["probe", "fresh"] = field(default="probe", init=False)

    def prepare(self, network: nn.Module, *, head: str, family: str) -> Prepared:
        """Make the last blocks and the head trainable."""
        blocks = layer_blocks(network, head=head)
        most = len(blocks) - 2  # neither the stem nor the head
        if not 1 <= self.last_k_blocks <= most:
            raise UsageError(
                f"the last {self.last_k_blocks} blocks of a {family}",
                expected=f"1 to {most}; all of them: --strategy lp-ft",
                fix=f"--last-k-blocks {min(2, most)} (Python: last_k_blocks={min(2, most)})",
            )
        first = len(blocks) - 1 - self.last_k_blocks
        network.requires_grad_(False)
        for block in blocks[first:]:
            for module in block.modules:
                network.get_submodule(module).requires_grad_(True)
        groups = layer_groups(network, blocks, layer_decay=self.layer_decay)
        return Prepared(network, groups, n_frozen_blocks=first if self.is_cached else 0)

    def learning_rate(self, family: str) -> float:
        """Return the rate of the settings, or the family's prior."""
        return self.settings.learning_rate or prior_rate(family)

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return asdict(self)
