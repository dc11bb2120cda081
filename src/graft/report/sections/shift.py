"""What it loses on other data, and which kinds of example fail."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from graft.report import figures
from graft.report import wording as w
from graft.report.leading import is_multi_label, split_of

__all__ = ["shift_facts", "slice_rows"]

_SEVERITY = re.compile(r"(?P<kind>.+?)[ :,]+(?:severity )?(?P<level>[1-9])")
_MOST_ROWS = 60
_OPEN_SLICES, _MOST_SLICES = 8, 20


def shift_facts(metrics: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the claims on other data: ``rows`` of a dot plot, and a ``grid`` of corruptions by severity.

    None where no other data was looked at.
    """
    found = []
    for claim in metrics.get("claims") or ():
        kind, _, name = claim["name"].partition(":")
        accuracy = (claim.get("evidence") or {}).get("accuracy") or {}
        if kind == "shift" and isinstance(accuracy, Mapping) and accuracy.get("value") is not None:
            found.append((name, accuracy, claim))
    corruptions = (metrics.get("shift") or {}).get("corruptions") or {}
    cells = corruptions.get("cells") or ()
    if not found and not cells:
        return None
    home = metrics.get(split_of(metrics), {}).get("accuracy")
    graded = [(m["kind"], int(m["level"]), e) for name, e, _ in found if (m := _SEVERITY.fullmatch(name))]
    is_graded = len(graded) > 2
    single = [f for f in found if not (is_graded and _SEVERITY.fullmatch(f[0]))][:_MOST_ROWS]
    named = [(w.clipped(name, 80), accuracy) for name, accuracy, _ in single]
    if home and home.get("value") is not None:
        named.insert(0, ("At home: the test split", home))
    axis = figures.share_axis([e for _, e in named])
    rows = figures.dot_rows(named, axis)
    for row in rows:
        row["sentence"] = row["loss"] = ""
    for row, (_, _, claim) in zip(rows[len(rows) - len(single) :], single, strict=True):
        row["sentence"] = w.clipped(claim["sentence"], 400)
        loss = (claim.get("evidence") or {}).get("loss") or {}
        if loss.get("value") is not None:
            row["loss"] = f"{-100 * loss['value']:+.1f}".replace("-", "−")
    grid = _grid(graded) if is_graded else None
    if cells:
        grid = _grid([(cell["corruption"], cell["severity"], cell["accuracy"]) for cell in cells])
        grid |= {
            "clean": w.percent(corruptions["clean"]),
            "n": w.count(corruptions["n"]),
            "left_out": w.plain(corruptions["left_out"]),
        }
    return {"axis": axis, "rows": rows if single else [], "grid": grid, "measure": _measure_of(metrics)}


def _measure_of(metrics: Mapping[str, Any]) -> str:
    """Return what is counted as right: an answer, or an exact set of labels."""
    return w.metric_name("exact_match")[0] if is_multi_label(metrics) else w.metric_name("accuracy")[0]


def _grid(graded: list[tuple[str, int, Mapping[str, Any]]]) -> dict[str, Any]:
    levels = sorted({level for _, level, _ in graded})
    value = {(kind, level): e["value"] for kind, level, e in graded}
    best = max(value.values()) or 1.0
    rows = []
    for kind in dict.fromkeys(kind for kind, _, _ in graded):
        shares = [value.get((kind, level)) for level in levels]
        cells = [
            {"text": w.percent(v, unit=False), "ink": 0 if v is None else round(10 + 50 * v / best)} for v in shares
        ]
        rows.append({"name": w.clipped(kind, 60), "cells": cells})
    return {"levels": levels, "rows": rows, "clean": "", "n": "", "left_out": ""}


def slice_rows(metrics: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the kinds of example that were looked at, the surest failures first; None where none were."""
    slices = (metrics.get("slices") or ())[:_MOST_SLICES]
    if not slices:
        return None
    axis = figures.share_axis([s["accuracy"] for s in slices])
    names = [f"{w.clipped(s['column'], 60).removeprefix('the ')}: {w.clipped(s['value'], 60)}" for s in slices]
    rows = figures.dot_rows([(name, s["accuracy"]) for name, s in zip(names, slices, strict=True)], axis)
    for row, s in zip(rows, slices, strict=True):
        row["rest"], row["p"] = w.percent(s["rest"]["value"]), w.p_value(s["adjusted_p_value"])
        row["score"] = s["accuracy"]["value"]
        row["fails"] = s["adjusted_p_value"] <= 0.05
    return {"axis": axis, "rows": rows[:_OPEN_SLICES], "more": rows[_OPEN_SLICES:], "measure": _measure_of(metrics)}
