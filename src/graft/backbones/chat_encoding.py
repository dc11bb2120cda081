"""Conversations as token numbers, with which of them carry loss: by position, never by which token it is."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graft.backbones.chat_template import ChatTemplate, Rendered
from graft.core.errors import ModelError

__all__ = ["ChatEncoder", "Encoded"]

_FIRST_PRIVATE = 0xF0000  # of a plane of characters that no text uses


@dataclass(frozen=True)
class Encoded:
    """A conversation as tokens.

    Parameters
    ----------
    tokens : (n,), int32.
    is_target : (n,), whether a token carries loss.
    n_cut : tokens that were cut off at the end.
    n_cut_targets : of these, such that would have carried loss.
    """

    tokens: NDArray[np.int32]
    is_target: NDArray[np.bool_]
    n_cut: int = 0
    n_cut_targets: int = 0

    def __len__(self) -> int:
        return len(self.tokens)

    @property
    def n_targets(self) -> int:
        """Tokens that carry loss."""
        return int(self.is_target.sum())


class ChatEncoder:
    """Writes conversations as tokens.

    What a conversation says is never read as a control token: an end of turn in a user's text is letters. That holds
    for special tokens in every turn, and in what others than the assistant say also for tokens that the template
    writes (an assistant may well write its own ``<think>``).

    Parameters
    ----------
    tokenizer : a fast one of transformers.
    template : the chat template.
    max_tokens : of a conversation; the rest is cut off.
    """

    def __init__(self, tokenizer: Any, template: ChatTemplate, *, max_tokens: int) -> None:
        self.tokenizer, self.template, self.max_tokens = tokenizer, template, max_tokens
        self._plain = self._backend(renamed=False)
        added = tokenizer.added_tokens_decoder.values()
        special = [token.content for token in added if token.special and token.content.strip()]
        written = [t.content for t in added if not t.special and t.content.strip() and t.content in template.source]
        names = list(dict.fromkeys([*special, *written]))
        # Each control token is written as many private characters as it has letters: places in the text stay the same.
        self._real = {name: _private(number, len(name), 0) for number, name in enumerate(names)}
        self._said = {name: _private(number, len(name), 1) for number, name in enumerate(names)}
        self._special, self._any = _one_of(special), _one_of(names)

    def encode(
        self, messages: Sequence[Mapping[str, Any]], *, tools: Sequence[Mapping[str, Any]] = (), answers: str = "all"
    ) -> Encoded:
        """Return the tokens of a conversation, and which of them carry loss.

        Parameters
        ----------
        answers : ``"all"``: every turn of the assistant is learned; ``"last"``: the last one.

        Raises
        ------
        DataError, ModelError
            As `ChatTemplate.rendered`.

        Notes
        -----
        A token carries loss where a letter of it belongs to an answer or to its end of turn. The first token of all
        carries none, as nothing precedes it.
        """
        safe, is_hostile = self._protected(messages)
        rendered = self.template.rendered(safe, tools=tools)
        text, backend = self._restored(rendered.text) if is_hostile else (rendered.text, self._plain)
        found = backend.encode(text, add_special_tokens=False)
        tokens = np.asarray(found.ids, np.int32)
        spans = rendered.answers if answers == "all" else rendered.answers[-1:]
        is_target = _targets(np.asarray(found.offsets, np.int64).reshape(-1, 2), Rendered(text, tuple(spans)))
        is_target[:1] = False
        n = self.max_tokens
        return Encoded(tokens[:n], is_target[:n], max(0, len(tokens) - n), int(is_target[n:].sum()))

    def prompt(
        self, messages: Sequence[Mapping[str, Any]], *, tools: Sequence[Mapping[str, Any]] = ()
    ) -> NDArray[np.int32]:
        """Return the tokens of what a model is asked, up to where it goes on.

        Raises
        ------
        DataError
            When the template refuses the messages.
        """
        safe, is_hostile = self._protected(messages)
        text = self.template.text(safe, tools=tools, is_asking=True)
        text, backend = self._restored(text) if is_hostile else (text, self._plain)
        return np.asarray(backend.encode(text, add_special_tokens=False).ids, np.int32)

    def _protected(self, messages: Sequence[Mapping[str, Any]]) -> tuple[list[dict[str, Any]], bool]:
        """Return the messages with stand-ins for control tokens that they say, and whether they say any."""
        is_hostile = False

        def stand_in(found: re.Match[str]) -> str:
            nonlocal is_hostile
            is_hostile = True
            return self._said[found[0]]

        def safe(value: Any, pattern: re.Pattern[str]) -> Any:
            if isinstance(value, str):
                return pattern.sub(stand_in, value)
            if isinstance(value, Mapping):
                return {key: safe(item, pattern) for key, item in value.items()}
            return [safe(item, pattern) for item in value] if isinstance(value, (list, tuple)) else value

        safe_messages = [
            {
                key: value if key == "role" else safe(value, self._special if m["role"] == "assistant" else self._any)
                for key, value in m.items()
            }
            for m in messages
        ]
        return safe_messages, is_hostile

    def _restored(self, text: str) -> tuple[str, Any]:
        """Return a text whose said tokens are letters again, with stand-ins for control tokens, and who reads it."""
        text = self._any.sub(lambda found: self._real[found[0]], text)
        for name, stand_in in self._said.items():
            text = text.replace(stand_in, name)
        return text, self._renamed

    @cached_property
    def _renamed(self) -> Any:
        return self._backend(renamed=True)

    def _backend(self, *, renamed: bool) -> Any:
        """Return a tokenizer of the same rules; `renamed`: to which control tokens are their stand-ins alone."""
        from tokenizers import Tokenizer

        backend = getattr(self.tokenizer, "backend_tokenizer", None) or getattr(self.tokenizer, "_tokenizer", None)
        if backend is None:
            raise ModelError(
                f"the tokenizer of {self.template.label} is none of the fast ones",
                expected="tokenizer.json beside the weights",
                fix="save it as a fast tokenizer (AutoTokenizer.from_pretrained(...).save_pretrained(...))",
            )
        state = json.loads(backend.to_str())
        state["truncation"] = state["padding"] = None
        if renamed:
            for token in state["added_tokens"]:
                token["content"] = self._real.get(token["content"], token["content"])
            model, names = state["model"], self._real
            vocabulary = model.get("vocab")
            if isinstance(vocabulary, dict):
                model["vocab"] = {names.get(word, word): number for word, number in vocabulary.items()}
            elif vocabulary is not None:
                model["vocab"] = [[names.get(word, word), score] for word, score in vocabulary]
            if isinstance(model.get("unk_token"), str):
                model["unk_token"] = names.get(model["unk_token"], model["unk_token"])
            state["post_processor"] = None
        return Tokenizer.from_str(json.dumps(state))


def _one_of(names: Sequence[str]) -> re.Pattern[str]:
    return re.compile("|".join(map(re.escape, sorted(names, key=len, reverse=True))) or "(?!)")


def _private(number: int, length: int, kind: int) -> str:
    """Return a word of private characters for a number, of the length asked for."""
    first = chr(_FIRST_PRIVATE + 2 * number + kind)
    return first + chr(_FIRST_PRIVATE + 0xFFF0 + kind) * (length - 1)


def _targets(offsets: NDArray[np.int64], rendered: Rendered) -> NDArray[np.bool_]:
    """Return which tokens, from where to where in the text, have a letter in an answer: (n,)."""
    starts, ends = offsets[:, 0], offsets[:, 1]
    is_target = np.zeros(len(offsets), bool)
    for first, last in rendered.answers:
        is_target |= (starts < last) & (np.maximum(ends, starts + 1) > first)
    return is_target
