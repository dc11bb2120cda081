"""The checks of the data, short: in the terminal, and as rows for the HTML report."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.text import Text

from graft.report import wording as w
from graft.report.places import short_names

__all__ = ["check_rows", "print_checks", "renamed", "suspect_ids"]

_NAMES = {
    "copies_across_splits": "Copies across splits",
    "copies": "Copies within train",
    "conflicting_labels": "Copies with other labels",
    "nearly_the_same": "Nearly the same",
    "label_errors": "Likely label errors",
    "shortcuts": "Shortcuts",
    "groups": "Groups on both sides",
    "outliers": "Outliers",
    "small_classes": "Small classes",
    "imbalance": "Imbalance",
    "sentences": "Sentences of both sides",
    "unreadable": "Unreadable recordings",
    "silent": "Silent recordings",
    "clipped": "Clipped recordings",
    "empty": "Empty transcripts",
    "impossible": "Transcripts too long",
    "length": "Lengths",
    "speaking_rate": "Letters a second",
    "passages": "Passages of both sides",
    "conflicting_answers": "Questions with two answers",
    "surprising": "Surprising answers",
    "control_tokens": "Marks of a chat template",
    "turns": "Turns",
    "one_answer": "One answer for all",
    "unusable": "Nothing to learn",
    "cut": "Answers cut off",
}
_MARKS = {"warning": ("!", "bold red"), "note": ("·", "yellow"), "ok": ("✓", "green"), "not checked": ("–", "dim")}
_BESIDE = {
    "nearly_the_same": "much like",
    "passages": "in common with",
    "conflicting_answers": "answered otherwise in",
}
_WORST = 3


def check_rows(findings: Sequence[Mapping[str, Any]], *, n_examples: int = _WORST) -> list[dict[str, Any]]:
    """Return findings as they are shown: name, severity, text, what it costs, and the worst examples.

    Parameters
    ----------
    findings : as `graft.core.findings.Finding.as_dict` gives them.
    n_examples : how many suspects of each.

    Returns
    -------
    list
        Of dicts with ``name``, ``check``, ``severity``, ``text``, ``without`` (one sentence, or empty) and
        ``examples`` (sentences). All is plain text, to be escaped where it is put in.
    """
    return [
        {
            "name": _NAMES.get(finding["check"], finding["check"]),
            "check": finding["check"],
            "severity": finding["severity"],
            "text": w.plain(finding["text"]),
            "without": _cost(finding.get("without")),
            "examples": [_example(s, finding["check"]) for s in finding["suspects"][:n_examples]],
        }
        for finding in findings
    ]


def print_checks(findings: Sequence[Mapping[str, Any]], *, console: Console, is_whole: bool = False) -> None:
    """Print what the checks found; with `is_whole` also those that found nothing."""
    findings = renamed(findings, short_names(suspect_ids(findings)))
    rows = [row for row in check_rows(findings) if is_whole or row["severity"] == "warning"]
    if not rows:
        return
    console.print()
    for row in rows:
        mark, style = _MARKS[row["severity"]]
        console.print(Text.assemble((f"{mark} ", style), (row["name"], "bold"), ": ", row["text"]))
        if row["without"]:
            console.print(Text(f"    {row['without']}", style="dim"))
        for example in row["examples"] if row["severity"] != "ok" else ():
            console.print(Text(f"    {example}", style="dim"))


def suspect_ids(findings: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the ids of all examples that findings name."""
    return [s[key] for f in findings for s in f["suspects"] for key in ("id", "other") if s.get(key)]


def renamed(findings: Sequence[Mapping[str, Any]], name: Callable[[str], str]) -> list[dict[str, Any]]:
    """Return the findings, their examples called as `name` calls them."""

    def called(suspect: Mapping[str, Any]) -> dict[str, Any]:
        return {k: name(v) if k in ("id", "other") and v else v for k, v in suspect.items()}

    return [{**finding, "suspects": [called(s) for s in finding["suspects"]]} for finding in findings]


def _cost(without: Mapping[str, Any] | None) -> str:
    if not without:
        return ""
    name = w.metric_name(without["metric"])[0]
    return f"{name} {w.percent(without['value'])}; without them {w.percent(without['without'])} ({without['how']})"


def _example(suspect: Mapping[str, Any], check: str) -> str:
    told = w.plain(suspect["id"]) + _quoted(suspect.get("text"))
    if suspect.get("label"):
        told += f", '{w.plain(suspect['label'])}'"
    if suspect.get("suggested"):
        told += f", perhaps '{w.plain(suspect['suggested'])}'"
    if suspect.get("other"):
        told += f", {_BESIDE.get(check, 'copy of')} {w.plain(suspect['other'])}{_quoted(suspect.get('other_text'))}"
    return told


def _quoted(text: str | None) -> str:
    return f" “{w.plain(text)}”" if text else ""
