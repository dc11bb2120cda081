"""A checkpoint's tokenizer: texts to token numbers, with a count of what was cut."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from graft.core.errors import DataError, ModelError
from graft.core.files import hash_json
from graft.data.texts import split_pair

__all__ = ["TokenIds", "Tokens"]

TokenIds = NDArray[np.int32]
_CHUNK = 1024


class Tokens:
    """Turns texts into token numbers as the checkpoint's tokenizer does.

    Parameters
    ----------
    tokenizer : a transformers tokenizer; only the fast ones can count what they cut.
    label : name of the checkpoint, for messages.
    max_tokens : of one example, special tokens included; what is longer is cut at its end (of a pair: at the end of the
        longer text).
    """

    NAMES: Final = ("input_ids", "attention_mask", "token_type_ids")

    def __init__(self, tokenizer: Any, *, label: str, max_tokens: int) -> None:
        self.tokenizer, self.label, self.max_tokens = tokenizer, label, max_tokens
        tokenizer.model_max_length = max_tokens  # so that the saved one cuts as this one does
        backend = getattr(tokenizer, "backend_tokenizer", None)
        if backend is None:
            raise ModelError(
                f"{label} has no fast tokenizer",
                expected="a tokenizer.json, or vocabulary files that transformers can convert to one",
                fix="choose a checkpoint with tokenizer.json",
            )
        self._backend = backend
        self._pad = tokenizer.pad_token_id
        if self._pad is None:
            raise ModelError(f"the tokenizer of {label} has no padding token", expected="one", fix="set pad_token")
        self._has_types = "token_type_ids" in tokenizer.model_input_names

    @property
    def fingerprint(self) -> str:
        """Hash of the tokenizer and the length at which texts are cut."""
        return hash_json({"tokenizer": self._backend.to_str(), "max_tokens": self.max_tokens})

    def encode(self, text: str) -> tuple[TokenIds, int]:
        """Return the numbers of a text's tokens (n_tokens,), and where the second text of a pair begins; 0: none."""
        return self.encode_all([text])[0]

    def encode_all(self, texts: Sequence[str]) -> list[tuple[TokenIds, int]]:
        """Return `encode` of many texts; faster."""
        return [found for found, _ in self.encode_and_cut(texts)]

    def encode_and_cut(self, texts: Sequence[str]) -> list[tuple[tuple[TokenIds, int], bool]]:
        """Return `encode` of many texts, and whether each was cut."""
        self._backend.no_padding()
        self._backend.enable_truncation(self.max_tokens)
        found: list[tuple[tuple[TokenIds, int], bool]] = []
        for first in range(0, len(texts), _CHUNK):
            pairs = [split_pair(text) for text in texts[first : first + _CHUNK]]
            inputs = [a if b is None else (a, b) for a, b in pairs]
            for (_, second), encoding in zip(pairs, self._backend.encode_batch(inputs), strict=True):
                begin = 0 if second is None else int(np.argmax(encoding.type_ids)) if any(encoding.type_ids) else 0
                found.append(((np.array(encoding.ids, dtype=np.int32), begin), bool(encoding.overflowing)))
        return found

    def read(self, content: bytes, *, name: str) -> str:
        """Return the text of an example.

        Raises
        ------
        DataError
            When it is empty or not UTF-8.
        """
        try:
            text = content.decode("utf-8")
        except UnicodeDecodeError as error:
            raise DataError(
                f"{name} is not UTF-8 text: byte {error.start} is 0x{content[error.start]:02x}",
                expected="UTF-8",
                fix="save it again as UTF-8, or remove it",
            ) from error
        if not text.strip("\x1f \t\r\n\0"):
            raise DataError(
                f"{name} is empty",
                expected="a text in every row",
                fix="remove the row, or --skip-unreadable (Python: skip_unreadable=True) leaves such rows out",
            )
        return text

    def collate(self, examples: Sequence[tuple[TokenIds, int]]) -> dict[str, Tensor]:
        """Return ``input_ids``, ``attention_mask`` and, where the model wants it, ``token_type_ids``: (n, longest)."""
        longest = max(len(ids) for ids, _ in examples)
        ids = np.full((len(examples), longest), self._pad, dtype=np.int64)
        mask, types = np.zeros_like(ids), np.zeros_like(ids)
        for row, (own, begin) in enumerate(examples):
            ids[row, : len(own)] = own
            mask[row, : len(own)] = 1
            if begin:
                types[row, begin : len(own)] = 1
        batch = {"input_ids": torch.from_numpy(ids), "attention_mask": torch.from_numpy(mask)}
        if self._has_types:
            batch["token_type_ids"] = torch.from_numpy(types)
        return batch

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_backend": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__ |= state
        self._backend = self.tokenizer.backend_tokenizer
