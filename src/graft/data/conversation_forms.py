"""The forms in which conversations are written down, how each is recognised, and how a row becomes turns.

| form | columns |
|---|---|
| ``messages`` | ``messages``: a list of ``{"role", "content"}``, perhaps with ``tool_calls``; ``tools`` |
| ``sharegpt`` | ``conversations``: a list of ``{"from", "value"}``; ``system``, ``tools`` |
| ``prompt-completion`` | ``prompt`` and ``completion`` (or ``response``), texts or lists of messages |
| ``alpaca`` | ``instruction``, ``input`` or ``context`` (may be empty), ``output`` (or ``response``), ``system`` |
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from graft.core.errors import DataError, UsageError, did_you_mean
from graft.data.conversations import ANSWERER, ROLES, Message
from graft.data.tables import Table

__all__ = ["FORMS", "cells", "form_of_columns", "messages_of", "tools_of"]

FORMS = ("messages", "sharegpt", "prompt-completion", "alpaca")
_ANSWERS = ("completion", "response", "answer", "output")
_INSTRUCTED = ("output", "response", "completion", "answer")
_ROLE_OF = {"human": "user", "gpt": "assistant", "chatgpt": "assistant", "bot": "assistant", "model": "assistant",
            "observation": "tool", "function": "tool", "function_response": "tool", "function_call": "assistant",
            "tool_call": "assistant"}  # fmt: skip
_KEPT = ("tool_calls", "tool_call_id", "name", "reasoning_content", "thinking")

Row = Mapping[str, Any]


def form_of_columns(columns: Sequence[str]) -> str | None:
    """Return the form that columns speak of; None: none. Where there are labels, questions are to be classified.

    Examples
    --------
    >>> form_of_columns(["instruction", "input", "output"]), form_of_columns(["text", "label"])
    ('alpaca', None)
    """
    names = {name.lower() for name in columns}
    if names & {"messages", "chat"}:
        return "messages"
    if names & {"conversations", "conversation"}:
        return "sharegpt"
    if names & {"label", "labels"}:
        return None
    if "prompt" in names and names & set(_ANSWERS):
        return "prompt-completion"
    if "instruction" in names and names & set(_INSTRUCTED):
        return "alpaca"
    return None


def messages_of(row: Row, form: str, *, place: str, is_prompt: bool = False) -> tuple[Message, ...]:
    """Return the turns of one row.

    Parameters
    ----------
    row : cells by column name in small letters.
    form : one of `FORMS`.
    place : how an error names the row.
    is_prompt : whether the row may lack an answer, as it is one to be found.

    Raises
    ------
    DataError
        When a role does not exist, an answer is empty, nobody answers, or a cell is of a wrong type.
    UsageError
        When there is no such form.
    """
    if form not in FORMS:
        raise UsageError(
            f"--format {form}.{did_you_mean(form, FORMS)}",
            expected=f"auto, {', '.join(FORMS)}",
            fix="leave it away, or name one (Python: format=)",
        )
    messages = _READERS[form](row, place, is_prompt)
    if not messages:
        raise DataError(f"{place} holds no message", expected="at least a question and an answer")
    if is_prompt:
        return messages
    if not any(message.role == ANSWERER for message in messages):
        raise DataError(
            f"{place} has no assistant turn: it holds {', '.join(message.role for message in messages)}",
            expected="an answer in every row",
            fix="remove the row, or answer it",
        )
    for message in messages:
        if message.role == ANSWERER and not message.content.strip() and not message.more.get("tool_calls"):
            raise DataError(
                f"{place} has an empty answer",
                expected="an answer with at least one word, or with tool_calls",
                fix="fill it in, or remove the row; --skip-unusable leaves such rows out (Python: skip_unusable=True)",
            )
    return messages


def tools_of(row: Row, *, place: str) -> tuple[Mapping[str, Any], ...]:
    """Return the tools of a row: JSON schemas, or a text that holds a list of them.

    Raises
    ------
    DataError
        When the text is no JSON, or no list of objects.
    """
    value = row.get("tools")
    if isinstance(value, str) and value.strip():
        try:
            value = json.loads(value)
        except json.JSONDecodeError as error:
            raise DataError(f"{place}: its tools are no JSON: {error}", expected="a list of JSON schemas") from error
    if not value:
        return ()
    if not isinstance(value, list) or not all(isinstance(tool, Mapping) for tool in value):
        raise DataError(f"{place}: its tools are {type(value).__name__}", expected="a list of JSON schemas")
    return tuple(_without_nothing(tool) for tool in value)


def _without_nothing(value: Any) -> Any:
    """Return a value without the empty entries that Parquet and Arrow fill structs up with."""
    if isinstance(value, Mapping):
        return {key: _without_nothing(item) for key, item in value.items() if item is not None}
    if isinstance(value, (list, tuple)):
        return [_without_nothing(item) for item in value]
    return value


def _chat(row: Row, place: str, is_prompt: bool) -> tuple[Message, ...]:
    return _turns(_cell(row, ("messages", "chat"), place), place)


def _sharegpt(row: Row, place: str, is_prompt: bool) -> tuple[Message, ...]:
    turns = _turns(_cell(row, ("conversations", "conversation"), place), place)
    system = _text(row.get("system"), place, "system")
    return (Message("system", system), *turns) if system.strip() else turns


def _prompt_completion(row: Row, place: str, is_prompt: bool) -> tuple[Message, ...]:
    prompt, answer = row.get("prompt"), next((row[name] for name in _ANSWERS if row.get(name) is not None), "")
    system = _text(row.get("system"), place, "system")
    first = (Message("system", system),) if system.strip() else ()
    asked = _turns(prompt, place) if isinstance(prompt, (list, tuple)) else _asked(prompt, place, "prompt")
    if is_prompt and not answer:
        return (*first, *asked)
    told = _turns(answer, place) if isinstance(answer, (list, tuple)) else _answer(answer, place, "completion")
    return (*first, *asked, *told)


def _alpaca(row: Row, place: str, is_prompt: bool) -> tuple[Message, ...]:
    given = next((row[name] for name in ("input", "context") if row.get(name)), "")
    instruction, given = _text(row.get("instruction"), place, "instruction"), _text(given, place, "input")
    system = _text(row.get("system"), place, "system")
    first = (Message("system", system),) if system.strip() else ()
    asked = _asked(f"{instruction}\n\n{given}" if given.strip() else instruction, place, "instruction")
    answer = next((row[name] for name in _INSTRUCTED if row.get(name) is not None), "")
    if is_prompt and not answer:
        return (*first, *asked)
    return (*first, *asked, *_answer(answer, place, "output"))


_READERS: dict[str, Callable[[Row, str, bool], tuple[Message, ...]]] = {
    "messages": _chat,
    "sharegpt": _sharegpt,
    "prompt-completion": _prompt_completion,
    "alpaca": _alpaca,
}


def _asked(value: Any, place: str, column: str) -> tuple[Message, ...]:
    text = _text(value, place, column)
    if not text.strip():
        raise DataError(f"{place} has an empty {column}", expected="a question", fix="fill it in, or remove the row")
    return (Message("user", text),)


def _answer(value: Any, place: str, column: str) -> tuple[Message, ...]:
    return (Message(ANSWERER, _text(value, place, column)),)


def _cell(row: Row, names: Sequence[str], place: str) -> Any:
    value = next((row[name] for name in names if row.get(name) is not None), None)
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except json.JSONDecodeError as error:
            raise DataError(
                f"{place}: '{names[0]}' is a text that is no JSON: {error}", expected="a list of messages"
            ) from error
    return value


def _turns(value: Any, place: str) -> tuple[Message, ...]:
    if not isinstance(value, (list, tuple)) or not all(isinstance(turn, Mapping) for turn in value):
        raise DataError(
            f"{place} holds {type(value).__name__} where messages should be: {str(value)[:60]}",
            expected='a list such as [{"role": "user", "content": "..."}, {"role": "assistant", "content": "..."}]',
        )
    return tuple(_turn(turn, f"{place}, message {number}") for number, turn in enumerate(value, start=1))


def _turn(turn: Mapping[str, Any], place: str) -> Message:
    role = turn.get("role", turn.get("from"))
    content = turn.get("content", turn.get("value"))
    if not isinstance(role, str):
        raise DataError(
            f"{place} has no role: its entries are {', '.join(map(str, turn))}",
            expected="role and content, or from and value",
        )
    name = _ROLE_OF.get(role.strip().lower(), role.strip().lower())
    if name not in ROLES:
        raise DataError(
            f"{place} has the role '{role}', which does not exist.{did_you_mean(role, [*ROLES, *_ROLE_OF])}",
            expected=f"{', '.join(ROLES)} (ShareGPT: {', '.join(_ROLE_OF)})",
            fix="correct it, or remove the row",
        )
    more = {key: _without_nothing(turn[key]) for key in _KEPT if turn.get(key) is not None}
    return Message(name, _text(content, place, "content"), more)


def _text(value: Any, place: str, column: str) -> str:
    if value is None or value != value:  # NaN differs from itself
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, (int, float)):
        return str(value)
    parts = value if isinstance(value, (list, tuple)) else []
    if parts and all(isinstance(part, Mapping) and isinstance(part.get("text"), str) for part in parts):
        return "".join(part["text"] for part in parts)
    raise DataError(
        f"{place}: '{column}' holds {type(value).__name__}: {str(value)[:60]}",
        expected="a text (pictures and sounds in conversations are not supported)",
    )


def cells(table: Table) -> list[dict[str, Any]]:
    """Return the rows of a table: cells by column name in small letters."""
    names = table.columns
    columns = [table.column(name) for name in names]
    return [dict(zip([name.lower() for name in names], row, strict=True)) for row in zip(*columns, strict=True)]
