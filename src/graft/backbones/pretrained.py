"""What the stations ask of a pretrained model, whatever its examples are."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol, Self

from torch import nn

from graft.backbones.catalog import Backbone
from graft.backbones.heads import Head
from graft.backbones.source import FeatureSource

__all__ = ["PretrainedModel"]


class PretrainedModel(Protocol):
    """A pretrained network with a head for the task's labels, and what belongs to it; a frozen dataclass."""

    @property
    def network(self) -> nn.Module:
        """A transformers classification network, on the CPU, float32, in eval mode."""
        ...

    @property
    def head(self) -> Head:
        """The network's last linear layer."""
        ...

    @property
    def backbone(self) -> Backbone:
        """The record that the manifest keeps."""
        ...

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences on what loading had to do."""
        ...

    @property
    def reads(self) -> str:
        """What the network reads of an example, for messages: ``"3 x 224 x 224"``, ``"up to 256 tokens"``."""
        ...

    @property
    def saved_facts(self) -> dict[str, Any]:
        """What ``graft.json`` holds beside the checkpoint, so that the model loads as it was: JSON values."""
        ...

    def source(self) -> FeatureSource:
        """Return how examples pass through the frozen network."""
        ...

    def choose(self, block: str) -> Self:
        """Return the model whose network computes one of the blocks of features that `source` offers."""
        ...

    def with_network(self, network: nn.Module) -> Self:
        """Return the model over a fine-tuned network of the same architecture."""
        ...

    def save_processor(self, folder: Path) -> None:
        """Write image processor, tokenizer or feature extractor into `folder`."""
        ...
