"""What a language model writes to the prompts of a split, as it is or with examples in its prompt."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from graft.api.generation_data import GenerationData
from graft.backbones.chat_encoding import Encoded
from graft.core.seeds import generator
from graft.data.conversations import Conversation, Message
from graft.evaluation.generation_metrics import NAMES, GenerationMetric, metric_named
from graft.evaluation.generations import Generations
from graft.tasks.text_generation import TextGeneration

__all__ = [
    "answer_room", "asked_of", "chosen_metric", "encoded_with_shots", "pair", "shots_that_fit", "with_shots",
    "write_texts",
]  # fmt: skip

_MOST_PLACES = 8192  # of a batch
_MOST_ROWS = 64
_LEAST_ROOM = 32
_A_WORD_OR_TWO = 5  # answers of at most so many words are right or wrong


def chosen_metric(name: str, answers: Sequence[str]) -> tuple[GenerationMetric, str]:
    """Return the metric of that name and why; ``"auto"``: by the form of the training answers.

    Raises
    ------
    UsageError
        When there is no such metric.
    """
    if name != "auto":
        return metric_named(name), "as asked for"
    if sum("####" in answer for answer in answers) > 0.9 * len(answers):
        return NAMES["numeric-match"], "answers mark a final number with ####"
    if np.median([len(answer.split()) for answer in answers]) <= _A_WORD_OR_TWO:
        return NAMES["exact-match"], f"half of the answers have at most {_A_WORD_OR_TWO} words"
    return NAMES["chrf"], "answers are long; --metric chooses another"


def pair(item: Conversation) -> tuple[str, str]:
    """Return what is asked, as a reader would see it, and the true answer."""
    asked = item.prompt.messages
    if len(asked) == 1:
        prompt = asked[0].content
    else:
        prompt = "\n".join(f"{message.role}: {message.content}" for message in asked)
    return prompt, _answer(item)


def answer_room(ready: GenerationData, split: str = "train") -> int:
    """Return how many tokens an answer may have: half as many again as the longest of a split."""
    longest = max(ready.encoded[int(row)].n_targets for row in ready.rows[split])
    return max(_LEAST_ROOM, int(1.5 * longest) + 8)


def asked_of(ready: GenerationData, split: str, *, most: int, seed: int) -> list[Conversation]:
    """Return the conversations of a split whose questions are answered: all, or as many drawn as were asked for."""
    rows = ready.rows[split]
    if len(rows) > most:
        rows = rows[np.sort(generator(seed, "asked").permutation(len(rows))[:most])]
    return [ready.conversations[int(row)] for row in rows]


def shots_that_fit(task: TextGeneration, ready: GenerationData, *, most: int, seed: int) -> tuple[Conversation, ...]:
    """Return up to `most` training conversations that fit into a prompt beside the longest question and its answer.

    Notes
    -----
    Drawn once and put before every question. Those of one question and one answer are drawn from, the shorter half of
    them, and of no tools or other instructions than the questions have.
    """
    train = [ready.conversations[int(row)] for row in ready.rows["train"]]
    lengths = ready.examples.lengths(ready.rows["train"])
    can = [i for i, item in enumerate(train) if [m.role for m in item.messages] == ["user", "assistant"]]
    can = [i for i in can if lengths[i] <= np.median(lengths[can]) and train[i].answer and not train[i].tools]
    if not can or most < 1:
        return ()
    drawn = [int(i) for i in generator(seed, "shots").permutation(can)[:most]]
    room = _places(task) - answer_room(ready)
    longest = max(int(ready.examples.lengths(ready.rows["test"]).max()), 1)
    while drawn and int(lengths[drawn].sum()) + longest > room:
        drawn.pop()
    return tuple(train[i] for i in drawn)


def with_shots(item: Conversation, shots: Sequence[Conversation]) -> Conversation:
    """Return a conversation after examples, which stand behind its own instructions."""
    own = list(item.messages)
    n_before = next((i for i, message in enumerate(own) if message.role not in ("system", "developer")), len(own))
    given: list[Message] = [message for shot in shots for message in shot.messages]
    return Conversation(item.id, item.place, (*own[:n_before], *given, *own[n_before:]), item.tools, item.group)


def encoded_with_shots(
    task: TextGeneration, items: Sequence[Conversation], shots: Sequence[Conversation]
) -> list[Encoded]:
    """Return the conversations after examples as tokens; only the last answer carries loss."""
    found = []
    for item in items:
        longer = with_shots(item, shots)
        found.append(task.model.encoder.encode(longer.as_list(), tools=longer.tools, answers="last"))
    return found


def write_texts(
    task: TextGeneration,
    network: nn.Module,
    items: Sequence[Conversation],
    *,
    room: int,
    shots: Sequence[Conversation] = (),
    split: str = "test",
    on_written: Callable[[int], None] | None = None,
) -> Generations:
    """Return what a network answers to some questions, the likeliest token each time.

    Parameters
    ----------
    items : whose last answer is asked for.
    room : tokens of an answer.
    shots : examples before each question.
    on_written : told how many answers there are, as they come.
    """
    encoder = task.model.encoder
    asked = [with_shots(item.prompt, shots) if shots else item.prompt for item in items]
    prompts = [encoder.prompt(item.as_list(), tools=item.tools) for item in asked]
    order = np.argsort([-len(p) for p in prompts], kind="stable")
    written: list[tuple[NDArray[np.int64], bool] | None] = [None] * len(items)
    first = 0
    while first < len(order):
        n = min(_MOST_ROWS, max(1, _MOST_PLACES // (len(prompts[int(order[first])]) + room)))
        own = [int(i) for i in order[first : first + n]]
        for place, answer in zip(own, task.generate(network, [prompts[i] for i in own], most=room), strict=True):
            written[place] = answer
        first += n
        if on_written is not None:
            on_written(min(first, len(order)))
    done = [answer for answer in written if answer is not None]
    pairs = [pair(item) for item in items]
    return Generations(
        [item.id for item in items],
        [prompt for prompt, _ in pairs],
        [answer for _, answer in pairs],
        [task.written(tokens) for tokens, _ in done],
        np.array([ended for _, ended in done], np.bool_),
        np.array([len(tokens) + ended for tokens, ended in done], np.int64),
        split,
    )


def _answer(item: Conversation) -> str:
    """Return the true answer; of one that only calls tools, the calls as JSON."""
    if item.answer or not item.answers:
        return item.answer
    calls: Any = item.messages[item.answers[-1]].more.get("tool_calls")
    return "" if not calls else json.dumps(calls, ensure_ascii=False)


def _places(task: TextGeneration) -> int:
    config: Any = task.model.network.config
    places = getattr(config, "max_position_embeddings", None) or getattr(config, "n_positions", None)
    most = task.model.encoder.max_tokens
    return min(int(places), most) if isinstance(places, int) else most
