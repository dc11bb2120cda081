"""A file of corrections to labelled data: what to drop, what to call otherwise, what was looked at and is right."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from graft.core.errors import DataError, did_you_mean
from graft.core.files import atomic_path
from graft.core.text import counted
from graft.data.dataset import LabeledDataset, Splits

__all__ = ["ACTIONS", "Correction", "apply_corrections", "read_corrections", "write_template"]

ACTIONS = ("drop", "relabel", "keep")
_COLUMNS = ("id", "action", "label")
_FIX = "each row is id,action,label; action is drop, relabel (with the new label) or keep"


@dataclass(frozen=True)
class Correction:
    """What is to be done with one example.

    Parameters
    ----------
    id : of the example.
    action : ``"drop"``, ``"relabel"``, or ``"keep"``: it was looked at and is right, and is not reported again.
    labels : the new label, or labels where an example may have several; empty but for ``"relabel"``.
    place : the row, for messages.
    """

    id: str
    action: str
    labels: tuple[str, ...]
    place: str


def read_corrections(path: Path) -> dict[str, Correction]:
    """Return corrections by id from a CSV file, or from JSON: a list of objects, or an object a line.

    Rows whose action is empty are passed over: they are what a template came with.

    Raises
    ------
    DataError
        When the file cannot be read, an action is unknown, a label is missing, or an id stands twice (row named).
    """
    found: dict[str, Correction] = {}
    for place, row in _rows(path):
        name, action = str(row.get("id") or "").strip(), str(row.get("action") or "").strip().lower()
        if not action:
            continue
        if not name:
            raise DataError(f"{place} has no id", expected="the id of an example", fix=_FIX)
        if action not in ACTIONS:
            raise DataError(
                f"{place}: action '{action}' for {name}.{did_you_mean(action, ACTIONS)}",
                expected=", ".join(ACTIONS),
                fix=_FIX,
            )
        given = row.get("label", "")
        labels = tuple(map(str, given)) if isinstance(given, list) else (str(given).strip(),) if given else ()
        if action == "relabel" and not labels:
            raise DataError(f"{place}: no new label for {name}", expected="the right label", fix=_FIX)
        if name in found:
            raise DataError(f"{place}: {name} stands already in {found[name].place}", expected="each id once")
        found[name] = Correction(name, action, labels if action == "relabel" else (), place)
    return found


def apply_corrections(splits: Splits, corrections: Mapping[str, Correction]) -> Splits:
    """Return the splits without dropped examples and with new labels; a note says what was done.

    Raises
    ------
    DataError
        When an id or a label is not in the data (row named), or a split or a class of train is left without examples.
    """
    parts = splits.present()
    names = splits.train.label_names
    ids = {name for part in parts.values() for name in part.ids}
    for correction in corrections.values():
        if correction.id not in ids:
            raise DataError(
                f"{correction.place}: no example {correction.id}.{did_you_mean(correction.id, ids)}",
                expected="an id of the data, as graft check writes it",
                fix="mend or remove the row",
            )
        for label in correction.labels:
            if label not in names:
                raise DataError(
                    f"{correction.place}: no label '{label}' for {correction.id}.{did_you_mean(label, names)}",
                    expected=_some(names),
                    fix="mend the row; corrections cannot bring new labels",
                )
        if len(correction.labels) > 1 and not splits.train.is_multi_label:
            raise DataError(f"{correction.place}: {len(correction.labels)} labels for {correction.id}", expected="one")
    done = {action: sum(c.action == action for c in corrections.values()) for action in ACTIONS}
    note = f"corrections: {done['drop']:,} dropped, {done['relabel']:,} relabelled, {done['keep']:,} looked at and kept"
    changed = {name: _corrected(part, corrections) for name, part in parts.items()}
    for name, part in changed.items():
        before = parts[name].class_counts
        gone = np.flatnonzero((before > 0) & (part.class_counts == 0))
        if not len(part) or (name == "train" and len(gone)):
            what = f"{name} without examples" if not len(part) else f"train without examples of '{names[gone[0]]}'"
            raise DataError(f"the corrections leave {what}", expected="some of each", fix="drop fewer")
    return replace(splits, **changed, notes=(*splits.notes, note))


def write_template(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write a CSV with an empty action a row, to be filled in; what else the rows hold stands behind."""
    rows = list(rows)
    more = [name for row in rows for name in row if name not in _COLUMNS]
    columns = [*_COLUMNS, *dict.fromkeys(more)]
    with atomic_path(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, restval="")
        writer.writeheader()
        writer.writerows(rows)


def _corrected(part: LabeledDataset, corrections: Mapping[str, Correction]) -> LabeledDataset:
    mine = [corrections.get(name) for name in part.ids]
    if not any(c is not None and c.action != "keep" for c in mine):
        return part
    kept = np.array([i for i, c in enumerate(mine) if c is None or c.action != "drop"], dtype=np.int64)
    labels: list[Any] = part.rows["label"][:]
    number = {name: i for i, name in enumerate(part.label_names)}
    for i, c in enumerate(mine):
        if c is not None and c.action == "relabel":
            numbers = [number[label] for label in c.labels]
            labels[i] = numbers if part.is_multi_label else numbers[0]
    kind = part.rows.features["label"]
    rows = part.rows.remove_columns("label").add_column("label", labels, feature=kind)
    return replace(part, rows=rows).select(kept)


def _rows(path: Path) -> Sequence[tuple[str, Mapping[str, Any]]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"corrections {path} cannot be read: {error}", expected="a CSV or JSON file", fix="check --corrections"
        ) from error
    if path.suffix.lower() == ".csv":
        reader = csv.DictReader(text.splitlines())
        rows: list[Any] = list(reader)
        missing = {"id", "action"} - set(reader.fieldnames or ())
        if missing:
            raise DataError(f"{path} has no column {' and no column '.join(sorted(missing))}", expected=_FIX)
        return [(f"{path}, row {i + 1}", row) for i, row in enumerate(rows)]
    try:
        rows = (
            json.loads(text)
            if text.lstrip().startswith("[")
            else list(map(json.loads, filter(str.strip, text.splitlines())))
        )
    except json.JSONDecodeError as error:
        raise DataError(f"{path} is no JSON: {error}", expected=_FIX, fix="check --corrections") from error
    for i, row in enumerate(rows):
        if not isinstance(row, dict):
            raise DataError(f"{path}, row {i + 1} is {type(row).__name__}", expected=_FIX)
    return [(f"{path}, row {i + 1}", row) for i, row in enumerate(rows)]


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:10]) + (f" and {counted(len(names) - 10, 'other')}" if len(names) > 10 else "")
