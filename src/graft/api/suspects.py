"""Suspects of the checks with what they hold, and as a file of corrections to be filled in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from graft.api.embedding import Embedded
from graft.core.findings import Finding, Suspect
from graft.core.text import clipped
from graft.data.correcting import content_hash, joined_labels
from graft.data.corrections import write_template
from graft.data.dataset import LabeledDataset
from graft.data.kinds import TEXT
from graft.data.texts import shown_text

__all__ = ["with_texts", "write_suspects"]

_TO_CORRECT = ("label_errors", "conflicting_labels", "copies_across_splits", "outliers")
_Where = Mapping[str, tuple[LabeledDataset, int]]


def with_texts(findings: Sequence[Finding], embedded: Embedded) -> list[Finding]:
    """Return the findings, their suspects with the beginnings of their texts, where they are texts."""
    if embedded.task.kind is not TEXT:
        return list(findings)
    where = _places(embedded)

    def told(suspect: Suspect) -> Suspect:
        return replace(suspect, text=_text(where, suspect.id), other_text=_text(where, suspect.other))

    return [replace(f, suspects=tuple(map(told, f.suspects))) for f in findings]


def write_suspects(folder: Path, findings: Sequence[Finding], embedded: Embedded) -> Path | None:
    """Write the suspects, each once, with an empty action; return the file, None where there is no suspect.

    The column ``label`` holds what the example would be called: of several labels all, not the doubtful one alone.
    """
    where = _places(embedded)
    rows: dict[str, dict[str, Any]] = {}
    for name in _TO_CORRECT:
        for s in next(f for f in findings if f.check == name).suspects:
            if s.id not in rows and s.id not in embedded.reviewed:
                row = {"id": s.id, "action": "", "label": _label(s, *where[s.id]), "check": name, "split": s.split}
                row |= {"label_now": s.label, "copy_of": s.other}
                if s.text:
                    row |= {"text": s.text, "text_of_copy": s.other_text}
                rows[s.id] = row | {"content_hash": content_hash(*where[s.id])}
    if not rows:
        return None
    path, n = folder / "corrections.csv", 1
    while path.exists():
        n += 1
        path = folder / f"corrections-{n}.csv"
    write_template(path, rows.values())
    return path


def _label(suspect: Suspect, part: LabeledDataset, row: int) -> str:
    if not part.is_multi_label:
        return suspect.suggested
    if suspect.corrected is not None:
        return joined_labels(suspect.corrected)
    if not suspect.label:  # of a test split, where labels are not to be read here
        return ""
    return joined_labels([part.label_names[k] for k in np.flatnonzero(part.labels[row] == 1)])


def _places(embedded: Embedded) -> _Where:
    return {name: (part, row) for part in embedded.splits.values() for row, name in enumerate(part.ids)}


def _text(where: _Where, name: str) -> str:
    if name not in where:
        return ""
    part, row = where[name]
    return clipped(shown_text(part.read(row)))
