"""Learning rates that were tried: a page of its own for `find-lr`, and the table in the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from graft.core.files import write_text
from graft.report import wording as w
from graft.report.html import environment, style
from graft.report.sections.race import corrected_sentence, race_facts, taken_name

__all__ = ["print_rates", "write_rate_page"]

_BAR = 24  # characters


def write_rate_page(path: Path, facts: Mapping[str, Any]) -> None:
    """Write the curve with its spread and the table as one HTML file that needs neither network nor script.

    Parameters
    ----------
    path : of the file; it is whole or absent.
    facts : as `graft.selection.learning_rate.RateSearch.as_dict` gives them, with ``"data"``, ``"model"`` and
        ``"batch_size"``.
    """
    page = environment().get_template("rates.html.j2").render(
        title=f"{w.clipped(Path(str(facts['data'])).name, 80)}: learning rate of {w.clipped(facts['method'], 40)}",
        model=w.clipped(facts["model"], 120),
        batch_size=facts["batch_size"],
        race=race_facts({"kind": "rate", **facts}),
        style=style(),
    )  # fmt: skip
    write_text(path, page)


def print_rates(facts: Mapping[str, Any], *, console: Console) -> None:
    """Print the rates that were tried, the smallest first, a bar for the loss of the longest runs, and the verdict."""
    standings = sorted(facts["standings"], key=lambda row: row["learning_rate"])
    longest = max(row["n_steps"] for row in standings)
    losses = [min(row["log_loss"], 50.0) for row in standings if row["n_steps"] == longest]
    low, high = min(losses), max(losses)
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 3, 0, 0))
    for name in ("rate", "steps", "log-loss", "± s.e. of\nthe difference", "accuracy"):
        table.add_column(name, justify="right")
    table.add_column("")
    taken = taken_name(facts)
    for row in standings:
        told = Text("shorter runs, not to be compared", style="dim")
        if row["n_steps"] == longest:
            length = 1 + round((_BAR - 1) * (min(row["log_loss"], 50.0) - low) / max(high - low, 1e-9))
            told = Text("█" * length, style="bold" if row["name"] == taken else "dim")
        table.add_row(
            f"{row['learning_rate']:.2g}",
            str(row["n_steps"]),
            "came apart" if row["has_diverged"] else w.decimal(row["log_loss"]),
            w.decimal(row["standard_error"]) if row["standard_error"] else "–",
            w.percent(row["accuracy"]),
            told,
        )
    console.print()
    console.print(table)
    console.print()
    console.print(
        Text(f"learning rate {facts['learning_rate']:.2g} (prior {facts['prior']:.2g}): {facts['why']}", style="bold")
    )
    for doubt in facts.get("doubts", ()):
        console.print(Text(f"But {w.plain(doubt)}."))
    if corrected := corrected_sentence(facts):
        console.print(Text(corrected))
    console.print(
        Text(
            f"For batches of {facts['batch_size']}; for k times as many examples a batch times the square root of k"
            " (AdamW) or k (SGD)."
        )
    )
    console.print()
