"""What every fine-tuning method gives the loop: a network, which of its parameters move, and how it is handed back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

from torch import Tensor, nn

from graft.methods.settings import FineTuning
from graft.tasks.base import Batch, FeatureTask
from graft.training.contrast import GroupBatches
from graft.training.examples import Rows, TrainingExamples
from graft.training.optimizers import ParameterGroup

__all__ = ["FineTuningMethod", "Objective", "Prepared", "SaveAdapter"]


class Objective(Protocol):
    """What a body is trained for before its head is fitted anew; the head stays as it is meanwhile."""

    def batches(
        self,
        examples: TrainingExamples,
        rows: Rows,
        *,
        batch_size: int,
        seed: int,
    ) -> GroupBatches:
        """Return endless batches of groups that come to `batch_size` examples or a little more."""
        ...

    def loss(self, task: FeatureTask, network: nn.Module, batch: Batch, *, group_size: int) -> tuple[Tensor, Tensor]:
        """Return the sum of the losses of the groups in a batch and the groups' number."""
        ...


class SaveAdapter(Protocol):
    """Writes what turns the untrained network into the one that is kept."""

    def __call__(self, folder: Path, *, kept: nn.Module, share: float) -> None:
        """Write it.

        Parameters
        ----------
        kept : network on the way from the probe to the trained one; its head is written as it is.
        share : of that way: this much of the update to all other weights is written.
        """
        ...


def _as_it_is(network: nn.Module) -> nn.Module:
    return network


@dataclass(frozen=True)
class Prepared:
    """A network ready for the loop.

    Parameters
    ----------
    network : what is trained; its ``requires_grad`` flags are set.
    groups : shares of the learning rate.
    n_frozen_blocks : blocks from the input on that stay frozen, so that their output may be cached; 0: none is cut off.
    finish : turns the trained network into one of the original architecture.
    save_adapter : writes the update apart from the network's own weights; None: the method has none apart.
    objective : what is trained for in place of the task's loss; None: the task's loss.
    """

    network: nn.Module
    groups: tuple[ParameterGroup, ...]
    n_frozen_blocks: int = 0
    finish: Callable[[nn.Module], nn.Module] = _as_it_is
    save_adapter: SaveAdapter | None = None
    objective: Objective | None = None


@runtime_checkable
class FineTuningMethod(Protocol):
    """A way of fine-tuning: a frozen value."""

    @property
    def name(self) -> str:
        """As ``--strategy`` has it."""
        ...

    @property
    def settings(self) -> FineTuning:
        """All that does not depend on which weights move."""
        ...

    @property
    def start(self) -> Literal["probe", "fresh"]:
        """``"probe"``: the solver's head is the start; ``"fresh"``: a head of zeros is."""
        ...

    def prepare(self, network: nn.Module, *, head: str, family: str) -> Prepared:
        """Set ``requires_grad`` of `network` and return it, wrapped where the method wraps.

        Parameters
        ----------
        head : dotted name of the network's last linear layer.
        family : the architecture, for example ``"resnet"``.
        """
        ...

    def learning_rate(self, family: str) -> float:
        """Return the highest learning rate: that of the settings, or the family's prior."""
        ...

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        ...
