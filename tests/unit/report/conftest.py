"""A small run: predictions, its figures, a leaderboard."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest

from graft.core.types import MultiLabelPredictions, Predictions
from graft.evaluation import evaluate, evaluate_multi_label, frequency_baseline, majority_baseline


class Run(NamedTuple):
    """What `write_report` is given."""

    metrics: dict[str, Any]
    predictions: Predictions | MultiLabelPredictions
    leaderboard: list[dict[str, Any]]


def make_run(
    label_names: tuple[str, ...],
    *,
    n: int = 240,
    signal: float = 3.0,
    prefix: str = "",
    seed: int = 0,
    n_rare: int | None = None,
) -> Run:
    """Return a run on `n` examples whose ids begin with `prefix`; with `n_rare` that many are of the last class."""
    rng = np.random.default_rng(seed)
    n_classes = len(label_names)
    targets = np.arange(n) % n_classes
    if n_rare is not None:
        targets = np.where(np.arange(n) < n_rare, n_classes - 1, np.arange(n) % (n_classes - 1))
    logits = rng.normal(size=(n, n_classes))
    logits[np.arange(n), targets] += signal
    ids = [f"{prefix}{i}.jpg" for i in range(n)]
    predictions = Predictions(ids, targets, logits, label_names, "test")
    noisy = Predictions(ids, targets, logits + 2 * rng.normal(size=logits.shape), label_names, "test")
    baselines = {"majority": majority_baseline(targets, ids, targets, label_names=label_names), "knn": noisy}
    metrics = evaluate(predictions, baselines=baselines).as_dict() | {"seconds": {"embed": 31.0, "solve": 4.0}}
    return Run(metrics, predictions, leaderboard())


def make_label_run(
    label_names: tuple[str, ...], *, n: int = 240, signal: float = 3.0, prefix: str = "", seed: int = 0
) -> Run:
    """Return a run on `n` examples with any number of labels each."""
    rng = np.random.default_rng(seed)
    targets = (rng.random((n, len(label_names))) < np.geomspace(0.5, 0.1, len(label_names))).astype(np.uint8)
    logits = signal * (targets - 0.6) + rng.normal(size=targets.shape)
    ids = [f"{prefix}{i}.jpg" for i in range(n)]
    thresholds = np.full(len(label_names), 0.4)
    predictions = MultiLabelPredictions(ids, targets, logits, label_names, "test", thresholds)
    noisy = MultiLabelPredictions(ids, targets, logits + 2 * rng.normal(size=logits.shape), label_names, "test")
    prior = frequency_baseline(targets, ids, targets, label_names=label_names)
    found = evaluate_multi_label(predictions, baselines={"prior": prior, "knn": noisy}, n_draws=200)
    return Run(found.as_dict() | {"seconds": {"embed": 31.0, "solve": 4.0}}, predictions, leaderboard())


def leaderboard() -> list[dict[str, Any]]:
    """Return ten candidates, one of them chosen."""
    return [
        {
            "scaling": scaling,
            "penalty": penalty,
            "log_loss": 0.4 + 0.1 * abs(np.log10(penalty) + 2) + (scaling == "none") * 0.05,
            "standard_error": 0.11,
            "accuracy": 0.9,
            "is_chosen": scaling == "z-score" and penalty == 0.1,
        }
        for scaling in ("none", "z-score")
        for penalty in (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
    ]


@pytest.fixture(scope="session")
def run() -> Run:
    """Four classes with a clear signal."""
    return make_run(("ant", "bee", "cat", "dog"))
