"""Pictures with one label each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from graft.backbones.heads import find_head
from graft.backbones.loading import ImageModel
from graft.data.images import decode_image
from graft.tasks.base import Batch
from graft.tasks.classification import classification_loss_sum

__all__ = ["ImageClassification"]


@final
class ImageClassification:
    """Picture classification over any transformers network that ends in a linear layer.

    Parameters
    ----------
    model : the pretrained model with its preprocessing.
    """

    name = "image-classification"

    def __init__(self, model: ImageModel) -> None:
        self.model = model
        self._scale = torch.from_numpy(model.preprocessing.scale).view(1, -1, 1, 1)
        self._offset = torch.from_numpy(model.preprocessing.offset).view(1, -1, 1, 1)

    def encode(self, content: bytes, *, name: str) -> NDArray[Any]:
        """Return preprocessed pixels of a picture file: (n_channels, height, width)."""
        return self.model.preprocessing(decode_image(content, name=name))

    def collate(self, examples: Sequence[NDArray[Any]], targets: Sequence[int]) -> Batch:
        """Return ``pixel_values`` (n, n_channels, height, width), normalised, and ``labels`` (n,)."""
        pixels = torch.from_numpy(np.stack(examples)).float() * self._scale + self._offset
        return {"pixel_values": pixels, "labels": torch.as_tensor(list(targets), dtype=torch.int64)}

    def build(self) -> nn.Module:
        """Return the network; its head has one row a label."""
        return self.model.network

    def loss(self, network: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the sum of cross-entropies and the number of pictures, see `classification_loss_sum`."""
        return classification_loss_sum(self.predict(network, batch), batch)

    def predict(self, network: nn.Module, batch: Batch) -> Tensor:
        """Return logits: (n_pictures, n_classes)."""
        logits: Tensor = network(pixel_values=batch["pixel_values"]).logits
        return logits

    def features(self, network: nn.Module, batch: Batch) -> Tensor:
        """Return the input of the head: (n_pictures, n_features)."""
        seen: list[Tensor] = []
        layer = find_head(network, batch["pixel_values"][:1], label=self.model.backbone.id).layer
        hook = layer.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
        try:
            self.predict(network, batch)
        finally:
            hook.remove()
        return seen[0]
