"""What every task must be able to do, as protocols; there is no base class to inherit from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, Self, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor, nn

    from graft.backbones.pretrained import PretrainedModel
    from graft.core.types import Preview
    from graft.data.kinds import ExampleKind

__all__ = ["Batch", "FeatureTask", "Task"]

Batch = Mapping[str, "Tensor"]


@runtime_checkable
class Task(Protocol):
    """A kind of problem: how its examples become tensors, its network, its loss and predictions.

    Implementations are final classes, registered in `graft.tasks.registry` under the name of the
    Hugging Face pipeline that serves the saved model.
    """

    name: str
    kind: ExampleKind
    model: PretrainedModel

    def __init__(self, model: Any) -> None: ...

    @classmethod
    def load(cls, model: str, *, label_names: Sequence[str], **options: Any) -> Self:
        """Return the task over a checkpoint: a hub id or a folder.

        Raises
        ------
        ModelError
            When it cannot be loaded, or does not serve this task.
        """
        ...

    @classmethod
    def of_saved(cls, folder: Path, *, label_names: Sequence[str], record: Mapping[str, Any]) -> Self:
        """Return the task over a model that Graft saved; `record` is what its ``graft.json`` holds."""
        ...

    @classmethod
    def reloaded(cls, folder: Path) -> Callable[[bytes], NDArray[np.float32]]:
        """Return what gives one example's logits by transformers alone, from a saved folder: the check of saving."""
        ...

    @staticmethod
    def preview(content: bytes, *, name: str) -> Preview:
        """Return what a report shows of one example."""
        ...

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
