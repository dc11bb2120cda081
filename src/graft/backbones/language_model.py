"""A pretrained language model with its tokenizer and chat template: what it reads, writes and stops at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from graft.backbones.catalog import Backbone
from graft.backbones.chat_encoding import ChatEncoder
from graft.backbones.loading import hash_weights

__all__ = ["IGNORED", "LanguageModel"]

IGNORED = -100  # fills up rows of labels, as transformers has it


@dataclass(frozen=True)
class LanguageModel:
    """A causal language model, on the CPU, float32, in eval mode.

    Parameters
    ----------
    network : a transformers network for causal language modelling.
    tokenizer : transformers' own, with a chat template.
    encoder : writes conversations as tokens.
    backbone : the record that the manifest keeps.
    stop_tokens : numbers of the tokens that end an answer, the template's end of turn first.
    is_plain_template : whether the checkpoint brought no chat template, and the plain one was given to it.
    notes : sentences on what loading had to do.
    """

    network: Any
    tokenizer: Any
    encoder: ChatEncoder
    backbone: Backbone
    stop_tokens: tuple[int, ...]
    is_plain_template: bool = False
    notes: tuple[str, ...] = ()

    @property
    def pad_token(self) -> int:
        """Number of the token that fills up; which one is without meaning, as what is filled up is masked."""
        pad = self.tokenizer.pad_token_id
        return int(self.stop_tokens[0] if pad is None else pad)

    def padded(
        self, rows: Sequence[NDArray[np.integer[Any]]], *, is_left: bool = False, fill: int | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return rows of tokens filled up to the longest, and where they are tokens: (n, longest) int64 both.

        Parameters
        ----------
        is_left : fill up at the beginning, as generation wants it.
        fill : what fills up; None: the pad token.
        """
        longest = max((len(row) for row in rows), default=0)
        tokens = torch.full((len(rows), longest), self.pad_token if fill is None else fill)
        mask = torch.zeros((len(rows), longest), dtype=torch.int64)
        for number, row in enumerate(rows):
            own = slice(longest - len(row), longest) if is_left else slice(0, len(row))
            tokens[number, own] = torch.from_numpy(np.asarray(row, np.int64))
            mask[number, own] = 1
        return tokens, mask

    def with_network(self, network: Any) -> LanguageModel:
        """Return the model over trained weights of the same architecture."""
        return replace(self, network=network, backbone=replace(self.backbone, weights_hash=hash_weights(network)))

    def save(self, folder: Path) -> None:
        """Write a checkpoint that ``pipeline("text-generation")`` loads, and that stops where answers end."""
        network = self.network
        network.config.architectures = [type(network).__name__]
        network.generation_config.eos_token_id = list(self.stop_tokens)
        network.generation_config.pad_token_id = self.pad_token
        network.config.eos_token_id = self.stop_tokens[0] if len(self.stop_tokens) == 1 else list(self.stop_tokens)
        network.save_pretrained(folder, safe_serialization=True)
        self.tokenizer.save_pretrained(folder)
