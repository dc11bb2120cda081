"""Text that a language model was not trained on: where its loss rises, something was forgotten."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

from graft.backbones.chat_encoding import Encoded
from graft.core.errors import DataError, UsageError
from graft.core.seeds import derive_seed, generator
from graft.data.conversation_files import is_conversational, read_conversations
from graft.data.tables import TABLE_SUFFIXES, read_table
from graft.tasks.text_generation import TextGeneration

__all__ = ["OWN_TEXT", "OtherText", "general_texts", "own_texts"]

OWN_TEXT: Final = "what it wrote before"
"""The name of texts that the base model itself has drawn."""

_MOST = 200  # texts of a file that are read
_N_OWN, _OWN_TOKENS = 96, 128
_TEXT_SUFFIXES = (".txt", ".md")
_BETWEEN = re.compile(r"<\|endoftext\|>|\n[ \t]*\n")
_FORMS = "own, none, or files: .txt or .md (a text after each blank line), tables with a column text, conversations"


@dataclass(frozen=True)
class OtherText:
    """Texts as tokens, and which of these carry loss.

    Parameters
    ----------
    name : how they are called within a sentence.
    encoded : of each text; in conversations only answers carry loss.
    """

    name: str
    encoded: Sequence[Encoded]


def general_texts(
    wanted: str | None, task: TextGeneration, *, seed: int, say: Callable[[str], None]
) -> list[OtherText]:
    """Return the texts on which forgetting is measured.

    Parameters
    ----------
    wanted : files, with commas between them, and ``own`` for texts that the base model draws itself; None: these
        alone; ``"none"``: there are none.
    task : over the base model.
    seed : of the choice among many texts, and of drawing.

    Raises
    ------
    UsageError
        When a file is not there.
    DataError
        When a file holds no text.

    Notes
    -----
    Texts drawn from the base model itself need no data, and the mean rise of their loss estimates the divergence of
    Kullback and Leibler of the new model from the old one, per token: all that was forgotten of what it would have
    said, whether that was worth keeping or not.
    """
    if wanted == "none":
        return []
    found = []
    for name in ("own" if wanted is None else wanted).split(","):
        if name.strip() == "own":
            found.append(OtherText(OWN_TEXT, own_texts(task, seed=seed)))
            continue
        path = Path(name.strip()).expanduser()
        if not path.is_file():
            raise UsageError(
                f"--general-text {name.strip()}: there is no such file",
                expected=_FORMS,
                fix="--general-text FILE (Python: general_text='FILE'), own or none",
            )
        encoded = _encoded(path, task, seed=seed)
        if not encoded:
            raise DataError(f"{path} holds no text of two tokens or more", expected=_FORMS)
        say(f"to see what is forgotten: {len(encoded):,} texts of {path.name}")
        found.append(OtherText(path.name, encoded))
    return found


def own_texts(task: TextGeneration, *, seed: int) -> list[Encoded]:
    """Return texts that the base model draws from its own distribution, beginning from nothing."""
    network, tokenizer = task.build(), task.model.tokenizer
    first = tokenizer.bos_token_id
    start = np.array([task.model.stop_tokens[0] if first is None else int(first)], np.int64)
    device = next(network.parameters()).device
    with torch.random.fork_rng(devices=[] if device.type == "cpu" else [device]):
        torch.manual_seed(derive_seed(seed, "own texts"))
        drawn = task.generate(network, [start] * _N_OWN, most=_OWN_TOKENS, temperature=1.0)
    return [_all_learned(np.concatenate([start, tokens])) for tokens, _ in drawn if len(tokens)]


def _encoded(path: Path, task: TextGeneration, *, seed: int) -> list[Encoded]:
    if is_conversational(path):
        items = list(read_conversations(path, skip_unusable=True).train)
        return [e for item in _some(items, seed) if (e := task.encode(item)).n_targets]
    encode: Any = task.model.tokenizer
    tokens = [np.asarray(encode(text)["input_ids"], np.int64) for text in _some(_texts(path), seed)]
    most = task.model.encoder.max_tokens
    return [_all_learned(one[:most]) for one in tokens if len(one) > 1]


def _texts(path: Path) -> list[str]:
    if path.suffix.lower() in _TEXT_SUFFIXES:
        whole = path.read_text(encoding="utf-8", errors="replace")
        return [text.strip() for text in _BETWEEN.split(whole) if text.strip()]
    if path.suffix.lower() not in TABLE_SUFFIXES:
        raise DataError(f"{path} is no text and no table", expected=_FORMS)
    table = read_table([path])
    column = next((name for name in table.columns if name.lower() in ("text", "content")), None)
    if column is None:
        raise DataError(f"{path} has the columns {', '.join(table.columns)}", expected=_FORMS)
    return [str(text) for text in table.column(column) if str(text).strip()]


def _some(items: Sequence[Any], seed: int) -> list[Any]:
    """Return all, or 200 drawn from them, in their order."""
    if len(items) <= _MOST:
        return list(items)
    rows = np.sort(generator(seed, "general text", len(items)).permutation(len(items))[:_MOST])
    return [items[int(row)] for row in rows]


def _all_learned(tokens: Any) -> Encoded:
    is_target = np.ones(len(tokens), np.bool_)
    is_target[:1] = False  # nothing precedes it
    return Encoded(tokens.astype(np.int32), is_target)
