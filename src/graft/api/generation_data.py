"""Conversations made ready: split by group or question, written as tokens once, filtered and counted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graft.api.config import FitConfig
from graft.backbones.chat_encoding import Encoded
from graft.backbones.on_disk import refuse_missing_folder
from graft.core.errors import DataError, ModelError
from graft.core.text import counted
from graft.data.conversation_files import ConversationSplits, read_conversations
from graft.data.conversations import Conversation, Conversations
from graft.data.splitting import stratified_split
from graft.tasks.text_generation import TextGeneration
from graft.training.conversations import ConversationExamples

__all__ = [
    "GenerationData", "divide_conversations", "load_language_task", "prepare_conversations", "read_as_conversations",
    "shown_example",
]  # fmt: skip

_VALID_SHARE = 0.1
_MOST_HELD_OUT = 1000  # conversations that looks between steps are worth
_SHOWN_TOKENS = 400


@dataclass(frozen=True)
class GenerationData:
    """Conversations of all splits, ready to learn from.

    Parameters
    ----------
    conversations : of all splits, one after the other.
    encoded : the same as tokens.
    examples : the same, as the loop takes them.
    rows : by split, of all three.
    notes : sentences on what was cut and left out, and why.
    facts : what the manifest keeps.
    """

    conversations: Conversations
    encoded: list[Encoded]
    examples: ConversationExamples
    rows: dict[str, NDArray[np.int64]]
    notes: tuple[str, ...]
    facts: dict[str, Any]

    def ids(self, split: str) -> list[str]:
        """Return the names of a split's conversations."""
        return [self.conversations[int(row)].id for row in self.rows[split]]


def read_as_conversations(data: str, config: FitConfig) -> ConversationSplits:
    """Return the conversations of a user's data by split, read as the options say.

    Raises
    ------
    DataError
        As `graft.data.conversation_files.read_conversations` does.
    """
    return read_conversations(
        data,
        valid=config.valid,
        test=config.test,
        form=config.format,
        group_column=config.group_column,
        skip_unusable=config.skip_unusable,
    )


def load_language_task(config: FitConfig, *, model: str | None = None) -> TextGeneration:
    """Return the task over the language model that the options name, or over `model`.

    Raises
    ------
    ModelError
        When it cannot be loaded.
    """
    refuse_missing_folder(model or config.model)
    return TextGeneration.load(
        model or config.model,
        answers=config.answers,
        max_tokens=config.max_tokens,
        revision=config.revision,
        is_offline=config.offline,
        trust_remote_code=config.trust_remote_code,
    )


def divide_conversations(splits: ConversationSplits, config: FitConfig) -> tuple[dict[str, Conversations], list[str]]:
    """Return train, valid and test with notes; a group, or one question, is in one of them alone.

    Raises
    ------
    DataError
        When there are too few groups to hold any out.
    """
    parts = {"train": splits.train}
    parts |= {name: part for name, part in (("valid", splits.valid), ("test", splits.test)) if part is not None}
    notes = list(splits.notes)
    noun = splits.train.group_name or "question"
    whole = len(splits.train)
    for wanted, share in (("test", config.test_fraction), ("valid", _VALID_SHARE)):
        train = parts["train"]
        if wanted in parts:
            continue
        if len(set(train.group_keys)) < 2:
            raise DataError(
                f"all {counted(len(train), 'conversation')} are of one {noun}",
                expected=f"at least 2 {noun}s, so that one can be held out",
                fix="add others, or give them with --valid and --test (Python: valid=, test=)",
            )
        share = min(share, _MOST_HELD_OUT / whole) if wanted == "valid" else share
        found = stratified_split(
            np.zeros(len(train), np.int64),
            groups=train.groups,
            fractions={"train": 1 - share, wanted: share},
            seed=config.seed,
        )
        parts[wanted], parts["train"] = train.select(found[wanted]), train.select(found["train"])
        notes.append(f"{wanted}: {counted(len(parts[wanted]), 'conversation')} held out, no {noun} of them in train")
    known = set(parts["train"].group_keys)
    for held_out in ("valid", "test"):
        if n := sum(key in known for key in parts[held_out].group_keys):
            notes.append(f"{counted(n, 'conversation')} of {held_out} ask what train asks too: its figures flatter")
    return {name: parts[name] for name in ("train", "valid", "test")}, notes


def prepare_conversations(
    parts: dict[str, Conversations], task: TextGeneration, config: FitConfig, *, say: Callable[[str], None]
) -> GenerationData:
    """Return the conversations as tokens, without those from which nothing can be learned.

    Raises
    ------
    DataError
        When a conversation has no token that carries loss (unless ``skip_unusable``), the template refuses one, or a
        split is left without any.
    """
    items: list[Conversation] = []
    encoded: list[Encoded] = []
    rows: dict[str, NDArray[np.int64]] = {}
    notes: list[str] = []
    splits: dict[str, dict[str, Any]] = {}
    for split, part in parts.items():
        own, dropped = [], []
        for item in part:
            try:
                found = task.encode(item)
            except (DataError, ModelError) as error:
                if isinstance(error, DataError) and config.skip_unusable:
                    dropped.append(item.place)
                    continue
                raise type(error)(f"{item.place}: {error.got}", expected=error.expected, fix=error.fix) from error
            if not found.n_targets:
                if not config.skip_unusable:
                    raise _nothing_to_learn(item, found, task)
                dropped.append(item.place)
                continue
            own.append(len(items))
            items.append(replace(item, id=f"{split}/{item.id}") if len(parts) > 1 and "/" not in item.id else item)
            encoded.append(found)
        if not own:
            raise DataError(f"no conversation of {split} can be learned from", expected="answers")
        rows[split] = np.array(own, np.int64)
        splits[split] = _counts([encoded[row] for row in own], n_dropped=len(dropped), fingerprint=part.fingerprint)
        notes += _notes(split, splits[split], dropped, task)
    for note in notes:
        say(note)
    whole = replace(next(iter(parts.values())), items=tuple(items), source="the data")
    examples = ConversationExamples(encoded, task.collate, task.collate_packed)
    return GenerationData(whole, encoded, examples, rows, tuple(notes), {"splits": splits})


def _counts(own: list[Encoded], *, n_dropped: int, fingerprint: str) -> dict[str, Any]:
    n_tokens, n_targets = sum(map(len, own)), sum(e.n_targets for e in own)
    return {
        "n": len(own),
        "n_dropped": n_dropped,
        "n_tokens": n_tokens,
        "n_targets": n_targets,
        "supervised_share": round(n_targets / n_tokens, 4),
        "n_truncated": sum(e.n_cut > 0 for e in own),
        "n_truncated_answers": sum(e.n_cut_targets > 0 for e in own),
        "longest": max(map(len, own)),
        "fingerprint": fingerprint,
    }


def _notes(split: str, counts: dict[str, Any], dropped: list[str], task: TextGeneration) -> list[str]:
    notes = [
        f"{split}: {counted(counts['n'], 'conversation')}, {counted(counts['n_tokens'], 'token')}, of which"
        f" {counts['supervised_share']:.1%} carry loss"
    ]
    if n := counts["n_truncated_answers"]:
        notes.append(
            f"{split}: {counted(n, 'answer')} of {counts['n']:,} cut off at {task.model.encoder.max_tokens} tokens:"
            " their ends are not learned (--max-tokens, if the model has more places)"
        )
    if dropped:
        notes.append(
            f"{split}: {counted(len(dropped), 'conversation')} left out, in which no token carries loss, for example"
            f" {dropped[0]}"
        )
    return notes


def _nothing_to_learn(item: Conversation, found: Encoded, task: TextGeneration) -> DataError:
    most = task.model.encoder.max_tokens
    why = f"its question alone fills the {most} tokens that are read" if found.n_cut else "its answer has no token"
    return DataError(
        f"{item.place} has no token that carries loss: {why}",
        expected="a conversation with at least one token of an answer",
        fix="shorten it, or leave such rows out with --skip-unusable (Python: skip_unusable=True)"
        + ("; or read more with --max-tokens (max_tokens=)" if found.n_cut else ""),
    )


def shown_example(ready: GenerationData, task: TextGeneration) -> list[tuple[str, bool]]:
    """Return a training conversation as the network reads it: pieces of text, and whether they carry loss.

    The example is the one of median length; control tokens are written out.
    """
    lengths = ready.examples.lengths(ready.rows["train"])
    row = int(ready.rows["train"][np.argsort(lengths, kind="stable")[len(lengths) // 2]])
    tokens, is_target = ready.encoded[row].tokens, ready.encoded[row].is_target
    tokens, is_target = tokens[:_SHOWN_TOKENS], is_target[:_SHOWN_TOKENS]
    bounds = [0, *(np.flatnonzero(np.diff(is_target.astype(np.int8))) + 1).tolist(), len(tokens)]
    pieces = []
    for first, last in pairwise(bounds):
        text = task.model.tokenizer.decode(tokens[first:last].tolist(), skip_special_tokens=False)
        pieces.append((text, bool(is_target[first])))
    if len(ready.encoded[row]) > _SHOWN_TOKENS:
        pieces.append((" ...", False))
    return pieces
