"""The figures as a small table in the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from graft.report import wording as w
from graft.report.leading import headline_of, lead_of, split_of
from graft.report.verdict import build_verdict

__all__ = ["print_summary"]

_SHOWN = (
    "Classes", "Groups", "Strategy", "Rate", "Weakest point",
    "Overfitting", "Training", "Confidence", "Other data", "More labels", "Kinds of example", "Choice",
)  # fmt: skip


def print_summary(
    metrics: Mapping[str, Any],
    *,
    console: Console,
    leaderboard: Sequence[Mapping[str, Any]] = (),
    noun: str = "examples",
) -> None:
    """Print the verdict, each figure with its interval, and the baselines.

    Parameters
    ----------
    metrics : as `graft.evaluation.Evaluation.as_dict` or `MultiLabelEvaluation.as_dict` gives them, with ``"seconds"``
        where known.
    console : where to.
    leaderboard : the candidates, for the sentence on how the model was chosen.
    noun : what the examples are called.
    """
    verdict = build_verdict(metrics, leaderboard, noun=noun)
    split = split_of(metrics)
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 3, 0, 0))
    table.add_column(split)
    table.add_column("value", justify="right")
    table.add_column("95 % interval", justify="right")
    headline = headline_of(metrics)
    measure = {"accuracy": "", "mean_average_precision": " in mAP"}.get(
        headline, f" in {headline.replace('_f1', ' F1')}"
    )
    table.add_column(f"model's lead{measure}", justify="right")
    for key, figure in metrics.get(split, {}).items():
        if isinstance(figure, Mapping) and "value" in figure:
            _add_row(table, w.metric_name(key)[0], figure, share=w.is_share(key), lead="", style="")
    for name, baseline in (metrics.get("baselines") or {}).items():
        told = ""
        if lead := lead_of(baseline):
            told = f"{100 * lead.difference['value']:+.1f} points, {w.p_value(lead.p_value)}".replace("-", "−")
        figure = baseline.get(headline) or baseline["accuracy"]
        _add_row(table, w.baseline_name(name), figure, share=True, lead=told, style="dim")

    console.print()
    console.print(Text(_without_marks(verdict.headline), style="bold"))
    console.print()
    console.print(table)
    console.print()
    for fact in verdict.facts:
        if fact.topic in _SHOWN:
            line = Text()
            line.append(f"{verdict.question_of(fact) or f'{fact.topic}:'} ", style="dim")
            console.print(line.append(_without_marks(fact.text)))


def _without_marks(text: str) -> str:
    """Return text without the marks of direction, which some terminals show as boxes."""
    return text.translate(dict.fromkeys((0x2066, 0x2067, 0x2068, 0x2069, 0x202A, 0x202B, 0x202C, 0x202D, 0x202E)))


def _add_row(table: Table, name: str, figure: Mapping[str, Any], *, share: bool, lead: str, style: str) -> None:
    value = w.percent(figure["value"]) if share else w.decimal(figure["value"])
    span = w.interval(figure, share=share)
    if span == "–" and ":" in figure["method"]:
        span = f"– ({figure['method'].split(':')[0]})"
    table.add_row(Text(name), Text(value), Text(span), Text(lead), style=style)
