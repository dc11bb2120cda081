"""`evaluate` of a language model: a finished run judged on conversations that it was not trained on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from graft.api.gathering import options_of_run
from graft.api.generation_data import prepare_conversations
from graft.api.generation_texts import answer_room, asked_of, write_texts
from graft.api.own_way import count_own_test, judged_split
from graft.core.devices import choose_device
from graft.core.files import read_json
from graft.data.conversation_files import read_conversations
from graft.evaluation.answer_losses import AnswerLosses
from graft.evaluation.generation_evidence import figures_of_split
from graft.evaluation.generation_metrics import metric_named
from graft.methods.generation import judge_answers
from graft.methods.where import training_precision
from graft.tasks.generation_saved import load_generation

__all__ = ["evaluate_generation_run"]


def evaluate_generation_run(
    run: Path,
    data: str | Path,
    *,
    split: str | None = None,
    seed: int = 0,
    say: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """Return a finished run's figures on conversations, in the form of ``metrics.json``.

    Parameters
    ----------
    run, data, split, seed, say : as `graft.api.evaluate.evaluate` has them.

    Returns
    -------
    dict
        ``{"<split>": figures, "headline", "metric", "noun"}``; texts are judged by the run's own metric. When the data
        is the run's own test split, the run counts one more reading of it.

    Raises
    ------
    ModelError, DataError, UsageError
        When the run is not finished, the data has no such split, an answer lacks what the metric compares, or the
        metric was a function that cannot be had any more.
    """
    config = options_of_run(run)
    known = read_json(run / "metrics.json")
    metric = metric_named(known["headline"])
    task = load_generation(run / "model")
    found = read_conversations(data, form=config.format, skip_unusable=config.skip_unusable)
    name, part = judged_split(data, {"train": found.train, "valid": found.valid, "test": found.test}, split)
    ready = prepare_conversations({name: part}, task, config, say=say)
    network = task.build().to(choose_device(config.device))
    precision = training_precision(network, choose_device(config.device), wanted=config.precision)
    rows = ready.rows[name]
    judged = judge_answers(task, network, ready.examples, rows, precision=precision)
    losses = AnswerLosses(ready.ids(name), judged.sums, judged.n_tokens, name)
    asked = asked_of(ready, name, most=config.generations, seed=seed)
    room = answer_room(ready, name)
    say(f"writing answers to {len(asked):,} of {len(rows):,} questions, of at most {room} tokens")
    texts = write_texts(task, network, asked, room=room, split=name)
    scores = metric.scores(texts)
    is_share = bool(known["metric"]["is_share"]) and bool(np.isin(scores, (0.0, 1.0)).all())
    metrics: dict[str, Any] = {
        "task": task.name,
        name: figures_of_split(metric.name, scores, texts, losses, is_share=is_share, seed=seed),
        "headline": metric.name,
        "metric": {"name": metric.name, "meaning": metric.meaning, "is_share": is_share},
        "data": ready.facts["splits"][name],
        "noun": "conversations",
    }
    return metrics | count_own_test(run, part.fingerprint, say=say)
