"""Texts, or pairs of texts, with labels."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from graft.backbones.loading import quiet_transformers
from graft.backbones.text_loading import TextModel, load_text_model
from graft.backbones.tokens import TokenIds, Tokens
from graft.core.types import Preview
from graft.data.kinds import TEXT
from graft.data.texts import shown_text, split_pair
from graft.tasks.base import Batch
from graft.tasks.classification import classification_loss_sum, refuse_preprocessing

__all__ = ["TextClassification"]


@final
class TextClassification:
    """Text classification over any transformers encoder that ends in a linear layer.

    Parameters
    ----------
    model : the pretrained model with its tokenizer.
    """

    name = "text-classification"
    kind = TEXT

    def __init__(self, model: TextModel) -> None:
        self.model = model

    @classmethod
    def load(cls, model: str, *, label_names: Sequence[str], **options: Any) -> Self:
        """Return the task over a checkpoint; options as in `load_text_model`."""
        options.pop("weights", None)
        refuse_preprocessing(options.pop("preprocessing", None), noun="texts")
        return cls(load_text_model(model, label_names=label_names, **options))

    def encode(self, content: bytes, *, name: str) -> tuple[TokenIds, int]:
        """Return the numbers of a text's tokens, (n_tokens,), and where the second text of a pair begins."""
        return self.model.tokens.encode(self.model.tokens.read(content, name=name))

    def collate(self, examples: Sequence[tuple[TokenIds, int]], targets: Sequence[int]) -> Batch:
        """Return ``input_ids`` and what goes with them, (n, longest), and ``labels`` (n,)."""
        return {**self.model.tokens.collate(examples), "labels": torch.as_tensor(list(targets), dtype=torch.int64)}

    def build(self) -> nn.Module:
        """Return the network; its head has one row a label."""
        return self.model.network

    def loss(self, network: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the sum of cross-entropies and the number of texts, see `classification_loss_sum`."""
        return classification_loss_sum(self.predict(network, batch), batch)

    def predict(self, network: nn.Module, batch: Batch) -> Tensor:
        """Return logits: (n_texts, n_classes)."""
        logits: Tensor = network(**{name: batch[name] for name in Tokens.NAMES if name in batch}).logits
        return logits

    def features(self, network: nn.Module, batch: Batch) -> Tensor:
        """Return the input of the head: (n_texts, n_features)."""
        seen: list[Tensor] = []
        layer = network.get_submodule(self.model.head.name)
        hook = layer.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
        try:
            self.predict(network, batch)
        finally:
            hook.remove()
        return seen[0]

    @classmethod
    def of_saved(cls, folder: Path, *, label_names: Sequence[str], record: Mapping[str, Any]) -> Self:
        """Return the task over a model that Graft saved."""
        model = load_text_model(
            str(folder), label_names=label_names, is_offline=True, max_tokens=int(record["max_tokens"])
        )
        return cls(model.as_saved(str(record["block"])))

    @classmethod
    def reloaded(cls, folder: Path) -> Callable[[bytes], NDArray[np.float32]]:
        """Return what gives a text's logits (n_classes,) by transformers alone, from a saved folder."""
        from transformers import AutoModelForSequenceClassification, AutoTokenizer

        with quiet_transformers():
            network: Any = AutoModelForSequenceClassification.from_pretrained(folder, local_files_only=True).eval()
            tokenizer: Any = AutoTokenizer.from_pretrained(folder, local_files_only=True)

        @torch.inference_mode()
        def logits(content: bytes) -> NDArray[np.float32]:
            first, second = split_pair(content.decode("utf-8"))
            inputs = tokenizer(first, text_pair=second, truncation=True, return_tensors="pt")
            found: NDArray[np.float32] = network(**inputs).logits[0].float().numpy()
            return found

        return logits

    @staticmethod
    def preview(content: bytes, *, name: str) -> Preview:
        """Return the text, cut where it is long."""
        return Preview(text=shown_text(content))
