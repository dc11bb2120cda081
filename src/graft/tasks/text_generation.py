"""Conversations of which a language model learns to write the answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self, final
from weakref import WeakKeyDictionary

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from graft.backbones.chat_encoding import Encoded
from graft.backbones.fused_losses import FusedLoss, fused_loss_of
from graft.backbones.generating import generate_rows
from graft.backbones.language_loading import load_language_model
from graft.backbones.language_model import IGNORED, LanguageModel
from graft.backbones.loading import quiet_transformers
from graft.backbones.token_losses import Head, head_of, summed_token_loss, token_losses
from graft.core.types import Preview
from graft.data.conversations import Conversation
from graft.data.kinds import TEXT
from graft.tasks.base import Batch

__all__ = ["TextGeneration"]


@final
class TextGeneration:
    """Generation of answers by a causal language model.

    There is no pooled feature of a conversation, so this is no `FeatureTask`. A target is a token of an answer.

    Parameters
    ----------
    model : the language model.
    answers : which of the assistant's turns are learned: ``"all"`` or ``"last"``.
    """

    name = "text-generation"
    kind = TEXT

    def __init__(self, model: LanguageModel, *, answers: str = "all") -> None:
        self.model, self.answers = model, answers
        self._heads: WeakKeyDictionary[nn.Module, Head | None] = WeakKeyDictionary()
        self._fused: WeakKeyDictionary[nn.Module, FusedLoss | None] = WeakKeyDictionary()

    @classmethod
    def load(cls, model: str, *, label_names: Sequence[str] = (), answers: str = "all", **options: Any) -> Self:
        """Return the task over a checkpoint; options as in `load_language_model`, `label_names` are not read."""
        return cls(load_language_model(model, **options), answers=answers)

    @classmethod
    def of_saved(cls, folder: Path, *, label_names: Sequence[str] = (), record: Mapping[str, Any]) -> Self:
        """Return the task over a model that Graft saved."""
        options: dict[str, Any] = {"max_tokens": int(record["max_tokens"]), "is_offline": True}
        return cls(load_language_model(str(folder), **options), answers=record["answers"])

    @classmethod
    def reloaded(cls, folder: Path) -> Callable[[list[dict[str, Any]], int], str]:
        """Return what gives the answer to some messages by transformers alone, greedily: the check of saving."""
        from transformers import pipeline

        with quiet_transformers():
            writer: Any = pipeline("text-generation", model=str(folder), device="cpu")

        def answer(messages: list[dict[str, Any]], most: int) -> str:
            with quiet_transformers():
                found = writer(messages, max_new_tokens=most, do_sample=False, num_beams=1)
            text: str = found[0]["generated_text"][-1]["content"]
            return text

        return answer

    def encode(self, content: Conversation, *, name: str = "") -> Encoded:
        """Return the tokens of a conversation, and which of them carry loss."""
        return self.model.encoder.encode(content.as_list(), tools=content.tools, answers=self.answers)

    def collate(self, examples: Sequence[Encoded], targets: Sequence[int] = ()) -> Batch:
        """Return a batch filled up to its longest conversation.

        Returns
        -------
        dict
            ``input_ids``, ``attention_mask`` and ``labels`` (n, longest) int64; a label is -100 where no loss is.
        """
        tokens, mask = self.model.padded([example.tokens for example in examples])
        labels, _ = self.model.padded([_labels(example) for example in examples], fill=IGNORED)
        return {"input_ids": tokens, "attention_mask": mask, "labels": labels}

    def collate_packed(self, packs: Sequence[Sequence[Encoded]]) -> Batch:
        """Return a batch of rows with several conversations each, none of which sees another.

        Returns
        -------
        dict
            ``input_ids``, ``position_ids`` and ``labels`` (n_packs, longest) int64. Positions begin anew with each
            conversation and what fills up is one of its own; from that transformers builds the block-diagonal mask.
        """
        tokens, _ = self.model.padded([np.concatenate([e.tokens for e in pack]) for pack in packs])
        labels, _ = self.model.padded([np.concatenate([_labels(e) for e in pack]) for pack in packs], fill=IGNORED)
        positions = torch.zeros_like(tokens)
        for row, pack in enumerate(packs):
            lengths = [len(example) for example in pack]
            lengths.append(tokens.shape[1] - sum(lengths))
            positions[row] = torch.cat([torch.arange(length) for length in lengths])
        return {"input_ids": tokens, "position_ids": positions, "labels": labels}

    def build(self) -> nn.Module:
        """Return the network."""
        network: nn.Module = self.model.network
        return network

    def states(self, network: nn.Module, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """Return what each target is foretold from (n, width), the targets (n,) and the row of each (n,).

        What fills up stands behind all tokens, where a causal network does not look: no mask is needed, and without one
        attention takes its faster way.
        """
        net: Any = network
        hidden = net.base_model(**_inputs(batch), use_cache=False).last_hidden_state
        labels = batch["labels"][:, 1:]
        where = labels != IGNORED
        rows = torch.arange(len(labels), device=labels.device)[:, None].expand_as(labels)
        return hidden[:, :-1][where], labels[where], rows[where]

    def loss(self, network: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the sum of the losses of all tokens of answers, and their number.

        Logits are computed only where a target is, and in chunks, or by Liger's kernel where that can be had.
        """
        head = self._head(network)
        if head is None:
            logits, targets = self._all_logits(network, batch)
            total = nn.functional.cross_entropy(logits.float(), targets, reduction="sum")
            return total, torch.tensor(len(targets), device=total.device)
        states, targets, _ = self.states(network, batch)
        if network not in self._fused:
            self._fused[network] = fused_loss_of(network, head, states, targets)
        fused = self._fused[network]
        if fused is not None and torch.is_grad_enabled():
            return fused(states, targets), torch.tensor(len(targets), device=states.device)
        net: Any = network
        trained = [p for p in net.get_output_embeddings().parameters() if p.requires_grad]
        total = summed_token_loss(head, trained, states, targets)
        return total, torch.tensor(len(targets), device=total.device)

    def losses(self, network: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the summed loss of each row's answers and its number of targets, without gradients: (n,) both."""
        n = len(batch["labels"])
        with torch.no_grad():
            states, targets, rows = self.states(network, batch)
            head = self._head(network)
            if head is None:
                logits, _ = self._all_logits(network, batch)
                each = nn.functional.cross_entropy(logits.float(), targets, reduction="none")
            else:
                each = token_losses(head, states, targets)
        totals = each.new_zeros(n, dtype=torch.float64).index_add_(0, rows, each.double())
        return totals, torch.bincount(rows, minlength=n)

    def predict(self, network: nn.Module, batch: Batch) -> Tensor:
        """Return the logits that each target is foretold by: (n_targets, n_words)."""
        return self._all_logits(network, batch)[0]

    def generate(
        self, network: nn.Module, prompts: Sequence[NDArray[np.integer[Any]]], *, most: int, **sampling: Any
    ) -> list[tuple[NDArray[np.int64], bool]]:
        """Return the tokens of an answer to each prompt, without its end, and whether it ended by itself.

        Parameters
        ----------
        prompts : tokens, as `ChatEncoder.prompt` gives them.
        most : tokens of an answer.
        **sampling : ``temperature``, ``top_p`` and ``on_token``, as in `generate_rows`; none: the likeliest token.
        """
        return generate_rows(self.model, network, prompts, most=most, **sampling)

    def written(self, tokens: NDArray[np.integer[Any]]) -> str:
        """Return the text of an answer's tokens."""
        text: str = self.model.tokenizer.decode([int(token) for token in tokens], skip_special_tokens=True)
        return text

    @staticmethod
    def preview(content: bytes, *, name: str) -> Preview:
        """Return the text itself."""
        return Preview(text=content.decode("utf-8", errors="replace"))

    def _head(self, network: nn.Module) -> Head | None:
        """Return what gives a network's logits of its last states; tried once for each network."""
        if network not in self._heads:
            self._heads[network] = head_of(network)
        return self._heads[network]

    def _all_logits(self, network: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
        net: Any = network
        labels = batch["labels"][:, 1:]
        where = labels != IGNORED
        return net(**_inputs(batch), use_cache=False).logits[:, :-1][where], labels[where]


def _inputs(batch: Batch) -> dict[str, Tensor]:
    return {key: batch[key] for key in ("input_ids", "position_ids") if key in batch}


def _labels(example: Encoded) -> NDArray[np.int64]:
    """Return each token where it carries loss, else -100; the first one of a conversation never does."""
    return np.where(example.is_target, example.tokens, IGNORED).astype(np.int64)
