"""Predictions as CSV or JSON lines, written as they come."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable
from itertools import chain
from typing import Any, TextIO

from graft.deploy.prediction import Prediction

__all__ = ["WRITERS", "write_csv", "write_jsonl"]


def write_csv(predictions: Iterable[Prediction], file: TextIO, *, has_sets: bool = False) -> int:
    """Write the columns id, prediction, probability and error; return how many rows.

    Where an example may have several labels, those that it is given stand in one cell with ``|`` between them, the most
    probable first, and their probabilities likewise. A ``|`` within a name is doubled. With `has_sets` there is the
    column set, of the classes in the conformal set in the same form.
    """
    writer, waiting = csv.writer(file), iter(predictions)
    first = next(waiting, None)  # before the header: what cannot begin leaves nothing behind
    writer.writerow(["id", "prediction", "probability", *(["set"] if has_sets else []), "error"])
    n = 0
    for p in waiting if first is None else chain([first], waiting):
        n += 1
        said, sure = p.label, f"{p.probability:.6f}" if not p.error else ""
        if p.labels is not None:
            said = _joined(p.labels)
            sure = "|".join(f"{v:.6f}" for v in p.label_probabilities)
        writer.writerow([p.id, said, sure, *([_joined(p.likely or ())] if has_sets else []), p.error])
    return n


def _joined(labels: Iterable[str]) -> str:
    return "|".join(label.replace("|", "||") for label in labels)


def write_jsonl(predictions: Iterable[Prediction], file: TextIO, *, has_sets: bool = False) -> int:
    """Write an object a line, with the probabilities of all labels in the model's order; return how many.

    Where an example may have several labels, ``prediction`` and ``probability`` are lists, the most probable first.
    With `has_sets` there is ``set``, a list of the classes in the conformal set.
    """
    n = 0
    for p in predictions:
        n += 1
        row: dict[str, Any] = {"id": p.id, "prediction": p.label, "probability": round(p.probability, 6)}
        if p.labels is not None:
            row |= {"prediction": p.labels, "probability": [round(v, 6) for v in p.label_probabilities]}
        if has_sets:
            row["set"] = list(p.likely or ())
        row |= {"error": p.error} if p.error else {"probabilities": [round(v, 6) for v in p.probabilities]}
        file.write(json.dumps(row, ensure_ascii=False) + "\n")
    return n


WRITERS: dict[str, Callable[..., int]] = {"csv": write_csv, "jsonl": write_jsonl}
