"""Is the data sound: what the checks found, with the examples that they name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from graft.report import wording as w
from graft.report.budget import ExampleBudget
from graft.report.checks import check_rows, renamed

__all__ = ["check_sections"]

_N_SUSPECTS = 8


def check_sections(findings: Sequence[Mapping[str, Any]], budget: ExampleBudget) -> list[dict[str, Any]]:
    """Return the findings as rows; suspects with their pictures, texts or sounds, where these were kept."""
    rows = check_rows(renamed(findings, budget.called), n_examples=_N_SUSPECTS)
    for row, finding in zip(rows, findings, strict=True):
        row["name"], row["severity"] = w.clipped(row["name"], 80), w.plain(row["severity"])
        row["text"], row["without"] = w.clipped(row["text"], 600), w.clipped(row["without"], 300)
        row["kind"] = row["severity"].replace(" ", "-")
        row["shown"] = []
        for told, suspect in zip(row["examples"], finding["suspects"], strict=False):
            own = budget.shown(suspect["id"])
            other = budget.shown(suspect["other"]) if suspect.get("other") else None
            row["shown"].append({"told": w.clipped(told, 300), "own": own, "other": other})
        row["n_more"] = max(0, int(finding.get("n") or 0) - len(row["shown"]))
    return rows
