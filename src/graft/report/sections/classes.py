"""Class by class: recall and precision; of examples with any number of labels, F1 of each label."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from graft.report import figures
from graft.report import wording as w
from graft.report.leading import is_multi_label

__all__ = ["class_table"]

_OPEN_ROWS = 20  # before the rest is folded away


def class_table(metrics: Mapping[str, Any], *, most: int) -> dict[str, Any] | None:
    """Return the rows, the weakest first; None where there is nothing to show.

    Parameters
    ----------
    most : rows in all.
    """
    return _labels(metrics, most) if is_multi_label(metrics) else _classes(metrics, most)


def _classes(metrics: Mapping[str, Any], most: int) -> dict[str, Any] | None:
    confusion = metrics.get("confusion")
    if not confusion or "recall" not in confusion:
        return None
    recall = confusion["recall"]
    axis = figures.share_axis(recall)
    rows = figures.dot_rows([(w.clipped(n, 80), r) for n, r in zip(confusion["labels"], recall, strict=True)], axis)
    for row, r, precision in zip(rows, recall, confusion.get("precision", [{}] * len(rows)), strict=True):
        row["score"] = r["value"]
        row["more"] = [("Precision", w.percent(precision.get("value")), precision.get("value"))]
    order = sorted(
        range(len(rows)), key=lambda i: (recall[i]["value"] is None, recall[i]["value"] or 0.0, -recall[i]["n"])
    )
    return _table("Recall", axis, [rows[i] for i in order], most)


def _labels(metrics: Mapping[str, Any], most: int) -> dict[str, Any]:
    labels = metrics["labels"]
    axis = figures.share_axis(labels["f1"])
    rows = figures.dot_rows([(w.clipped(n, 80), f1) for n, f1 in zip(labels["names"], labels["f1"], strict=True)], axis)
    for i, row in enumerate(rows):
        row["n"] = labels["counts"][i]
        row["score"] = labels["f1"][i]["value"]
        found = [
            ("Precision", labels["precision"][i]["value"]),
            ("Recall", labels["recall"][i]["value"]),
            ("From", labels["thresholds"][i]),
        ]
        row["more"] = [(name, w.percent(value), value) for name, value in found]
    order = sorted(range(len(rows)), key=lambda i: (labels["f1"][i]["value"] is None, labels["f1"][i]["value"] or 0.0))
    return _table("F1", axis, [rows[i] for i in order], most)


def _table(score: str, axis: figures.Axis, rows: list[dict[str, Any]], most: int) -> dict[str, Any]:
    names = [name for name, _, _ in rows[0]["more"]] if rows else []
    return {
        "score": score,
        "names": names,
        "axis": axis,
        "rows": rows[:_OPEN_ROWS],
        "more": rows[_OPEN_ROWS:most],
        "n_left_out": max(0, len(rows) - max(most, _OPEN_ROWS)),
    }
