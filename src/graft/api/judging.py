"""Figures of predictions of either kind, one class an example or any number of labels, in one JSON form."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graft.core.decision import AnyPredictions
from graft.core.types import MultiLabelPredictions, Predictions
from graft.evaluation import (
    accuracy,
    evaluate,
    evaluate_multi_label,
    frequency_baseline,
    log_loss,
    majority_baseline,
)
from graft.evaluation.metrics import mean_estimates
from graft.evaluation.multi_label_metrics import draw_figures, exact_match, figure_of, label_log_losses

__all__ = ["baseline_of_counts", "held_out_figures", "judge_any"]

_HELD_OUT_DRAWS = 400


def judge_any(
    predictions: AnyPredictions,
    *,
    baselines: Mapping[str, AnyPredictions] | None = None,
    class_counts: NDArray[np.integer[Any]] | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """Return the JSON form of `evaluate` or `evaluate_multi_label`.

    Parameters
    ----------
    baselines : of the same kind as `predictions`.
    class_counts : (n_classes,), training examples of each class; None: not known.
    """
    others = baselines or {}
    if isinstance(predictions, MultiLabelPredictions):
        sets = {name: b for name, b in others.items() if isinstance(b, MultiLabelPredictions)}
        return evaluate_multi_label(predictions, baselines=sets, seed=seed).as_dict()
    ones = {name: b for name, b in others.items() if isinstance(b, Predictions)}
    return evaluate(predictions, baselines=ones, class_counts=class_counts, seed=seed).as_dict()


def baseline_of_counts(
    predictions: AnyPredictions, class_counts: NDArray[np.integer[Any]], n_train: int
) -> dict[str, AnyPredictions]:
    """Return what knows the frequencies of the training labels alone, by the name that it has in a fit.

    Parameters
    ----------
    predictions : of the examples that are judged.
    class_counts : (n_classes,), training examples of each class or with each label.
    n_train : all training examples.
    """
    names, split = predictions.label_names, predictions.split
    if isinstance(predictions, MultiLabelPredictions):
        sets = (np.arange(n_train)[:, None] < class_counts[None, :]).astype(np.uint8)
        return {"prior": frequency_baseline(sets, predictions.ids, predictions.targets, label_names=names, split=split)}
    labels = np.repeat(np.arange(len(class_counts)), class_counts)
    found = majority_baseline(labels, predictions.ids, predictions.targets, label_names=names, split=split)
    return {"majority": found}


def held_out_figures(predictions: AnyPredictions, *, seed: int = 0) -> dict[str, Any]:
    """Return the few figures that are kept of examples which took part in choosing."""
    if not isinstance(predictions, MultiLabelPredictions):
        return {"accuracy": accuracy(predictions).as_dict(), "log_loss": log_loss(predictions, seed=seed).as_dict()}
    (drawn,) = draw_figures([predictions], n_draws=_HELD_OUT_DRAWS, seed=seed)
    name = "mean_average_precision"
    losses = mean_estimates({"": label_log_losses(predictions)}, seed=seed)[""]
    return {
        name: figure_of(drawn[name], predictions, name=name).as_dict(),
        "exact_match": exact_match(predictions).as_dict(),
        "log_loss": losses.as_dict(),
    }
