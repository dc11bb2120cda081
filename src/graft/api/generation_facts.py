"""What a run of text generation finds out about its model: the one place where evidence is gathered.

`before_training` judges the untouched checkpoint on the items on which the fine-tuned one is judged later;
`after_training` judges what is kept, and returns what ``metrics.json`` holds of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from graft.api.config import FitConfig
from graft.api.generation_data import GenerationData
from graft.core.devices import Precision
from graft.core.files import atomic_path
from graft.evaluation.bootstrap import bca_bootstrap
from graft.methods.generation import GenerationTuned, Judged, judge_answers
from graft.tasks.text_generation import TextGeneration

__all__ = [
    "Before",
    "after_training",
    "before_training",
    "loss_change",
    "loss_figures",
    "strategy_facts",
    "write_answers",
]


@dataclass(frozen=True)
class Before:
    """What was measured of the untouched checkpoint, by split."""

    losses: dict[str, Judged]


def before_training(
    task: TextGeneration, ready: GenerationData, config: FitConfig, *, precision: Precision, say: Callable[[str], None]
) -> Before:
    """Return what the untouched checkpoint comes to on the held-out splits."""
    losses = {
        split: judge_answers(task, task.build(), ready.examples, ready.rows[split], precision=precision)
        for split in ("valid", "test")
    }
    found = losses["valid"].log_loss
    say(
        f"the untouched checkpoint: loss {found:.3f} an answer token on valid, perplexity {np.exp(min(found, 50)):,.1f}"
    )
    return Before(losses)


def after_training(
    task: TextGeneration,
    network: nn.Module,
    ready: GenerationData,
    before: Before,
    config: FitConfig,
    *,
    precision: Precision,
    say: Callable[[str], None],
) -> tuple[dict[str, Any], dict[str, Judged]]:
    """Return the figures of the network that is kept, and its losses by split."""
    losses = {
        split: judge_answers(task, network, ready.examples, rows, precision=precision)
        for split, rows in ready.rows.items()
    }
    figures: dict[str, Any] = {
        "headline": "loss_per_token",
        "test": loss_figures(losses["test"], seed=config.seed),
        "held_out": {"valid": loss_figures(losses["valid"], seed=config.seed)},
        "train": {"loss_per_token": losses["train"].log_loss},
        "baselines": {"zero-shot": loss_figures(before.losses["test"], seed=config.seed)},
        "change": loss_change(before.losses["test"], losses["test"], seed=config.seed),
    }
    return figures, losses


def loss_figures(judged: Judged, *, seed: int) -> dict[str, Any]:
    """Return loss per answer token and perplexity with their intervals, over examples."""
    sums, tokens = judged.sums, judged.n_tokens.astype(np.float64)

    def per_token(weights: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray((weights @ sums) / (weights @ tokens), np.float64)

    loss = bca_bootstrap(per_token, len(sums), seed=seed, purpose="answer losses").as_dict()
    of_perplexity = {
        key: None if loss.get(key) is None else float(np.exp(min(float(loss[key] or 0), 50.0)))
        for key in ("value", "low", "high")
    }
    return {
        "loss_per_token": loss,
        "perplexity": {**loss, **of_perplexity},
        "n": len(sums),
        "n_tokens": int(judged.n_tokens.sum()),
    }


def loss_change(before: Judged, after: Judged, *, seed: int) -> dict[str, Any]:
    """Return how the loss per token of the same answers has changed, with its interval over examples."""
    tokens, difference = after.n_tokens.astype(np.float64), after.sums - before.sums

    def per_token(weights: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray((weights @ difference) / (weights @ tokens), np.float64)

    return dict(bca_bootstrap(per_token, len(tokens), seed=seed, purpose="answer losses").as_dict())


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


def write_answers(path: Path, ready: GenerationData, losses: Mapping[str, Judged]) -> None:
    """Write a row a conversation: id, split, reference answer, loss, number of tokens."""
    import pyarrow as pa
    import pyarrow.parquet as parquet

    columns: dict[str, list[Any]] = {name: [] for name in ("id", "split", "reference", "loss", "n_tokens")}
    for split, judged in losses.items():
        columns["id"] += ready.ids(split)
        columns["split"] += [split] * len(judged.sums)
        columns["reference"] += [ready.conversations[int(row)].answer for row in ready.rows[split]]
        columns["loss"] += judged.sums.tolist()
        columns["n_tokens"] += judged.n_tokens.tolist()
    with atomic_path(path) as temporary:
        parquet.write_table(pa.table(columns), temporary)
