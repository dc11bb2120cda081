"""A file of corrections to labelled data: what to drop, what to call otherwise, what was looked at and is right."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from graft.core.errors import DataError, did_you_mean
from graft.core.files import atomic_path

__all__ = ["ACTIONS", "NO_LABELS", "Correction", "read_corrections", "write_template"]

ACTIONS = ("drop", "relabel", "keep")
_COLUMNS = ("id", "action", "label")
NO_LABELS: Final = "[]"
"""In place of a label: the example has none."""
_FIX = "each row is id,action,label; action is drop, relabel (with the new label) or keep"


@dataclass(frozen=True)
class Correction:
    """What is to be done with one example.

    Parameters
    ----------
    id : of the example.
    action : ``"drop"``, ``"relabel"``, or ``"keep"``: it was looked at and is right, and is not reported again.
    labels : the new label, or labels where an example may have several, as they stand in the file; empty but for
        ``"relabel"``.
    place : the row, for messages.
    content_hash : of what the example held when the row was written, see `graft.data.correcting`; empty where
        that is not known.
    """

    id: str
    action: str
    labels: tuple[str, ...]
    place: str
    content_hash: str = ""


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
        cell = "" if given is None or isinstance(given, list) else str(given).strip()
        labels = tuple(map(str, given)) if isinstance(given, list) else (cell,) if cell not in ("", NO_LABELS) else ()
        if action == "relabel" and not (labels or cell or isinstance(given, list)):
            raise DataError(f"{place}: no new label for {name}", expected="the right label", fix=_FIX)
        if name in found:
            raise DataError(f"{place}: {name} stands already in {found[name].place}", expected="each id once")
        digest = str(row.get("content_hash") or "").strip()
        found[name] = Correction(name, action, labels if action == "relabel" else (), place, digest)
    return found


def write_template(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write a CSV with an empty action a row, to be filled in; what else the rows hold stands behind."""
    rows = list(rows)
    more = [name for row in rows for name in row if name not in _COLUMNS]
    columns = [*_COLUMNS, *dict.fromkeys(more)]
    with atomic_path(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, restval="")
        writer.writeheader()
        writer.writerows(rows)


def _rows(path: Path) -> Sequence[tuple[str, Mapping[str, Any]]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"corrections {path} cannot be read: {error}", expected="a CSV or JSON file", fix="check --corrections"
        ) from error
    if path.suffix.lower() == ".csv":
        reader = csv.DictReader(io.StringIO(text, newline=""))
        rows: list[tuple[str, Any]] = [(f"{path}, line {reader.line_num}", row) for row in reader]
        missing = {"id", "action"} - set(reader.fieldnames or ())
        if missing:
            raise DataError(f"{path} has no column {' and no column '.join(sorted(missing))}", expected=_FIX)
        return rows
    try:
        if text.lstrip().startswith("["):
            rows = [(f"{path}, row {i + 1}", row) for i, row in enumerate(json.loads(text))]
        else:
            lines = enumerate(text.splitlines(), start=1)
            rows = [(f"{path}, line {number}", json.loads(line)) for number, line in lines if line.strip()]
    except json.JSONDecodeError as error:
        raise DataError(f"{path} is no JSON: {error}", expected=_FIX, fix="check --corrections") from error
    for place, row in rows:
        if not isinstance(row, dict):
            raise DataError(f"{place} is {type(row).__name__}", expected=_FIX)
    return rows
