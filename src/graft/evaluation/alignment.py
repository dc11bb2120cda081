"""Predictions of the same examples in the same order, whatever order they came in."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from graft.core.errors import DataError
from graft.core.types import MultiLabelPredictions, Predictions

__all__ = ["aligned", "take", "with_targets"]

P = TypeVar("P", bound=Predictions | MultiLabelPredictions)
One = TypeVar("One", Predictions, MultiLabelPredictions)


def take(predictions: P, rows: NDArray[np.integer[Any]]) -> P:
    """Return the predictions at `rows`, in that order; ``extra`` is left behind."""
    return replace(
        predictions,
        ids=[predictions.ids[int(i)] for i in rows],
        targets=predictions.targets[rows],
        logits=predictions.logits[rows],
        extra={},
    )


def with_targets(predictions: P) -> P:
    """Return the predictions of the examples whose class or labels are known."""
    if isinstance(predictions, MultiLabelPredictions):
        keep = np.flatnonzero(predictions.is_known)
    else:
        keep = np.flatnonzero(predictions.targets >= 0)
    return predictions if keep.size == len(predictions) else take(predictions, keep)


def aligned(baseline: One, predictions: One, *, name: str) -> One:
    """Return the baseline's rows for the examples of `predictions`, in their order, with their targets.

    Parameters
    ----------
    name : of the baseline, for messages.

    Raises
    ------
    DataError
        When its labels are others, or an example is missing.
    """
    if baseline.label_names != predictions.label_names:
        raise DataError(
            f"baseline {name!r} has the labels {baseline.label_names[:5]}",
            expected=f"the model's, in its order: {predictions.label_names[:5]}",
        )
    if list(baseline.ids) == list(predictions.ids):
        rows = np.arange(len(baseline))
    else:
        place = {example: i for i, example in enumerate(baseline.ids)}
        missing = [example for example in predictions.ids if example not in place]
        if missing or len(place) != len(baseline):
            raise DataError(
                f"baseline {name!r} says nothing of {len(missing)} examples (first: {missing[0]!r})"
                if missing
                else f"baseline {name!r} names an example twice, in another order than the model",
                expected="predictions of the same examples",
            )
        rows = np.array([place[example] for example in predictions.ids], dtype=np.int64)
    return replace(take(baseline, rows), targets=predictions.targets, split=predictions.split)
