"""What every task must be able to do, as protocols; there is no base class to inherit from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["Batch", "FeatureTask", "Task"]

Batch = Mapping[str, "Tensor"]


@runtime_checkable
class Task(Protocol):
    """A kind of problem: how its examples become tensors, its network, its loss and predictions.

    Implementations are final classes, registered in `graft.tasks.registry` under the name of the
    Hugging Face pipeline that serves the saved model.
    """

    name: str

    def encode(self, content: bytes, *, name: str) -> Any:
        """Return one example's model input, not yet batched; `name` is for messages."""
        ...

    def collate(self, examples: Sequence[Any], targets: Sequence[int]) -> Batch:
        """Return a batch of encoded examples with their targets."""
        ...

    def build(self) -> nn.Module:
        """Return the network with a head for the task's labels."""
        ...

    def loss(self, network: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the *sum* of the losses and the *count* of targets, never a mean.

        Sums and counts make gradient accumulation, uneven last batches and data-parallel training
        exact with one loop.
        """
        ...

    def predict(self, network: nn.Module, batch: Batch) -> Tensor:
        """Return logits: (n_examples, n_classes)."""
        ...


@runtime_checkable
class FeatureTask(Task, Protocol):
    """A task whose frozen network gives one pooled feature vector an example."""

    def features(self, network: nn.Module, batch: Batch) -> Tensor:
        """Return pooled features, the input of the head: (n_examples, n_features)."""
        ...
