"""The report of a recogniser: error rates, what they rest on, and the worst utterances to hear and to read."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from graft.core.files import write_text
from graft.core.text import counted, percent
from graft.evaluation.claims import ALPHA
from graft.evaluation.speech import FEWEST_CLUSTERS, Transcripts
from graft.evaluation.word_errors import Edit, align, word_errors
from graft.report import wording as w
from graft.report.html import environment, style

__all__ = [
    "aligned_words",
    "print_error_rates",
    "print_speech",
    "speech_sentences",
    "worst_rows",
    "worst_utterances",
    "write_speech_report",
]

_SHOWN = 20
_SHOWN_WORDS = 120
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
        fewest=FEWEST_CLUSTERS,
        history=list(metrics["strategy"].get("history") or [])[:60],
        best_step=metrics["strategy"].get("best_step") if metrics["strategy"].get("kept") != "untouched" else None,
        corrupted=_corrupted(metrics.get("corruptions") or {}),
        worst=worst_utterances(transcripts, sound),
        suspects=[
            {**one, **{key: w.clipped(one[key], 200) for key in ("id", "said", "heard")}}
            for one in metrics.get("suspects", ())
        ],
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
        f"{_percent(test['wer'])} of words are wrong on {counted(test['n_utterances'], 'utterance')} of"
        f" {counted(test['n_clusters'], test['clusters'])} that training did not hear; of characters"
        f" {_percent(test['cer'], is_brief=True)}."
    ]
    if zero := metrics["baselines"].get("zero-shot"):
        found.append(_beside_untouched(zero, test, strategy))
    else:
        found.append("The untouched checkpoint could not be judged: its head for these letters is new.")
    found.append(f"{strategy['why'][:1].upper()}{strategy['why'][1:]}.")
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
            + "; by the best letter of each frame, as transformers.pipeline decodes,"
            + f" {_percent(greedy['wer'], is_brief=True)} of words are wrong."
        )
    if told := strategy.get("loss_against_words"):
        found.append(told)
    if more := metrics.get("more_data"):
        found.append(f"{more['question']} {more['sentence']}")
    return found


def _beside_untouched(zero: Mapping[str, Any], test: Mapping[str, Any], strategy: Mapping[str, Any]) -> str:
    """Return what the untouched checkpoint makes of the same utterances, and whether the kept network is better."""
    rate = _percent(zero["wer"], is_brief=True)
    if strategy.get("kept") == "untouched":
        return "This is the untouched checkpoint, as fine-tuning did not help."
    told = f"The untouched checkpoint, decoded alike: {rate} of words wrong on the same utterances"
    paired = zero.get("paired")
    if paired is None:
        return f"{told}."
    p_value = w.p_value(paired["p_value"])
    if test["wer"]["value"] == zero["wer"]["value"]:
        return f"{told}: as many."
    if paired["p_value"] > ALPHA:
        return f"{told}: chance alone may make such a difference ({p_value})."
    if test["wer"]["value"] < zero["wer"]["value"]:
        return f"{told}: fine-tuning paid, on further utterances of these speakers too ({p_value})."
    return f"{told}: fine-tuning made it worse ({p_value}), which valid did not show."


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
                "edits": aligned_words(transcripts.said[i], transcripts.heard[i]),
                "sound": base64.b64encode(wav).decode() if wav and left > 0 else "",
            }
        )
    return found


def aligned_words(said: str, heard: str) -> list[Edit]:
    """Return the first words of an utterance as said and as heard, without signs that would move those around them."""
    edits = align(said.split(), heard.split())[:_SHOWN_WORDS]
    return [Edit(edit.kind, w.clipped(edit.said, 80), w.clipped(edit.heard, 80)) for edit in edits]


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
        f"rests on {counted(figures['n_utterances'], 'utterance')} of"
        f" {counted(figures['n_clusters'], figures['clusters'])};"
        f" {metrics['decoding']} decoding; compared: {metrics['compared']}",
    ):
        console.print(line, markup=False, highlight=False, emoji=False)


def _figure_rows(metrics: Mapping[str, Any]) -> list[dict[str, str]]:
    named = {"this model, test": metrics["test"], "this model, valid": metrics["held_out"].get("valid")}
    named |= {f"{name}, test": figures for name, figures in metrics["baselines"].items()}
    return [
        {
            "name": name,
            "wer": _percent(figures["wer"], is_brief=True),
            "cer": _percent(figures["cer"], is_brief=True),
            "exact": percent(figures["exact_utterances"]),
            "rests_on": f"{counted(figures['n_utterances'], 'utterance')} of"
            f" {counted(figures['n_clusters'], figures['clusters'])}",
        }
        for name, figures in named.items()
        if figures
    ]


def _corrupted(corruptions: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return how many utterances were made worse, their words wrong as they are, and a row a corruption."""
    if not corruptions:
        return None

    def cell(by: Mapping[str, Any], level: str) -> str:
        return _percent(by[level]["wer"], is_brief=True) if level in by else "no time"

    levels = [str(severity) for severity in corruptions["severities"]]
    return {
        "n": corruptions["n"],
        "plain": _percent(corruptions["plain"]["wer"], is_brief=True),
        "rows": [
            {"name": w.clipped(name, 80), "cells": [cell(by, level) for level in levels]}
            for name, by in corruptions["by"].items()
        ],
    }


def _percent(figure: Mapping[str, Any], *, is_brief: bool = False) -> str:
    """Return a rate with its interval, or why it has none; `is_brief`: that was said before."""
    if figure["value"] is None:
        return str(figure["method"])
    if figure["low"] is None and is_brief:
        return percent(figure["value"])
    if figure["low"] is None:
        return f"{percent(figure['value'])} ({figure['method'].partition(': ')[2]})"
    return f"{percent(figure['value'])} ({percent(figure['low'])} to {percent(figure['high'])})"
