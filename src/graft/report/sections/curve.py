"""Would more labels help: accuracy over training examples, with the band of what the curve allows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from graft.report import figures
from graft.report import wording as w

__all__ = ["curve_facts"]


def curve_facts(metrics: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the figure and the table of ``metrics["learning_curve"]``; None where no curve was made."""
    curve = metrics.get("learning_curve")
    if not curve or not curve.get("observed") or not curve.get("curve"):
        return None
    claim = next((c for c in metrics.get("claims") or () if c["name"] == "more_labels"), None)
    now = curve["n_now"]
    rows = [
        {
            "n": w.count(row["at"]),
            "is_ahead": row["at"] > now,
            "value": w.percent(row["value"]),
            "interval": w.interval(row),
        }
        for row in curve["curve"]
        if row.get("value") is not None
    ]
    return {
        "figure": figures.curve_figure(curve),
        "sentence": w.clipped(claim["sentence"], 600) if claim else "",
        "n_now": w.count(now),
        "share": w.clipped(curve.get("figure") or "accuracy", 60),
        "model": w.clipped(curve.get("model", ""), 120),
        "rows": rows,
    }
