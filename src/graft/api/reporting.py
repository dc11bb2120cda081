"""What the report is made of, gathered while the data is at hand and kept in the run's folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from graft.api.embedding import Embedded
from graft.core.decision import AnyPredictions
from graft.core.types import MultiLabelPredictions, Preview
from graft.report.sections.mistakes import in_order_of_showing

__all__ = ["previews", "title_of"]

_MOST_MISTAKES = 400
_MOST_SUSPECTS = 8  # of each check


def previews(
    embedded: Embedded, predictions: AnyPredictions, findings: Sequence[Mapping[str, Any]] = ()
) -> dict[str, Preview]:
    """Return what the report shows of mistakes and suspects, by id, the most telling first.

    Parameters
    ----------
    predictions : of the judged split.
    findings : of the checks, as dicts; their suspects are shown where their ids stand in one split alone.
    """
    part = embedded.splits[predictions.split]
    if isinstance(predictions, MultiLabelPredictions):
        wrong = np.flatnonzero(~predictions.is_correct & predictions.is_known)
        is_off = predictions.predicted[wrong] != predictions.targets[wrong]
        distance = np.where(is_off, np.abs(predictions.probabilities - predictions.targets)[wrong], 0.0).max(axis=1)
        rows = [int(row) for row in wrong[np.argsort(-distance, kind="stable")]]
    else:
        rows = in_order_of_showing(predictions)
    shown = {
        part.ids[row]: embedded.task.preview(part.read(row), name=part.place(row)) for row in rows[:_MOST_MISTAKES]
    }
    places = _places(embedded)
    for finding in findings:
        if finding["severity"] == "ok":
            continue
        for suspect in finding["suspects"][:_MOST_SUSPECTS]:
            for name in (suspect["id"], suspect.get("other")):
                if name in shown or (place := places.get(name)) is None:
                    continue
                split, row = place
                examples = embedded.splits[split]
                shown[name] = embedded.task.preview(examples.read(row), name=examples.place(row))
    return shown


def _places(embedded: Embedded) -> dict[Any, tuple[str, int] | None]:
    """Return split and row of each id; None where two splits have it."""
    places: dict[Any, tuple[str, int] | None] = {}
    for split, part in embedded.splits.items():
        for row, name in enumerate(part.ids):
            places[name] = None if name in places else (split, row)
    return places


def title_of(data: object, model: str) -> str:
    """Return what the page is called."""
    return f"{Path(str(data)).name}: {Path(model).name or model}"
