"""Pictures with one label each."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from graft.backbones.heads import find_head
from graft.backbones.loading import ImageModel, load_image_model, quiet_transformers
from graft.core.types import Preview
from graft.data.images import decode_image
from graft.data.kinds import PICTURE
from graft.tasks.base import Batch
from graft.tasks.classification import classification_loss_sum, refuse_preprocessing

__all__ = ["ImageClassification"]

_THUMBNAIL_SIDE = 96


@final
class ImageClassification:
    """Picture classification over any transformers network that ends in a linear layer.

    Parameters
    ----------
    model : the pretrained model with its preprocessing.
    """

    name = "image-classification"
    kind = PICTURE

    def __init__(self, model: ImageModel) -> None:
        self.model = model
        self._scale = torch.from_numpy(model.preprocessing.scale).view(1, -1, 1, 1)
        self._offset = torch.from_numpy(model.preprocessing.offset).view(1, -1, 1, 1)

    @classmethod
    def load(cls, model: str, *, label_names: Sequence[str], **options: Any) -> Self:
        """Return the task over a checkpoint; options as in `load_image_model`."""
        options.pop("max_tokens", None)
        refuse_preprocessing(options.pop("preprocessing", None), noun="pictures")
        return cls(load_image_model(model, label_names=label_names, **options))

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

    @classmethod
    def of_saved(cls, folder: Path, *, label_names: Sequence[str], record: Mapping[str, Any]) -> Self:
        """Return the task over a model that Graft saved."""
        return cls(load_image_model(str(folder), label_names=label_names, is_offline=True))

    @classmethod
    def reloaded(cls, folder: Path) -> Callable[[bytes], NDArray[np.float32]]:
        """Return what gives a picture's logits (n_classes,) by transformers alone, from a saved folder."""
        from transformers import AutoImageProcessor, AutoModelForImageClassification

        with quiet_transformers():
            network: Any = AutoModelForImageClassification.from_pretrained(folder, local_files_only=True).eval()
            processor: Any = AutoImageProcessor.from_pretrained(folder, local_files_only=True)

        @torch.inference_mode()
        def logits(content: bytes) -> NDArray[np.float32]:
            picture = decode_image(content, name=str(folder))
            pixels = processor(images=picture, return_tensors="pt")["pixel_values"]
            found: NDArray[np.float32] = network(pixel_values=pixels).logits[0].float().numpy()
            return found

        return logits

    @staticmethod
    def preview(content: bytes, *, name: str) -> Preview:
        """Return a small JPEG of the picture."""
        picture = decode_image(content, name=name)
        picture.thumbnail((_THUMBNAIL_SIDE, _THUMBNAIL_SIDE))
        file = io.BytesIO()
        picture.save(file, "JPEG", quality=80)
        return Preview(picture=file.getvalue())
