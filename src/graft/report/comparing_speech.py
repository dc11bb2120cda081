"""Two recognisers on the same utterances: the difference of their error rates, in the terminal and as a page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

from graft.core.errors import DataError
from graft.core.files import write_text
from graft.core.text import counted
from graft.evaluation.speech import Transcripts, compare_transcripts, evaluate_speech
from graft.evaluation.word_errors import word_errors
from graft.report import wording as w
from graft.report.html import environment, style
from graft.report.speech import aligned_words

__all__ = ["SpeechComparison", "compare_recognisers", "print_speech_comparison", "write_speech_comparison"]

_MOST_SHOWN = 20


@dataclass(frozen=True)
class SpeechComparison:
    """Recogniser A against recogniser B on the same test utterances.

    Parameters
    ----------
    names : of A and B.
    figures : of A and B, as ``metrics.json`` has them.
    difference : word error rate of A less that of B, as a dict: below zero, A is better.
    n_better : utterances in which A, in which B has fewer errors.
    n_only : test utterances that only the run of A, only that of B has.
    differing : where they differ most: id, errors of A and B, and both aligned with what was said.
    """

    names: tuple[str, str]
    figures: tuple[Mapping[str, Any], Mapping[str, Any]]
    difference: Mapping[str, Any]
    n_better: tuple[int, int]
    n_only: tuple[int, int]
    differing: tuple[Mapping[str, Any], ...]

    @property
    def sentence(self) -> str:
        """The answer in one sentence."""
        a, b = (w.quoted(name) for name in self.names)
        gap = self.difference
        if gap["low"] is None:
            rates = " and ".join(w.percent(figures["wer"]["value"]) for figures in self.figures)
            why = gap["method"].removeprefix("no interval: ")
            return f"{a} and {b} have {rates} of words wrong; an interval for the difference is {why}."
        span = f"{_points(gap['low'])} to {_points(gap['high'])} points"
        if gap["low"] <= 0 <= gap["high"]:
            return f"No difference shows between {a} and {b}: {span} of words wrong."
        better, worse = (a, b) if gap["value"] < 0 else (b, a)
        return f"{better} is better than {worse}: {w.points(abs(gap['value']))} fewer words wrong ({span})."

    @property
    def sentences(self) -> list[str]:
        """What the answer rests on."""
        figures = self.figures[0]
        told = [
            f"{counted(figures['n_utterances'], 'test utterance')} of"
            f" {counted(figures['n_clusters'], figures['clusters'])}; the draws of {figures['clusters']}s are the same"
            " for both.",
            f"Fewer errors: {w.quoted(self.names[0])} in {w.count(self.n_better[0])} utterances,"
            f" {w.quoted(self.names[1])} in {w.count(self.n_better[1])}.",
        ]
        if any(self.n_only):
            told.append(
                f"Left out, for only one of the two was tested on them: {w.count(self.n_only[0])} and"
                f" {w.count(self.n_only[1])} utterances."
            )
        return told


def compare_recognisers(a: Transcripts, b: Transcripts, *, names: tuple[str, str], seed: int = 0) -> SpeechComparison:
    """Return how two recognisers differ on the utterances that both have heard.

    Raises
    ------
    DataError
        When fewer than half of the utterances are common, or their texts differ.
    """
    place = {name: i for i, name in enumerate(b.ids)}
    rows = [i for i, name in enumerate(a.ids) if name in place]
    if not rows or len(rows) < 0.5 * max(len(a), len(b)):
        raise DataError(
            f"{names[0]} was tested on {len(a)} utterances, {names[1]} on {len(b)}, and they share {len(rows)} of them",
            expected="two runs with the same test split: paired tests need the same examples",
            fix="fit both with the same --test DATA, or the same data and --seed (Python: test=, seed=)",
        )
    first, second = _taken(a, rows), _taken(b, [place[a.ids[i]] for i in rows])
    if n := sum(x != y for x, y in zip(first.said, second.said, strict=True)):
        raise DataError(
            f"{n} of the {len(rows)} test utterances have other texts in {names[1]} than in {names[0]}",
            expected="the same transcripts in both",
            fix="fit both on the data as it is now",
        )
    second = Transcripts(second.ids, second.said, second.heard, first.clusters, first.cluster_name)
    errors = [
        [word_errors(said, heard).errors for said, heard in zip(one.said, one.heard, strict=True)]
        for one in (first, second)
    ]
    gaps = np.array(errors[0]) - np.array(errors[1])
    order = [int(i) for i in np.argsort(-np.abs(gaps), kind="stable")[:_MOST_SHOWN] if gaps[i]]
    gap = compare_transcripts(first, second, seed=seed)
    return SpeechComparison(
        names=names,
        figures=(evaluate_speech(first, seed=seed).as_dict(), evaluate_speech(second, seed=seed).as_dict()),
        difference={"value": gap.value, "low": gap.low, "high": gap.high, "n": gap.n, "method": gap.method},
        n_better=(int((gaps < 0).sum()), int((gaps > 0).sum())),
        n_only=(len(a) - len(rows), len(b) - len(rows)),
        differing=tuple(
            {
                "id": w.clipped(first.ids[i], 120),
                "errors": (errors[0][i], errors[1][i]),
                "edits": [aligned_words(one.said[i], one.heard[i]) for one in (first, second)],
            }
            for i in order
        ),
    )


def print_speech_comparison(found: SpeechComparison, *, console: Console) -> None:
    """Print the answer and the figures behind it."""
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 3, 0, 0))
    for name in ("run", "words wrong", "95 % interval", "characters wrong"):
        table.add_column(name, justify="left" if name == "run" else "right")
    for name, wer, span, cer in _rows(found):
        table.add_row(Text(name), wer, span, cer)
    console.print()
    console.print(Text(w.without_marks(found.sentence), style="bold"))
    console.print()
    console.print(table)
    console.print()
    for text in found.sentences:
        console.print(Text(w.without_marks(text)))


def write_speech_comparison(path: Path, found: SpeechComparison) -> None:
    """Write the comparison as one HTML file without script.

    Raises
    ------
    ResourceError
        When the file cannot be written.
    """
    page = environment().get_template("compare_speech.html.j2").render(
        title=f"{w.clipped(found.names[0], 80)} and {w.clipped(found.names[1], 80)}",
        names=[w.clipped(name, 80) for name in found.names],
        sentence=found.sentence,
        sentences=found.sentences,
        rows=_rows(found),
        differing=found.differing,
        style=style(),
    )  # fmt: skip
    write_text(path, page)


def _rows(found: SpeechComparison) -> list[tuple[str, str, str, str]]:
    return [
        (
            w.clipped(name, 60),
            w.percent(figures["wer"]["value"]),
            w.interval(figures["wer"]),
            w.percent(figures["cer"]["value"]),
        )
        for name, figures in zip(found.names, found.figures, strict=True)
    ]


def _taken(transcripts: Transcripts, rows: list[int]) -> Transcripts:
    return Transcripts(
        tuple(transcripts.ids[i] for i in rows),
        tuple(transcripts.said[i] for i in rows),
        tuple(transcripts.heard[i] for i in rows),
        transcripts.clusters[rows],
        transcripts.cluster_name,
    )


def _points(value: float) -> str:
    return f"{100 * value:+.1f}".replace("-", "−") if abs(value) >= 0.0005 else "0.0"
