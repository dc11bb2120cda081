"""The report of a language model: what was learned from, loss and perplexity, and what they rest on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from graft.core.files import write_text
from graft.report import wording as w
from graft.report.html import environment, style

__all__ = ["generation_sentences", "print_example", "print_generation", "write_generation_report"]


def write_generation_report(
    path: Path, *, metrics: Mapping[str, Any], manifest: Mapping[str, Any], example: Sequence[tuple[str, bool]]
) -> None:
    """Write the report of a language model as one HTML file that needs neither network nor script.

    Parameters
    ----------
    metrics, manifest : of the run.
    example : pieces of a training conversation, and whether they carry loss.

    Raises
    ------
    ResourceError
        When the file cannot be written.
    """
    page = environment().get_template("generation.html.j2").render(
        title=w.clipped(manifest.get("title", "A run"), 200),
        sentences=generation_sentences(metrics),
        rows=_figure_rows(metrics),
        example=[{"text": text, "is_target": is_target} for text, is_target in example],
        history=list(metrics["strategy"].get("history") or [])[:60],
        best_step=metrics["strategy"].get("best_step"),
        splits=manifest["splits"],
        notes=[w.clipped(note, 600) for note in manifest.get("notes") or ()],
        command=w.clipped(manifest.get("command", ""), 600),
        style=style(),
    )  # fmt: skip
    write_text(path, page)


def generation_sentences(metrics: Mapping[str, Any]) -> list[str]:
    """Return what the run came to, in sentences."""
    test, strategy, base = metrics["test"], metrics["strategy"], metrics["baselines"]["zero-shot"]
    found = [
        f"On {test['n']:,} conversations that training did not see, an answer token costs"
        f" {_figure(test['loss_per_token'])} nats, a perplexity of {_figure(test['perplexity'])}.",
        f"The untouched checkpoint on the same answers: {_figure(base['loss_per_token'])} nats, a perplexity of"
        f" {_figure(base['perplexity'])}.",
    ]
    change = metrics["change"]
    if change.get("low") is not None:
        verdict = "lower" if change["high"] < 0 else "higher" if change["low"] > 0 else "not clearly another"
        found.append(f"The loss is {verdict} than before: {_figure(change)} an answer token.")
    found.append(f"{strategy['why'][:1].upper()}{strategy['why'][1:]}.")
    return found


def print_example(example: Sequence[tuple[str, bool]], *, console: Console) -> None:
    """Print a training conversation: what carries loss in colour and underlined, the rest dim."""
    told = Text()
    for text, is_target in example:
        told.append(text, style="bold green underline" if is_target else "dim")
    console.print()
    console.print("[bold]A training conversation[/bold]; what is learned is [bold green underline]marked[/]:")
    console.print(told, highlight=False, soft_wrap=True)
    console.print()


def print_generation(metrics: Mapping[str, Any], *, console: Console) -> None:
    """Print the sentences of the report."""
    console.print()
    for sentence in generation_sentences(metrics):
        console.print(sentence, markup=False, highlight=False, emoji=False)
    console.print()


def _figure_rows(metrics: Mapping[str, Any]) -> list[dict[str, str]]:
    named = {"this model, test": metrics["test"], "this model, valid": metrics["held_out"].get("valid")}
    named |= {f"{name}, test": figures for name, figures in metrics["baselines"].items()}
    return [
        {
            "name": name,
            "loss": _figure(figures["loss_per_token"]),
            "perplexity": _figure(figures["perplexity"]),
            "rests_on": f"{figures['n']:,} conversations, {figures['n_tokens']:,} tokens",
        }
        for name, figures in named.items()
        if figures
    ]


def _figure(figure: Mapping[str, Any]) -> str:
    value = f"{figure['value']:,.3g}" if figure["value"] is not None else "unknown"
    return value if figure.get("low") is None else f"{value} ({figure['low']:,.3g} to {figure['high']:,.3g})"
