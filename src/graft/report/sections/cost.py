"""Where the time went: seconds by phase."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from graft.report import wording as w
from graft.report.phases import phase_name, shown_seconds

__all__ = ["cost_rows"]


def cost_rows(metrics: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return phases with their seconds and shares; None where no time was kept."""
    seconds = shown_seconds(metrics.get("seconds") or {})
    if not seconds:
        return None
    longest = max(seconds.values()) or 1.0
    total = float(metrics["seconds"].get("total", sum(seconds.values())))
    rows = [
        {
            "name": phase_name(name),
            "time": w.duration(s),
            "width": round(100 * s / longest, 2),
            "share": f"{100 * s / total:.0f}{w.THIN}%" if total > 0 else "–",
            "is_longest": s == longest,
        }
        for name, s in seconds.items()
    ]
    return {"rows": rows, "total": w.duration(total)}
