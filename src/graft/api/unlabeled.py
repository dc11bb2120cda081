"""Which unlabelled examples to label next, as a table for people."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graft.api.config import FitConfig
from graft.api.embedding import Embedded
from graft.api.other_data import predict_other, read_unlabeled
from graft.api.passes import pass_through
from graft.backbones.extraction import Extractor
from graft.core.decision import AnyPredictions, Decision
from graft.core.files import atomic_path
from graft.core.seeds import generator
from graft.core.text import clipped, counted
from graft.core.types import Predictions
from graft.data.kinds import TEXT
from graft.data.texts import shown_text
from graft.evaluation.labelling import next_to_label, uncertainty, uncertainty_of_sets
from graft.tasks.base import Task

__all__ = ["FILE", "label_next"]

FILE = "label-next.csv"
_N = 50
_MOST_LABELLED = 1_000  # training examples to keep away from, where they have to be passed for it


def label_next(
    folder: Path,
    embedded: Embedded,
    config: FitConfig,
    *,
    extractor: Extractor,
    tuned: Task | None,
    decision: Decision,
    say: Callable[[str], None],
) -> dict[str, Any]:
    """Write the 50 unlabelled examples to label next to ``RUN/label-next.csv``; return what ``metrics.json`` holds.

    Parameters
    ----------
    folder : the run's.
    extractor : of the kept model's features.
    tuned : over the fine-tuned network, where that is the kept model; None: the probe is.
    """
    assert config.unlabeled is not None
    kept = tuned or embedded.task
    n_labels = len(embedded.label_names) if decision.is_multi_label else None
    known = embedded.splits["train"].text_columns if kept.kind is TEXT else None
    pool = read_unlabeled(config.unlabeled, kind=kept.kind, config=config, n_labels=n_labels, known_texts=known)
    said, features = predict_other(
        pool,
        kept,
        extractor,
        label_names=embedded.label_names,
        decision=decision,
        skip_unreadable=config.skip_unreadable,
        say=say,
    )
    labelled = _labelled_features(embedded, extractor, config, is_cached=tuned is None)
    p, is_multi_label = said.probabilities, decision.is_multi_label
    chosen = next_to_label(p, features, n=_N, labelled=labelled, is_multi_label=is_multi_label)
    rows = {name: row for row, name in enumerate(pool.ids)}
    unsure = uncertainty_of_sets(p) if is_multi_label else uncertainty(p)
    with atomic_path(folder / FILE) as temporary, open(temporary, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        own = ["text"] if kept.kind is TEXT else []
        writer.writerow(["rank", "id", "prediction", "probability", "uncertainty", *own])
        for rank, i in enumerate(chosen.tolist(), start=1):
            label, chance = _said_of(said, i)
            texts = [clipped(shown_text(pool.examples.read(rows[said.ids[i]])))] if own else []
            writer.writerow([rank, said.ids[i], label, f"{chance:.6f}", f"{unsure[i]:.6f}", *texts])
    say(f"to label next: {len(chosen)} of {counted(len(said), 'unlabelled ' + embedded.noun)}: {folder / FILE}")
    return {
        "file": FILE,
        "n": len(chosen),
        "n_unlabelled": len(said),
        "mean_uncertainty": float(unsure[chosen].mean()),
        "mean_uncertainty_of_all": float(unsure.mean()),
    }


def _said_of(said: AnyPredictions, row: int) -> tuple[str, float]:
    """Return what was said of an example and how likely it is; of a set of labels, that all of it is right."""
    p = said.probabilities[row]
    if isinstance(said, Predictions):
        best = int(said.predicted[row])
        return said.label_names[best], float(p[best])
    given = said.predicted[row] == 1
    return "|".join(np.array(said.label_names)[given]), float(np.where(given, p, 1 - p).prod())


def _labelled_features(
    embedded: Embedded, extractor: Extractor, config: FitConfig, *, is_cached: bool
) -> NDArray[np.float32]:
    """Return features of training examples by the kept network: from the cache, or some passed through it."""
    if is_cached:
        return embedded.features["train"].matrix
    train = embedded.splits["train"]
    rows = generator(config.seed, "labelled").permutation(len(train))[:_MOST_LABELLED]
    return pass_through(extractor, train.select(np.sort(rows)), skip_unreadable=True)[1]
