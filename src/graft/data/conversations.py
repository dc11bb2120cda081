"""Conversations to learn answers from: turns of named roles, tools, and who may not stand on both sides of a split."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graft.core.files import hash_json

__all__ = ["ANSWERER", "ROLES", "Conversation", "Conversations", "Message"]

ROLES = ("system", "developer", "user", "assistant", "tool")
ANSWERER = "assistant"


@dataclass(frozen=True)
class Message:
    """One turn.

    Parameters
    ----------
    role : one of `ROLES`.
    content : what is said; empty where the assistant only calls tools.
    more : further entries that chat templates read, such as ``tool_calls``, ``name`` or ``reasoning_content``.
    """

    role: str
    content: str
    more: Mapping[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Return the message as chat templates take it."""
        return {"role": self.role, "content": self.content, **self.more}


@dataclass(frozen=True)
class Conversation:
    """Turns that belong together.

    Parameters
    ----------
    id : unique name within its data.
    place : how a message names its row.
    messages : at least one.
    tools : what the assistant may call, as JSON schemas.
    group : equal values stay on one side of every split; empty: its prompt is its group.
    """

    id: str
    place: str
    messages: tuple[Message, ...]
    tools: tuple[Mapping[str, Any], ...] = ()
    group: str = ""

    @property
    def answers(self) -> list[int]:
        """Places of the assistant's turns."""
        return [number for number, message in enumerate(self.messages) if message.role == ANSWERER]

    @property
    def answer(self) -> str:
        """What the assistant says last; empty where it says nothing."""
        return self.messages[self.answers[-1]].content if self.answers else ""

    @property
    def prompt(self) -> Conversation:
        """The conversation up to its last answer, which is what a model is asked."""
        last = self.answers[-1] if self.answers and self.messages[-1].role == ANSWERER else len(self.messages)
        return replace(self, messages=self.messages[:last])

    def as_list(self) -> list[dict[str, Any]]:
        """Return the messages as chat templates take them."""
        return [message.as_dict() for message in self.messages]


@dataclass(frozen=True)
class Conversations:
    """The conversations of one split.

    Parameters
    ----------
    items : in order.
    source : where they come from, for messages.
    form : the form in which they were written, such as ``alpaca``.
    group_name : the column of groups; empty: none was named.
    """

    items: tuple[Conversation, ...]
    source: str = ""
    form: str = ""
    group_name: str = ""

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[Conversation]:
        return iter(self.items)

    def __getitem__(self, index: int) -> Conversation:
        return self.items[index]

    @property
    def ids(self) -> list[str]:
        """Names of the conversations."""
        return [item.id for item in self.items]

    @property
    def group_keys(self) -> list[str]:
        """The group of each: what was named, else the whole prompt, so that equal questions are never torn apart."""
        return [f"g:{c.group}" if c.group else f"p:{hash_json(c.prompt.as_list())}" for c in self.items]

    @property
    def groups(self) -> NDArray[np.int64]:
        """(n,), number of each one's group."""
        numbers: dict[str, int] = {}
        return np.array([numbers.setdefault(key, len(numbers)) for key in self.group_keys], np.int64)

    @property
    def fingerprint(self) -> str:
        """32 hexadecimal digits of all that is said, and of the groups."""
        return hash_json([[c.id, c.as_list(), [dict(tool) for tool in c.tools], c.group] for c in self.items])

    def select(self, rows: Sequence[int] | NDArray[np.integer[Any]]) -> Conversations:
        """Return the conversations at `rows`."""
        return replace(self, items=tuple(self.items[int(row)] for row in rows))
