"""Texts on their way through a frozen network: sorted by length, pooled in several ways in one pass."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from graft.backbones.engines import Engine, EngineChoice, least_cosine
from graft.backbones.source import Readable
from graft.backbones.text_pooling import pooled_features
from graft.backbones.tokens import TokenIds, Tokens
from graft.backbones.views import View
from graft.core.devices import Precision
from graft.core.errors import DataError, ModelError, UsageError
from graft.core.text import counted
from graft.core.threads import Workers, n_threads

__all__ = ["TextSource"]

_PARITY_COSINE = 0.999
_BATCH = 128
_FEWEST_A_THREAD = 16  # texts: on a processor two threads with half a batch each are faster than both on all of it
_FULL = ("deberta",)  # masks with a number that bfloat16 cannot hold: float32 whatever is asked for
_WHOLE = ("bert", "roberta", "xlm-roberta", "camembert", "distilbert")  # others have numbers that bfloat16 cannot hold
_SPECIAL = 8  # tokens that stand for no sign: more than any tokenizer puts around two texts
_NO_HASH = np.zeros(4, np.uint64)
_Example = tuple[TokenIds, int]


class TextSource:
    """Reads texts with a checkpoint's tokenizer.

    Parameters
    ----------
    tokens : the checkpoint's tokenizer.
    weights_hash : of the frozen network.
    blocks : ways of pooling, see `TextModel`.
    network : the classification network.
    head : dotted name of its last linear layer.
    """

    noun = "text"
    scalings = ("one-scale", "z-score")

    def __init__(
        self, tokens: Tokens, weights_hash: str, blocks: tuple[str, ...], network: nn.Module, *, head: str
    ) -> None:
        self._tokens, self._weights_hash, self.blocks, self._network = tokens, weights_hash, blocks, network
        self._head = head
        self._known: dict[bytes, _Example] = {}
        self._is_cut: dict[int, bool] = {}

    @property
    def description(self) -> Mapping[str, Any]:
        """Weights, tokenizer, length and ways of pooling."""
        return {
            "weights": self._weights_hash,
            "preprocessing": self._tokens.fingerprint,
            "layer": list(self.blocks),
        }

    def n_cut(self, data: Readable) -> int:
        """Return how many texts are longer than what is read of them, whether they are passed now or were before."""
        n = 0
        left: list[str] = []
        for row in range(len(data)):
            try:
                content = data.read(row)
            except DataError:  # said, or skipped, where it is passed
                continue
            if content.isascii() and len(content) + _SPECIAL <= self._tokens.max_tokens:
                continue  # no more tokens than signs
            seen = self._is_cut.get(hash(content))
            n += bool(seen)
            if seen is None:
                left.append(content.decode("utf-8", errors="replace"))
        return n + sum(is_cut for _, is_cut in self._tokens.encode_and_cut(left))

    def told_cut(self, n_cut: int, n: int) -> str:
        """Return a sentence on how many texts are cut."""
        verb = "is" if n_cut == 1 else "are"
        return (
            f"{n_cut:,} of {counted(n, 'text')} ({n_cut / n:.1%}) {verb} cut at {self._tokens.max_tokens} tokens;"
            " what is behind is not read (fit --max-tokens, if the model reads more)"
        )

    def n_workers(self, wanted: int) -> int:
        """Return 0: the tokenizer has its own threads."""
        return 0

    def batch_size(self, wanted: int) -> int:
        """Return 128, or more where that is wanted: short texts fill no batch of 32."""
        return max(wanted, _BATCH)

    def arrange(self, data: Readable, positions: Sequence[int]) -> Sequence[int]:
        """Return the longest first, so that texts of one length meet in a batch and memory is never short late."""
        contents = [data.read(at) for at in positions]
        texts = [content.decode("utf-8", errors="replace") for content in contents]
        cut = self._tokens.encode_and_cut(texts)
        encoded = [example for example, _ in cut]
        self._known = dict(zip(contents, encoded, strict=True))
        self._is_cut |= {hash(content): is_cut for content, (_, is_cut) in zip(contents, cut, strict=True)}
        order = np.argsort([-len(ids) for ids, _ in encoded], kind="stable")
        return [positions[int(i)] for i in order]

    def read(self, content: bytes, *, name: str, key: str, view: View) -> tuple[_Example, NDArray[np.uint64]]:
        """Return a text's tokens; texts have no perceptual hash."""
        text = self._tokens.read(content, name=name)
        found = self._known.get(content)
        return (found if found is not None else self._tokens.encode(text)), _NO_HASH

    def blank(self) -> _Example:
        """Return one padding token."""
        return np.zeros(1, np.int32), 0

    def collate(self, examples: list[_Example]) -> list[_Example]:
        """Return the examples; they are padded when they are computed."""
        return examples

    def filled(self, batch: list[_Example], size: int) -> list[_Example]:
        """Return the batch as it is."""
        return batch

    def candidates(
        self, wanted: str, *, device: torch.device, precision: Precision, n_examples: int, is_strict_precision: bool
    ) -> list[EngineChoice]:
        """Return eager torch in the wanted precision, then in float32: compiled engines gain nothing on short texts."""
        if wanted not in ("auto", "eager"):
            raise UsageError(
                f"--engine {wanted} for texts",
                expected="auto or eager: texts differ in length, and there other engines gain nothing",
                fix="leave --engine away (Python: engine='auto')",
            )
        found = [EngineChoice("eager", precision, "texts sorted by length need no other")]
        if precision.name != "fp32":
            found.append(EngineChoice("eager", Precision("fp32", "the reference precision"), "the reference itself"))
        return found

    def start(
        self,
        choices: list[EngineChoice],
        *,
        sample: list[_Example],
        batch_size: int,
        device: torch.device,
        say: Callable[[str], None],
    ) -> tuple[Engine, EngineChoice, float]:
        """Return the first engine that agrees with eager fp32 on `sample`."""
        network = copy.deepcopy(self._network).to(device)
        full = Precision("fp32", "the reference precision")
        reference = _TextEngine(network, self._tokens, self.blocks, self._head, full, device)(sample)
        if not np.isfinite(reference).all():
            raise ModelError("the network gives infinite or undefined features for the first texts", expected="finite")
        for position, choice in enumerate(choices):
            engine = _TextEngine(network, self._tokens, self.blocks, self._head, choice.precision, device)
            cosine = least_cosine(engine(sample), reference)
            if cosine >= _PARITY_COSINE or position + 1 == len(choices):
                return engine, choice, cosine
            say(
                f"engine {choice.label} differs from eager fp32 on these texts (cosine {cosine:.5f} < {_PARITY_COSINE})"
            )
        raise DataError("no engine to try")


class _TextEngine:
    """Eager torch over padded batches of unequal length.

    In bfloat16 a copy of the whole network is in it, not only its products as under autocast: a fifth less time on a
    processor with AMX, and what is pooled is float32 in both. The head is left out of the copy: its input is wanted.
    """

    def __init__(
        self,
        network: nn.Module,
        tokens: Tokens,
        blocks: tuple[str, ...],
        head: str,
        precision: Precision,
        device: torch.device,
    ) -> None:
        family = getattr(network.config, "model_type", "")
        self._is_whole = precision.name == "bf16" and family in _WHOLE
        self._is_autocast = not self._is_whole and family not in _FULL
        if self._is_whole:
            network = copy.deepcopy(network)
            parent, _, name = head.rpartition(".")
            setattr(network.get_submodule(parent), name, nn.Identity())
            network.to(torch.bfloat16)
        self._network, self._tokens, self._blocks, self._head = network, tokens, blocks, head
        self._precision, self._device = precision, device
        self._workers: Workers | None = None

    def __call__(self, batch: list[_Example]) -> NDArray[np.float32]:
        n_parts = min(n_threads(), len(batch) // _FEWEST_A_THREAD)
        if self._device.type != "cpu" or n_parts < 2:
            return self._features(batch)
        if self._workers is None:
            self._workers = Workers(n_parts)
        size = -(-len(batch) // n_parts)
        parts = [batch[at : at + size] for at in range(0, len(batch), size)]
        return np.concatenate(self._workers.all([partial(self._features, part) for part in parts]))

    @torch.inference_mode()
    def _features(self, batch: list[_Example]) -> NDArray[np.float32]:
        inputs = {name: tensor.to(self._device) for name, tensor in self._tokens.collate(batch).items()}
        with self._precision.autocast(self._device) if self._is_autocast else nullcontext():
            found = pooled_features(self._network, inputs, self._blocks, head=self._head)
        return found.float().cpu().numpy()
