"""The evidence of a fine-tuned language model: texts and losses of it and of the base model on the same examples."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

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
from graft.core.devices import Precision, choose_device
from graft.core.seeds import generator
from graft.core.text import counted
from graft.data.conversations import Conversation
from graft.evaluation.answer_losses import AnswerLosses
from graft.evaluation.generation_evidence import BASE, GenerationEvidence
from graft.evaluation.generation_metrics import GenerationMetric
from graft.methods.generation import Judged, judge_answers
from graft.tasks.text_generation import TextGeneration
from graft.training.conversations import ConversationExamples

__all__ = ["FEW_SHOT", "Measured", "gather_evidence", "on_device"]

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
    base, final : over the untouched and the kept network, on the CPU; each is on the device while it is asked.
    before : the base model's losses of the splits ``valid`` and ``test``.
    metric : by which written answers are judged.
    others : texts on which forgetting shows.
    history : looks at the held-out loss while training.
    """

    device = choose_device(config.device)
    asked = asked_of(ready, "test", most=config.generations, seed=config.seed)
    room = answer_room(ready)
    seen = np.sort(generator(config.seed, "seen").permutation(len(ready.rows["train"]))[:_MOST_SEEN])
    say(f"writing answers to {counted(len(asked), 'question')} of test, of at most {room} tokens: the fine-tuned model")
    with on_device(final.build(), device) as network:
        after = {split: judge_answers(final, network, ready.examples, rows, precision=precision)
                 for split, rows in ready.rows.items()}  # fmt: skip
        texts = write_texts(final, network, asked, room=room)
        others_after = {text.name: _on_other(final, text, precision) for text in others}
    named = {split: _named(found, ready.ids(split), split) for split, found in after.items()}
    named["train"] = named["train"].select(seen)
    named_before = {split: _named(found, ready.ids(split), split) for split, found in before.items()}
    baseline_losses = {BASE: named_before["test"]}
    shots = shots_that_fit(base, ready, most=config.shots, seed=config.seed)
    say("... and by the base model, without and with examples in the prompt")
    with on_device(base.build(), device) as network:
        on_seen = judge_answers(base, network, ready.examples, ready.rows["train"][seen], precision=precision)
        named_before["train"] = _named(on_seen, named["train"].ids, "train")
        baselines = {BASE: write_texts(base, network, asked, room=room)}
        if shots:
            baselines[FEW_SHOT] = write_texts(base, network, asked, room=room, shots=shots)
            encoded = encoded_with_shots(base, asked, shots)
            baseline_losses[FEW_SHOT] = _judged(base, encoded, [item.id for item in asked], precision)
        others_before = {text.name: _on_other(base, text, precision) for text in others}
    evidence = GenerationEvidence(
        metric,
        texts,
        baselines,
        named,
        named_before,
        [pair(ready.conversations[int(row)]) for row in ready.rows["train"]],
        baseline_losses=baseline_losses,
        other_texts={name: (others_before[name], found) for name, found in others_after.items()},
        history=history,
    )
    return Measured(evidence, after, (_told_shots(shots, config),))


@contextmanager
def on_device(network: nn.Module, device: torch.device) -> Iterator[nn.Module]:
    """Yield a network while it lies on a device; after that it lies on the CPU: two may not fit at once."""
    try:
        yield network.to(device)
    finally:
        network.to("cpu")


def _told_shots(shots: Sequence[Conversation], config: FitConfig) -> str:
    if not shots:
        if config.shots < 1:
            return "the base model was given no examples in its prompt (--shots 0)"
        return "no training example fits into a prompt beside the question: the base model was only asked as it is"
    less = f", as no more than these fit of {config.shots}" if len(shots) < config.shots else ""
    return f"the base model was also given {counted(len(shots), 'training example')} in its prompt{less}"


def _on_other(task: TextGeneration, text: OtherText, precision: Precision) -> AnswerLosses:
    return _judged(task, text.encoded, [f"{text.name}:{i}" for i in range(len(text.encoded))], precision)


def _judged(
    task: TextGeneration, encoded: Sequence[Encoded], names: Sequence[str], precision: Precision
) -> AnswerLosses:
    examples = ConversationExamples(list(encoded), task.collate, task.collate_packed)
    found = judge_answers(task, task.build(), examples, np.arange(len(encoded)), precision=precision)
    return _named(found, names, "")


def _named(judged: Judged, names: Sequence[str], split: str) -> AnswerLosses:
    return AnswerLosses(list(names), judged.sums, judged.n_tokens, split)
