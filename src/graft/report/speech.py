"""The report of a recogniser: error rates, what they rest on, and the worst utterances to hear and to read."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from graft.core.files import write_text
from graft.core.text import percent
from graft.evaluation.speech import Transcripts
from graft.evaluation.word_errors import align, word_errors
from graft.report import wording as w
from graft.report.html import environment, style

__all__ = [
    "print_error_rates",
    "print_speech",
    "speech_sentences",
    "worst_rows",
    "worst_utterances",
    "write_speech_report",
]

_SHOWN = 20
_MOST_SOUND_BYTES = 2_000_000


def write_speech_report(
    path: Path,
    *,
    metrics: Mapping[str, Any],
    manifest: Mapping[str, Any],
    transcripts: Transcripts,
    sound: Callable[[int], bytes],
) -> None:
    """Write the report of a recogniser as one HTML file that needs neither network nor script.

    Parameters
    ----------
    metrics, manifest : of the run.
    transcripts : of the judged split.
    sound : gives a short WAV of one of its utterances.

    Raises
    ------
    ResourceError
        When the file cannot be written.
    """
    page = environment().get_template("speech.html.j2").render(
        title=w.clipped(manifest.get("title", "A run"), 200),
        sentences=speech_sentences(metrics),
        rows=_figure_rows(metrics),
        words=metrics["test"]["words"],
        history=list(metrics["strategy"].get("history") or [])[:60],
        best_step=metrics["strategy"].get("best_step"),
        corrupted=_corrupted_rows(metrics.get("corruptions") or {}),
        n_corrupted=(metrics.get("corruptions") or {}).get("n"),
        plain_corrupted=_percent(metrics["corruptions"]["plain"]["wer"]) if metrics.get("corruptions") else "",
        worst=worst_utterances(transcripts, sound),
        suspects=metrics.get("suspects", []),
        sizes=(metrics.get("more_data") or {}).get("evidence", {}).get("observed", []),
        compared=metrics["compared"],
        splits=manifest["splits"],
        notes=[w.clipped(note, 600) for note in manifest.get("notes") or ()],
        command=w.clipped(manifest.get("command", ""), 600),
        style=style(),
    )  # fmt: skip
    write_text(path, page)


def speech_sentences(metrics: Mapping[str, Any]) -> list[str]:
    """Return what the run came to, in sentences."""
    test, strategy = metrics["test"], metrics["strategy"]
    found = [
        f"{_percent(test['wer'])} of words are wrong on {test['n_utterances']} utterances of {test['n_clusters']}"
        f" {test['clusters']}s that training did not hear; of characters {_percent(test['cer'])}."
    ]
    if zero := metrics["baselines"].get("zero-shot"):
        found.append(f"The untouched checkpoint: {_percent(zero['wer'])} of words wrong on the same utterances.")
    else:
        found.append("The untouched checkpoint could not be judged: its head for these letters is new.")
    found.append(f"Kept: {strategy['why']}.")
    if chosen := metrics.get("decoding"):
        greedy = metrics["baselines"]["greedy decoding"]
        found.append(
            f"Decoded by a beam of {chosen['width']}"
            + (
                f" with a language model of {chosen['n_words']} words, whose weight ({chosen['weight']:g}) and bonus a"
                f" word ({chosen['bonus']:g}) were chosen on {chosen['chosen_on']} held-out utterances"
                if chosen["n_words"]
                else ""
            )
            + f"; by the best letter of each frame {_percent(greedy['wer'])} of words are wrong."
        )
    if told := strategy.get("loss_against_words"):
        found.append(told)
    if more := metrics.get("more_data"):
        found.append(f"{more['question']} {more['sentence']}")
    return found


def worst_rows(transcripts: Transcripts) -> list[int]:
    """Return the utterances that a report shows: those with the most errors, the worst first."""
    counts = [word_errors(s, h) for s, h in zip(transcripts.said, transcripts.heard, strict=True)]
    order = sorted(range(len(counts)), key=lambda i: (-counts[i].errors, -counts[i].rate))
    return [i for i in order[:_SHOWN] if counts[i].errors]


def worst_utterances(transcripts: Transcripts, sound: Callable[[int], bytes]) -> list[dict[str, Any]]:
    """Return the utterances with the most errors: id, rate, aligned words, and sound until its bytes are spent."""
    found, left = [], _MOST_SOUND_BYTES
    for i in worst_rows(transcripts):
        wav = sound(i) if left > 0 else b""
        left -= len(wav)
        count = word_errors(transcripts.said[i], transcripts.heard[i])
        found.append(
            {
                "id": w.clipped(transcripts.ids[i], 120),
                "errors": count.errors,
                "n": count.n,
                "edits": align(transcripts.said[i].split(), transcripts.heard[i].split())[:120],
                "sound": base64.b64encode(wav).decode() if wav and left > 0 else "",
            }
        )
    return found


def print_speech(metrics: Mapping[str, Any], *, console: Console) -> None:
    """Print the sentences of the report."""
    console.print()
    for sentence in speech_sentences(metrics):
        console.print(sentence, markup=False, highlight=False, emoji=False)
    console.print()


def print_error_rates(metrics: Mapping[str, Any], *, console: Console) -> None:
    """Print the error rates of one split, what they rest on, and the kinds of error."""
    figures = next(value for value in metrics.values() if isinstance(value, dict) and "wer" in value)
    words = figures["words"]
    for line in (
        f"words wrong: {_percent(figures['wer'])}; characters wrong: {_percent(figures['cer'])}",
        f"of {words['n']} words {words['substituted']} heard as others, {words['deleted']} missed,"
        f" {words['inserted']} heard that nobody said; {percent(figures['exact_utterances'])} of the utterances without"
        " an error",
        f"rests on {figures['n_utterances']} utterances of {figures['n_clusters']} {figures['clusters']}s;"
        f" {metrics['decoding']} decoding; compared: {metrics['compared']}",
    ):
        console.print(line, markup=False, highlight=False, emoji=False)


def _figure_rows(metrics: Mapping[str, Any]) -> list[dict[str, str]]:
    named = {"this model, test": metrics["test"], "this model, valid": metrics["held_out"].get("valid")}
    named |= {f"{name}, test": figures for name, figures in metrics["baselines"].items()}
    return [
        {
            "name": name,
            "wer": _percent(figures["wer"]),
            "cer": _percent(figures["cer"]),
            "exact": percent(figures["exact_utterances"]),
            "rests_on": f"{figures['n_utterances']} utterances of {figures['n_clusters']} {figures['clusters']}s",
        }
        for name, figures in named.items()
        if figures
    ]


def _corrupted_rows(corruptions: Mapping[str, Any]) -> list[dict[str, Any]]:
    levels = [str(severity) for severity in corruptions.get("severities", ())]
    return [
        {"name": name, "cells": [_percent(by[level]["wer"]) if level in by else "no time" for level in levels]}
        for name, by in corruptions.get("by", {}).items()
    ]


def _percent(figure: Mapping[str, Any]) -> str:
    if figure["value"] is None:
        return str(figure["method"])
    if figure["low"] is None:
        return f"{percent(figure['value'])} ({figure['method'].partition(': ')[2]})"
    return f"{percent(figure['value'])} ({percent(figure['low'])} to {percent(figure['high'])})"
