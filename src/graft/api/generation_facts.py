"""What a run of text generation finds out about its model: the one place where evidence is gathered.

`before_training` judges the untouched checkpoint on the items on which the fine-tuned one is judged later;
`after_training` judges what is kept, and returns what ``metrics.json`` holds of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from graft.api.config import FitConfig
from graft.api.general_texts import OtherText, general_texts
from graft.api.generation_data import GenerationData
from graft.api.generation_evidence import Measured, gather_evidence
from graft.api.generation_sizes import losses_over_sizes
from graft.api.generation_texts import chosen_metric, pair
from graft.core.devices import Precision, choose_device
from graft.evaluation.answer_losses import AnswerLosses
from graft.evaluation.generation_evidence import evaluate_generations
from graft.evaluation.generation_metrics import GenerationMetric
from graft.evaluation.generations import Generations
from graft.methods.generation import GenerationTuned, Judged, judge_answers
from graft.tasks.text_generation import TextGeneration

__all__ = ["Before", "after_training", "before_training", "strategy_facts"]


@dataclass(frozen=True)
class Before:
    """What was measured of the untouched checkpoint, and what the fine-tuned one is to be judged by.

    Parameters
    ----------
    losses : by split.
    metric, why : by which written answers are judged, and the reason.
    others : texts on which forgetting shows.
    """

    losses: dict[str, Judged]
    metric: GenerationMetric
    why: str
    others: tuple[OtherText, ...]


def before_training(
    task: TextGeneration, ready: GenerationData, config: FitConfig, *, precision: Precision, say: Callable[[str], None]
) -> Before:
    """Return what the untouched checkpoint comes to on the held-out splits; what is wrong with the options shows now.

    Raises
    ------
    UsageError, DataError
        When the metric or a general text is not to be had, or the metric fails on the true answers.
    """
    answers = {
        split: [pair(ready.conversations[int(row)])[1] for row in ready.rows[split]] for split in ("train", "test")
    }
    metric, why = chosen_metric(config.metric, answers["train"])
    of_itself = Generations(
        ready.ids("test"), answers["test"], answers["test"], answers["test"], np.ones(len(answers["test"]), np.bool_),
        np.ones(len(answers["test"]), np.int64),
    )  # fmt: skip
    metric.scores(of_itself)
    others = general_texts(config.general_text, task, seed=config.seed, say=say)
    losses = {
        split: judge_answers(task, task.build(), ready.examples, ready.rows[split], precision=precision)
        for split in ("valid", "test")
    }
    found = losses["valid"].log_loss
    say(
        f"the untouched checkpoint: loss {found:.3f} an answer token on valid, perplexity {np.exp(min(found, 50)):,.1f}"
    )
    return Before(losses, metric, why, tuple(others))


def after_training(
    base: TextGeneration,
    final: TextGeneration,
    ready: GenerationData,
    before: Before,
    config: FitConfig,
    *,
    tuned_on: Callable[[NDArray[np.int64]], nn.Module],
    precision: Precision,
    history: Sequence[Mapping[str, Any]],
    say: Callable[[str], None],
) -> tuple[dict[str, Any], Measured]:
    """Return what ``metrics.json`` holds of the network that is kept, and the texts and losses behind it.

    Parameters
    ----------
    base, final : over the untouched and the kept network, on the CPU; each is on the device while it is asked.
    tuned_on : fine-tunes on some of the conversations.
    history : looks at the held-out loss while training.
    """
    measured = gather_evidence(
        base,
        final,
        ready,
        before.losses,
        config,
        metric=before.metric,
        others=before.others,
        precision=precision,
        history=history,
        say=say,
    )
    measured = replace(measured, notes=(f"metric {before.metric.name}: {before.why}", *measured.notes))
    if config.more_data:

        def losses_after(rows: NDArray[np.int64]) -> AnswerLosses:
            network = tuned_on(rows).to(choose_device(config.device))
            found = judge_answers(final, network, ready.examples, ready.rows["test"], precision=precision)
            return AnswerLosses(ready.ids("test"), found.sums, found.n_tokens, "test")

        whole = measured.evidence.losses["test"]
        sizes = losses_over_sizes(ready.rows["train"], whole, losses_after=losses_after, seed=config.seed, say=say)
        measured = replace(measured, evidence=replace(measured.evidence, sizes=sizes))
    return evaluate_generations(measured.evidence, seed=config.seed) | {"data": _told(ready)}, measured


def _told(ready: GenerationData) -> dict[str, str]:
    """Return what the report says of the training conversations."""
    facts = ready.facts["splits"]["train"]
    return {
        "Conversations": f"{facts['n']:,}",
        "Tokens": f"{facts['n_tokens']:,}",
        "Tokens that carry loss": f"{facts['n_targets']:,} ({facts['supervised_share']:.1%})",
        "Longest conversation, tokens": f"{facts['longest']:,}",
        "Answers cut off": f"{facts['n_truncated_answers']:,}",
        "Left out without an answer": f"{facts['n_dropped']:,}",
    }


def strategy_facts(tuned: GenerationTuned, kept: str, why: str, config: FitConfig) -> dict[str, Any]:
    """Return what the manifest keeps of the training and of the choice."""
    return {
        "method": "full" if config.strategy == "full" else config.adapter,
        "kept": kept,
        "why": why,
        "n_trainable": tuned.n_trainable,
        "learning_rate": tuned.learning_rate,
        "n_steps": tuned.training.n_steps,
        "ended_by": tuned.training.ended_by,
        "best_step": tuned.training.best_step,
        "precision": tuned.training.precision,
        "seconds": round(tuned.training.seconds, 3),
        "is_packed": tuned.is_packed,
        "padding": round(tuned.padding, 4),
        "history": [dict(line) for line in tuned.training.history],
    }
