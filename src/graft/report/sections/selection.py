"""How it was chosen: the candidates and their held-out loss."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from graft.report import figures
from graft.report import wording as w

__all__ = ["selection_table"]

_OPEN_ROWS = 5


def selection_table(leaderboard: Sequence[Mapping[str, Any]], *, most: int) -> dict[str, Any] | None:
    """Return the candidates, the best first, and their figure; None without candidates.

    Parameters
    ----------
    most : rows in all.
    """
    if not leaderboard:
        return None
    rows = [
        {
            "scaling": w.clipped(r["scaling"], 60),
            "penalty": f"{r['penalty']:.3g}",
            "log_loss": w.decimal(r["log_loss"]),
            "standard_error": w.decimal(r["standard_error"]),
            "accuracy": w.percent(r.get("accuracy")),
            "is_chosen": bool(r.get("is_chosen")),
            "numbers": [r["penalty"], r["log_loss"], r["standard_error"], r.get("accuracy")],
        }
        for r in sorted(leaderboard, key=lambda r: r["log_loss"])
    ]
    is_open = [i < _OPEN_ROWS or r["is_chosen"] for i, r in enumerate(rows)]
    return {
        "figure": figures.selection_figure(leaderboard),
        "rows": [r for r, is_it in zip(rows, is_open, strict=True) if is_it],
        "more": [r for r, is_it in zip(rows, is_open, strict=True) if not is_it][:most],
        "n": len(rows),
        "chosen": next((r for r in rows if r["is_chosen"]), None),
    }
