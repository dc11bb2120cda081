"""Which pretrained model: those that were ranked, and who can't be told apart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from graft.core.text import percent
from graft.report import wording as w

__all__ = ["corrected_choice", "ranking_facts", "short_names"]


def short_names(names: list[str]) -> dict[str, str]:
    """Return names without the folders that all share, and without those that say nothing.

    Examples
    --------
    >>> short_names(["/home/models/a/one", "/home/models/b/one", "google/vit"])
    {'/home/models/a/one': 'a/one', '/home/models/b/one': 'b/one', 'google/vit': 'google/vit'}
    """
    found = {}
    for name in names:
        parts = name.rstrip("/").split("/")
        for n in range(1, len(parts) + 1):
            short = "/".join(parts[-n:])
            is_alone = not any(other != name and other.rstrip("/").endswith(f"/{short}") for other in names)
            if is_alone and (n > 1 or name.startswith(("/", "."))):
                break
        found[name] = short
    return found


def ranking_facts(ranking: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return table and sentences of a ranking; None without one.

    Parameters
    ----------
    ranking : as `graft.api.rank.Ranking.as_dict` gives it.
    """
    if not ranking or not ranking.get("standings"):
        return None
    short = short_names([row["name"] for row in ranking["standings"]])
    rows = [
        {
            "name": w.clipped(short[row["name"]], 80),
            "is_chosen": row["name"] == ranking["best"],
            "cells": [
                (f"{row['n_parameters'] / 1e6:,.1f} M", row["n_parameters"]),
                (w.count(row["n"]), row["n"]),
                (w.decimal(row["log_loss"]["value"]), row["log_loss"]["value"]),
                (w.percent(row["accuracy"]["value"]), row["accuracy"]["value"]),
                (w.interval(row["accuracy"]), row["accuracy"]["value"]),
                (w.percent(row["knn_accuracy"]), row["knn_accuracy"]),
                (f"{row['seconds']:,.1f}", row["seconds"]),
            ],
        }
        for row in ranking["standings"]
    ]
    told = list(ranking["told"])
    for long, own in short.items():
        told = [text.replace(long, own) for text in told]
    return {
        "rows": rows,
        "told": [w.clipped(text, 300) for text in told],
        "corrected": corrected_choice(ranking["selection_bias"]),
        "left_out": [f"{w.clipped(row['name'], 80)}: {w.clipped(row['why'], 120)}" for row in ranking["left_out"]],
        "seconds": f"{ranking['seconds']:,.0f}",
    }


def corrected_choice(bias: Mapping[str, Any] | None) -> str | None:
    """Return what the best's figure is worth, having been chosen by it; None: nothing was chosen."""
    if not bias:
        return None
    own = bias["corrected"]
    value = f"corrected for the choice {percent(own['value'])}"
    span = f"{100 * own['low']:.1f} to {100 * own['high']:.1f}"
    told = f"The best of {bias['n_candidates']} has {percent(bias['plain'])} out of fold; "
    if own["value"] >= bias["plain"]:
        return f"{told}the choice did not flatter it ({value}, {span})."
    return f"{told}{value} ({span})."
