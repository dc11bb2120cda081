"""The evidence of a fine-tuned language model: texts and losses of it and of the base model on the same examples."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graft.api.config import FitConfig
from graft.api.general_texts import OtherText
from graft.api.generation_data import GenerationData
from graft.api.generation_texts import (
    answer_room,
    asked_of,
    encoded_with_shots,
    pair,
    shots_that_fit,
    write_texts,
)
from graft.backbones.chat_encoding import Encoded
from graft.core.devices import Precision
from graft.core.seeds import generator
from graft.core.text import counted
from graft.data.conversations import Conversation
from graft.evaluation.answer_losses import AnswerLosses
from graft.evaluation.generation_evidence import BASE, GenerationEvidence
from graft.evaluation.generation_metrics import GenerationMetric
from graft.evaluation.generations import Generations
from graft.methods.generation import Judged, judge_answers
from graft.tasks.text_generation import TextGeneration
from graft.training.conversations import ConversationExamples

__all__ = ["FEW_SHOT", "Measured", "gather_evidence"]

FEW_SHOT = "base-few-shot"
_MOST_SEEN = 1000  # training conversations that the base model is judged on as well


@dataclass(frozen=True)
class Measured:
    """What was gathered, and sentences on how.

    Parameters
    ----------
    evidence : of the fine-tuned model.
    judged : its losses by split, all conversations.
    notes : how it was measured.
    """

    evidence: GenerationEvidence
    judged: Mapping[str, Judged]
    notes: tuple[str, ...]


def gather_evidence(
    base: TextGeneration,
    final: TextGeneration,
    ready: GenerationData,
    before: Mapping[str, Judged],
    config: FitConfig,
    *,
    metric: GenerationMetric,
    others: Sequence[OtherText],
    precision: Precision,
    history: Sequence[Mapping[str, Any]] = (),
    say: Callable[[str], None],
) -> Measured:
    """Return the evidence of a fine-tuned language model beside its base.

    Parameters
    ----------
    base, final : over the untouched and the kept network, on one device.
    before : the base model's losses of the splits ``valid`` and ``test``.
    metric : by which written answers are judged.
    others : texts on which forgetting shows.
    history : looks at the held-out loss while training.
    """

    def losses(task: TextGeneration, rows: NDArray[np.int64]) -> Judged:
        return judge_answers(task, task.build(), ready.examples, rows, precision=precision)

    after = {split: losses(final, rows) for split, rows in ready.rows.items()}
    named = {split: _named(found, ready.ids(split), split) for split, found in after.items()}
    named_before = {split: _named(found, ready.ids(split), split) for split, found in before.items()}
    seen = generator(config.seed, "seen").permutation(len(ready.rows["train"]))[:_MOST_SEEN]
    named["train"] = named["train"].select(np.sort(seen))
    on_seen = losses(base, ready.rows["train"][np.sort(seen)])
    named_before["train"] = _named(on_seen, named["train"].ids, "train")

    train = [pair(ready.conversations[int(row)]) for row in ready.rows["train"]]
    asked = asked_of(ready, "test", most=config.generations, seed=config.seed)
    texts, baselines, shots = _texts(base, final, ready, asked, config, say=say)
    baseline_losses = {BASE: named_before["test"]}
    if shots:
        encoded = encoded_with_shots(base, asked, shots)
        baseline_losses[FEW_SHOT] = _judged(base, encoded, [item.id for item in asked], precision)
    evidence = GenerationEvidence(
        metric,
        texts,
        baselines,
        named,
        named_before,
        train,
        baseline_losses=baseline_losses,
        other_texts={text.name: _on_other(base, final, text, precision) for text in others},
        history=history,
    )
    return Measured(evidence, after, (_told_shots(shots, config),))


def _texts(
    base: TextGeneration,
    final: TextGeneration,
    ready: GenerationData,
    asked: Sequence[Conversation],
    config: FitConfig,
    *,
    say: Callable[[str], None],
) -> tuple[Generations, dict[str, Generations], tuple[Conversation, ...]]:
    """Return what model, base model and base model with examples write, and the examples."""
    room = answer_room(ready)
    say(f"writing answers to {counted(len(asked), 'question')} of test, of at most {room} tokens: the fine-tuned model")
    texts = write_texts(final, final.build(), asked, room=room)
    say("... and by the base model, without and with examples in the prompt")
    baselines = {BASE: write_texts(base, base.build(), asked, room=room)}
    shots = shots_that_fit(base, ready, most=config.shots, seed=config.seed)
    if shots:
        baselines[FEW_SHOT] = write_texts(base, base.build(), asked, room=room, shots=shots)
    return texts, baselines, shots


def _told_shots(shots: Sequence[Conversation], config: FitConfig) -> str:
    if not shots:
        if config.shots < 1:
            return "the base model was given no examples in its prompt (--shots 0)"
        return "no training example fits into a prompt beside the question: the base model was only asked as it is"
    less = f", as no more than these fit of {config.shots}" if len(shots) < config.shots else ""
    return f"the base model was also given {counted(len(shots), 'training example')} in its prompt{less}"


def _on_other(
    base: TextGeneration, final: TextGeneration, text: OtherText, precision: Precision
) -> tuple[AnswerLosses, AnswerLosses]:
    names = [f"{text.name}:{i}" for i in range(len(text.encoded))]
    old, new = (_judged(task, text.encoded, names, precision) for task in (base, final))
    return old, new


def _judged(
    task: TextGeneration, encoded: Sequence[Encoded], names: Sequence[str], precision: Precision
) -> AnswerLosses:
    examples = ConversationExamples(list(encoded), task.collate, task.collate_packed)
    found = judge_answers(task, task.build(), examples, np.arange(len(encoded)), precision=precision)
    return _named(found, names, "")


def _named(judged: Judged, names: Sequence[str], split: str) -> AnswerLosses:
    return AnswerLosses(list(names), judged.sums, judged.n_tokens, split)
