"""A ranking of pretrained models in the terminal: a line a model, and what can be said of their differences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from graft.report import wording as w
from graft.report.sections.ranking import corrected_choice, short_names

__all__ = ["print_ranking"]


def print_ranking(ranking: Mapping[str, Any], *, console: Console) -> None:
    """Print a ranking.

    Parameters
    ----------
    ranking : as `graft.api.rank.Ranking.as_dict` gives it.
    """
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 1, 0, 0))
    short = short_names([row["name"] for row in ranking["standings"]])
    table.add_column("model", overflow="fold")
    for title in ("size", "n", "log-loss", "accuracy", "95 % interval", "kNN", "s"):
        table.add_column(title, justify="right", no_wrap=True)
    for row in ranking["standings"]:
        table.add_row(
            Text(w.plain(short[row["name"]])),
            f"{row['n_parameters'] / 1e6:,.1f} M",
            w.count(row["n"]),
            w.decimal(row["log_loss"]["value"]),
            w.percent(row["accuracy"]["value"]),
            w.interval(row["accuracy"]),
            w.percent(row["knn_accuracy"]),
            f"{row['seconds']:,.0f}",
        )
    console.print()
    console.print(table)
    console.print()
    for sentence in ranking["told"]:
        for long, own in short.items():
            sentence = sentence.replace(long, own)
        console.print(Text(f"{sentence}."))
    if corrected := corrected_choice(ranking["selection_bias"]):
        console.print(Text(corrected))
    for left in ranking["left_out"]:
        console.print(Text(f"left out: {w.plain(left['name'])}, {w.plain(left['why'])}"), style="dim")
