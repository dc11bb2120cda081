"""A plan in the terminal: what there is, a line a strategy, and what to type."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table
from rich.text import Text

from graft.report import wording as w

__all__ = ["byte_size", "print_plan", "print_short_plan"]

_GAP = 2


class _Column(NamedTuple):
    title: str
    cells: list[str]
    rank: int  # columns of the highest ranks go where the terminal is narrow

    @property
    def width(self) -> int:
        return max(len(text) for text in (self.title, *self.cells))


def byte_size(n: float | None) -> str:
    """Return bytes in the largest fitting unit.

    Examples
    --------
    >>> byte_size(300), byte_size(5_000_000), byte_size(3 << 30), byte_size(None)
    ('0.3 KiB', '4.8 MiB', '3.0 GiB', '–')
    """
    if n is None:
        return "–"
    for unit in ("KiB", "MiB", "GiB"):
        n /= 1024
        if n < 999.5 or unit == "GiB":
            return f"{n:.1f} {unit}" if n < 9.95 else f"{n:,.0f} {unit}"
    raise AssertionError


def print_short_plan(plan: Mapping[str, Any], *, told: str, beside: str, console: Console) -> None:
    """Print a plan of a task without a contest.

    Parameters
    ----------
    plan : as `graft.api.plan_record.Plan.as_dict` gives it.
    told : how much of it is in which split.
    beside : what takes time beside the steps.
    """
    data, measured, compute = plan["data"], plan["measured"], plan["compute"]
    noun = f"{data['noun']}s"
    console.print(f"{data['path']}: {data['n_examples']:,} {noun}: {told}", markup=False, highlight=False)
    for note in (*data["notes"], *plan["model"]["notes"]):
        console.print(f"· {note}", style="dim", markup=False, highlight=False)
    console.print(_short_table(plan["methods"]))
    console.print(
        f"Measured in {w.duration(measured['seconds'])} on {measured['n_examples_read']} {noun}, {compute['precision']}"
        f" on {compute['device']}; {beside}.",
        style="dim",
    )
    console.print(plan["recommendation"], style="bold", markup=False)
    console.print(f"  {plan['command']}", style="cyan", soft_wrap=True, markup=False)


def _short_table(methods: Sequence[Mapping[str, Any]]) -> Table:
    table = Table("strategy", "trainable", "memory", "a step", "steps", "all of it", "fits")
    for method in methods:
        if method["why"]:
            table.add_row(method["name"], f"no: {method['why']}")
            continue
        memory = "" if method["memory_bytes"] is None else byte_size(method["memory_bytes"])
        step = "" if method["step_s"] is None else w.duration(method["step_s"])
        table.add_row(
            method["name"], f"{method['n_trainable']:,}", memory, step, f"{method['n_steps']:,}",
            w.duration(method["seconds"]["total"]), method["fits"],
        )  # fmt: skip
    return table


def print_plan(plan: Mapping[str, Any], *, console: Console) -> None:
    """Print a plan.

    Parameters
    ----------
    plan : as `graft.api.plan.Plan.as_dict` gives it.
    """
    console.print()
    for sentence in _sentences(plan):
        console.print(Text(sentence))
    console.print()
    console.print(_table(plan["methods"], _budget_title(plan["budget"]), width=console.width))
    console.print()
    for sentence in _small_print(plan):
        console.print(Text(sentence, style="dim"))
    console.print()
    console.print(Text(plan["recommendation"], style="bold"))
    console.print(Text(f"  {plan['command']}", style="cyan"), soft_wrap=True)  # one line, to be copied


def _sentences(plan: Mapping[str, Any]) -> list[str]:
    data, model, compute, measured = plan["data"], plan["model"], plan["compute"], plan["measured"]
    names, noun = data["classes"], data["noun"]
    listed = ", ".join(map(w.plain, names[:6])) + (", …" if len(names) > 6 else "")
    splits = ", ".join(f"{n:,} {name}" for name, n in data["splits"].items())
    ours = " (held out here)" if data["is_test_held_out"] else ""
    notes = "".join(f"; {note}" for note in model["notes"])
    rate = measured["n_pass"] / measured["pass_s"]
    return [
        f"Data: {_short(data['path'])}, {data['n_examples']:,} {noun}s of {len(names):,} classes ({listed}): {splits}"
        f"{ours}.",
        f"Model: {_short(model['id'])}, {model['architecture']}, {_parameters(model['n_parameters'])} parameters,"
        f" {model['n_features']:,} features a {noun} of {model['reads']}{notes}.",
        f"Compute: {compute['device']}, fine-tuning in {compute['precision']} ({compute['reason']}). The one pass over"
        f" {measured['n_pass']:,} {noun}s by {compute['engine']} takes about {w.duration(measured['pass_s'])},"
        f" {w.duration(measured['engine_s'])} of it to start: {rate:,.0f} {noun}s a second.",
    ]


def _small_print(plan: Mapping[str, Any]) -> list[str]:
    measured, runs = plan["measured"], [m for m in plan["methods"] if not m["why"]]
    tuned = next((m for m in runs if m["n_steps"]), None)
    if plan["compute"]["memory"].startswith("torch"):
        memory = "the most that torch allocated on the GPU in a few real steps"
    else:
        memory = (
            "growth of this process's resident set in a few real steps, on top of"
            f" {byte_size(measured['held_bytes'])} for Python, libraries and model"
        )
    disk = runs[0]["disk"]
    stays = f"{byte_size(disk['features'] + disk['model'])} of features and model stay"
    goes = ""
    if tuned:
        held = tuned["disk"]["examples"]
        kept = f"{byte_size(held)} of {plan['data']['noun']}s and " if held else ""
        goes = f", {kept}all checkpoints go at the end"
    total = "total: the whole of graft fit from start to report, with nothing cached"
    if tuned:
        n = tuned["n_runs"]
        runs_told = f"{n} runs of these steps where" if n > 1 else "one run of these steps, whether or not"
        total += f"; reckoned on the safe side, with {runs_told} the fine-tuned network beats the head"
    return [
        f"memory: {memory}.",
        f"disk: the most there is at a time; {stays}{goes}.",
        f"{total}.",
        f"Measured in {w.duration(measured['seconds'])} on {measured['n_examples_read']:,} {plan['data']['noun']}s.",
    ]


def _table(methods: Sequence[Mapping[str, Any]], budget: str, *, width: int) -> Table:
    """Return a table of two columns: the name, and either the figures, aligned here, or why there are none."""
    runs = [m for m in methods if not m["why"]]
    columns = [
        _Column("trainable", [_parameters(m["n_trainable"]) for m in runs], 0),
        _Column("share", [_share(m["trainable_share"]) for m in runs], 2),
        _Column("memory", [byte_size(m["memory_bytes"]) for m in runs], 0),
        _Column("disk", [byte_size(m["disk"]["total"]) for m in runs], 0),
        _Column("a step", [_seconds(m["step_s"]) for m in runs], 3),
        _Column("an epoch", [_seconds(m["epoch_s"]) for m in runs], 1),
        _Column("steps", [f"{m['n_steps']:,}" if m["n_steps"] else "–" for m in runs], 0),
        _Column("total", [w.duration(m["seconds"]["total"]) for m in runs], 0),
        _Column(budget, [m["fits"] for m in runs], 0),
    ]
    name_width = max(len(m["name"]) for m in methods)
    while sum(c.width + _GAP for c in columns) + name_width > width and any(c.rank for c in columns):
        columns.remove(max(columns, key=lambda c: c.rank))
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, _GAP, 0, 0))
    table.add_column("", no_wrap=True)
    table.add_column("  ".join(c.title.rjust(c.width) for c in columns))
    lines = iter(zip(*(c.cells for c in columns), strict=True))
    for method in methods:
        if method["why"]:
            table.add_row(method["name"], Text(w.plain(method["why"]), style="dim"))
        else:
            cells = [text.rjust(c.width) for text, c in zip(next(lines), columns, strict=True)]
            table.add_row(method["name"], Text("  ".join(cells)))
    return table


def _budget_title(budget: Mapping[str, Any]) -> str:
    return f"fits {w.duration(budget['seconds'])}"


def _parameters(n: int) -> str:
    return f"{n / 1e6:.1f} M" if n >= 999_500 else f"{n / 1e3:.1f} k" if n >= 1_000 else str(n)


def _share(value: float) -> str:
    return f"{100 * value:.2f} %" if value < 0.00995 else w.percent(value).replace(w.THIN, " ")


def _seconds(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{1000 * value:.0f} ms" if value < 0.9995 else w.duration(value)


def _short(path: str) -> str:
    """Return the last part of a path that is there, and a hub id as it is."""
    return w.plain(Path(path).resolve().name if Path(path).exists() else path)
