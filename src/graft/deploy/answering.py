"""A finished language model at work: answers to many questions in batches, or to one as it is written."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graft.core.devices import Precision
from graft.data.conversations import ANSWERER, Conversation
from graft.tasks.text_generation import TextGeneration

__all__ = ["Answer", "Writing", "answer_all", "answer_one"]

_AHEAD = 8  # batches whose questions are sorted by length together


@dataclass(frozen=True)
class Writing:
    """How answers are written.

    Parameters
    ----------
    most : tokens of an answer.
    temperature : 0: the likeliest token each time; else tokens are drawn.
    top_p : share of the probability that is drawn from.
    """

    most: int = 256
    temperature: float = 0.0
    top_p: float = 1.0

    def sampling(self) -> dict[str, float]:
        """Return what `TextGeneration.generate` takes."""
        return {"temperature": self.temperature, "top_p": self.top_p}


@dataclass(frozen=True)
class Answer:
    """An answer to a question.

    Parameters
    ----------
    id : of the conversation.
    prompt : what was asked, the whole conversation.
    text : the answer.
    n_tokens : of the answer, its end not counted.
    has_ended : whether the model ended it by itself; else the bound of tokens did.
    reference : what the data had as the answer; empty where it had none.
    """

    id: str
    prompt: Conversation
    text: str
    n_tokens: int
    has_ended: bool
    reference: str = ""


def answer_all(
    task: TextGeneration,
    network: Any,
    conversations: Iterable[Conversation],
    *,
    writing: Writing,
    batch_size: int,
    precision: Precision,
) -> Iterator[Answer]:
    """Yield an answer to each conversation, in order; what an assistant said last is not read, and is the reference.

    Questions of like length are answered together; memory does not grow with their number.

    Raises
    ------
    DataError
        When the chat template refuses a conversation.
    """
    waiting = iter(conversations)
    while block := list(islice(waiting, _AHEAD * batch_size)):
        prompts = [conversation.prompt for conversation in block]
        tokens = [task.model.encoder.prompt(prompt.as_list(), tools=prompt.tools) for prompt in prompts]
        found: list[tuple[NDArray[np.int64], bool]] = [(np.zeros(0, np.int64), False)] * len(block)
        order = np.argsort([-len(row) for row in tokens], kind="stable")
        for first in range(0, len(order), batch_size):
            own = order[first : first + batch_size].tolist()
            with precision.autocast(next(network.parameters()).device):
                answers = task.generate(
                    network, [tokens[place] for place in own], most=writing.most, **writing.sampling()
                )
            for place, answer in zip(own, answers, strict=True):
                found[place] = answer
        for asked, prompt, (own_tokens, has_ended) in zip(block, prompts, found, strict=True):
            text = task.written(own_tokens).strip()
            reference = asked.answer if len(prompt.messages) < len(asked.messages) else ""
            yield Answer(asked.id, prompt, text, len(own_tokens), has_ended, reference)


def answer_one(
    task: TextGeneration,
    network: Any,
    messages: Sequence[dict[str, Any]],
    *,
    writing: Writing,
    precision: Precision,
    show: Callable[[str], None],
) -> dict[str, Any]:
    """Return the assistant's next message; `show` is told each piece of its text as soon as it is certain.

    Letters of several tokens are held back until the last of them is there.
    """
    prompt = task.model.encoder.prompt(messages)
    so_far: list[int] = []
    shown = ""

    def take(token: int) -> None:
        nonlocal shown
        if token in task.model.stop_tokens:
            return
        so_far.append(token)
        text = task.written(np.array(so_far)).lstrip()
        if text.startswith(shown) and not text.endswith("\N{REPLACEMENT CHARACTER}"):
            show(text[len(shown) :])
            shown = text

    with precision.autocast(next(network.parameters()).device):
        ((tokens, _),) = task.generate(network, [prompt], most=writing.most, on_token=take, **writing.sampling())
    whole = task.written(tokens).strip()
    show(whole[len(shown) :] if whole.startswith(shown) else "")
    return {"role": ANSWERER, "content": whole}
