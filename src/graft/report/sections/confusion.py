"""The confusion matrix as cells, or, of many classes, the pairs that are confused most often."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from graft.report import wording as w

__all__ = ["MAX_GRID_CLASSES", "confusion_table"]

MAX_GRID_CLASSES = 30
_MOST_PAIRS = 20


def confusion_table(metrics: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return ``rows`` of cells for up to 30 classes, else ``pairs``; None where there is no confusion matrix.

    Notes
    -----
    A cell that holds mistakes has the ``key`` of the group of their examples.
    """
    confusion = metrics.get("confusion")
    if not confusion:
        return None
    n_classes = len(confusion["labels"])
    is_grid = n_classes <= MAX_GRID_CLASSES
    return {
        "n_classes": n_classes,
        "rows": _cells(confusion) if is_grid else None,
        "pairs": [] if is_grid else _pairs(confusion),
        "n_mistakes": sum(n for i, row in enumerate(confusion["counts"]) for j, n in enumerate(row) if i != j),
    }


def _cells(confusion: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return one row for each true class, with for each predicted class the count and how dark its cell is."""
    labels = [w.clipped(name, 40) for name in confusion["labels"]]
    rows = []
    for i, row in enumerate(confusion["counts"]):
        total = sum(row)
        cells = []
        for j, n in enumerate(row):
            share = n / total if total else 0.0
            # Mistakes are rare: the square root keeps 1 of 60 visible. Above 70 % no ink is legible on it.
            ink = 10 + 60 * share if i == j else 50 * share**0.5
            cells.append(
                {
                    "n": n,
                    "ink": round(ink) if n else 0,
                    "is_right": i == j,
                    "key": f"pair-{i}-{j}",
                    "title": f"{n} of {total}: true {w.quoted(labels[i])}, predicted {w.quoted(labels[j])}",
                }
            )
        rows.append({"name": labels[i], "short": w.clipped(labels[i], 24), "total": total, "cells": cells})
    return rows


def _pairs(confusion: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the pairs (true, predicted) with the most mistakes, and which share of the true class they are."""
    counts = np.array(confusion["counts"], dtype=np.int64)
    totals = counts.sum(axis=1)
    np.fill_diagonal(counts, 0)
    order = np.argsort(-counts, axis=None, kind="stable")[:_MOST_PAIRS]
    pairs = [(int(k) // len(counts), int(k) % len(counts)) for k in order]
    labels = confusion["labels"]
    return [
        {
            "key": f"pair-{i}-{j}",
            "true": w.clipped(labels[i], 80),
            "predicted": w.clipped(labels[j], 80),
            "n": int(counts[i, j]),
            "total": int(totals[i]),
            "share": w.percent(counts[i, j] / totals[i]),
            "width": round(100 * float(counts[i, j] / totals[i]), 2),
        }
        for i, j in pairs
        if counts[i, j] > 0
    ]
