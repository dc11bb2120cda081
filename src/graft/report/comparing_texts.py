"""Two language models on the same test conversations: paired tests, in the terminal and as one HTML page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from rich.text import Text

from graft.core.errors import DataError
from graft.core.files import write_text
from graft.evaluation.answer_losses import AnswerLosses, compare_losses
from graft.evaluation.comparisons import mcnemar_exact
from graft.evaluation.generations import ScoredTexts, compare_scores, mean_score, share_ended
from graft.report import wording as w
from graft.report.html import environment, style

__all__ = ["KeptAnswers", "TextComparison", "compare_texts", "print_text_comparison", "write_text_comparison"]

_ALPHA = 0.05
_SHOWN = 5  # texts of each that are better
_MOST_TEXT = 1_000
_LONGEST_NAME = 36  # as a column's title


@dataclass(frozen=True)
class KeptAnswers:
    """What a run keeps of its test conversations.

    Parameters
    ----------
    name : of the run.
    scored : what it wrote, with scores.
    losses : of all true answers.
    answers : the true answers, in the order of `losses`.
    metric : by which texts were scored.
    is_share : whether a text is right or wrong by it.
    """

    name: str
    scored: ScoredTexts
    losses: AnswerLosses
    answers: Sequence[str]
    metric: str
    is_share: bool


@dataclass(frozen=True)
class TextComparison:
    """Language model A against language model B.

    Parameters
    ----------
    names : of A and B.
    rows : a figure a row: what it is called, both values with their intervals, the difference A less B with its
        interval and p-value, whether higher is better, and on how many conversations.
    notes : sentences on what is not compared, and why.
    better : texts that A, and that B, has better: prompt, true answer, both texts, both scores.
    """

    names: tuple[str, str]
    rows: tuple[Mapping[str, Any], ...]
    notes: tuple[str, ...]
    better: tuple[tuple[Mapping[str, Any], ...], tuple[Mapping[str, Any], ...]]

    @property
    def sentence(self) -> str:
        """The answer in one sentence, by the first figure."""
        row, (a, b) = self.rows[0], (w.quoted(w.clipped(name, _LONGEST_NAME)) for name in self.names)
        gap = row["difference"]["value"]
        if gap is None:
            return f"{a} and {b} cannot be told apart: {w.plain(row['difference']['method'])}."
        told = f"{row['name']} {_difference(row)}, {w.p_value(row['p_value'])}"
        if row["p_value"] > _ALPHA or not gap:
            return f"No difference shows between {a} and {b}: {told}."
        better, worse = (a, b) if (gap > 0) == row["is_higher_better"] else (b, a)
        return f"{better} is better than {worse}: {told}."


def compare_texts(a: KeptAnswers, b: KeptAnswers, *, seed: int = 0) -> TextComparison:
    """Return paired tests of scores, of the loss and of the share of texts that end, on what both were tested on.

    Raises
    ------
    DataError
        When fewer than half of the test conversations are common, or have other answers.
    """
    names, notes = (a.name, b.name), []
    at_a, at_b = _common(a.scored.texts.ids, b.scored.texts.ids, names=names, noun="questions")
    texts_a, texts_b = a.scored.texts.select(at_a), b.scored.texts.select(at_b)
    _same(texts_a.prompts, texts_b.prompts, names=names, what="questions")
    _same(texts_a.references, texts_b.references, names=names, what="answers")
    rows: list[dict[str, Any]] = []
    scores = a.scored.scores[at_a], b.scored.scores[at_b]
    if a.metric == b.metric:
        is_share = a.is_share and b.is_share
        values = tuple(mean_score(own, is_share=is_share, seed=seed).as_dict() for own in scores)
        test = compare_scores(*scores, metric=a.metric, is_share=is_share, seed=seed).as_dict()
        rows.append(_row(a.metric, values, test, is_share=True))
    else:
        notes.append(f"Scores are not compared: {a.name} was judged by {a.metric}, {b.name} by {b.metric}.")
    rows.append(_loss_row(a, b, names=names, notes=notes, seed=seed))
    ends = tuple(share_ended(texts).as_dict() for texts in (texts_a, texts_b))
    rows.append(_row("Ends by itself", ends, mcnemar_exact(texts_a.ended, texts_b.ended).as_dict(), is_share=True))
    gap = scores[0] - scores[1] if a.metric == b.metric else np.zeros(len(at_a))
    better = tuple(
        tuple(
            {
                "id": texts_a.ids[i],
                "prompt": texts_a.prompts[i],
                "true": texts_a.references[i],
                "texts": (texts_a.texts[i], texts_b.texts[i]),
                "scores": (float(scores[0][i]), float(scores[1][i])),
            }
            for i in np.argsort(-sign * gap, kind="stable")[:_SHOWN].tolist()
            if sign * gap[i] > 0
        )
        for sign in (1, -1)
    )
    return TextComparison(names, tuple(rows), tuple(notes), (better[0], better[1]))


def _loss_row(a: KeptAnswers, b: KeptAnswers, *, names: tuple[str, str], notes: list[str], seed: int) -> dict[str, Any]:
    at_a, at_b = _common(a.losses.ids, b.losses.ids, names=names, noun="conversations")
    _same([a.answers[i] for i in at_a], [b.answers[i] for i in at_b], names=names, what="answers")
    first, second = a.losses.select(at_a), b.losses.select(at_b)
    unit = "token"
    if not np.array_equal(first.n_tokens, second.n_tokens):
        unit, ones = "conversation", np.ones(len(first), np.int64)
        first, second = replace(first, n_tokens=ones), replace(second, n_tokens=ones)
        notes.append("The two have other tokens, or were cut off elsewhere: losses are of whole conversations.")
    change = compare_losses(second, first, seed=seed)
    values = (change.after.as_dict(), change.before.as_dict())
    return _row(f"Loss a {unit}", values, change.change.as_dict(), is_share=False)


def _row(name: str, values: tuple[Any, ...], test: Mapping[str, Any], *, is_share: bool) -> dict[str, Any]:
    return {
        "name": name,
        "values": values,
        "difference": test.get("accuracy_difference") or test["difference"],
        "p_value": test["p_value"],
        "smallest": test["smallest_detectable_difference"],
        "is_share": is_share,
        "is_higher_better": is_share,
        "n": test["n"],
    }


def _common(
    a: Sequence[str], b: Sequence[str], *, names: tuple[str, str], noun: str
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the places of what both have, in the order of `a`."""
    place = {name: i for i, name in enumerate(b)}
    found = np.array([(i, place[name]) for i, name in enumerate(a) if name in place], np.int64).reshape(-1, 2)
    if len(found) < max(1, 0.5 * max(len(a), len(b))):
        raise DataError(
            f"{names[0]} was tested on {len(a)} {noun}, {names[1]} on {len(b)}, and they share {len(found)} of them",
            expected="two runs with the same test split: paired tests need the same conversations",
            fix="fit both with the same --test DATA, or the same data and --seed (Python: test=, seed=)",
        )
    return found[:, 0], found[:, 1]


def _same(a: Sequence[str], b: Sequence[str], *, names: tuple[str, str], what: str) -> None:
    if n := sum(x != y for x, y in zip(a, b, strict=True)):
        raise DataError(
            f"{n} of {len(a)} test conversations have other {what} in {names[1]} than in {names[0]}",
            expected="the same conversations in both",
            fix="fit both on the data as it is now",
        )


def print_text_comparison(found: TextComparison, *, console: Console) -> None:
    """Print the answer and the figures behind it."""
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 3, 0, 0))
    for i, title in enumerate(("figure", *(w.clipped(name, _LONGEST_NAME) for name in found.names), "difference", "p")):
        table.add_column(Text(title), justify="right" if i else "left")
    for row in found.rows:
        table.add_row(
            Text(w.clipped(row["name"], 60)), *(_value(e, row) for e in row["values"]), _difference(row),
            w.p_value(row["p_value"]),
        )  # fmt: skip
    console.print()
    console.print(Text(w.without_marks(found.sentence), style="bold"))
    console.print()
    console.print(table)
    console.print()
    for text in found.notes:
        console.print(Text(w.clipped(text, 400)))


def write_text_comparison(path: Path, found: TextComparison) -> None:
    """Write the comparison as one HTML file without script.

    Raises
    ------
    ResourceError
        When the file cannot be written.
    """
    names = [w.clipped(name, _LONGEST_NAME) for name in found.names]
    rows = [
        {
            "name": w.clipped(row["name"], 60),
            "values": [(_value(e, row), w.interval(e, share=row["is_share"])) for e in row["values"]],
            "difference": _difference(row).partition(" (")[0],
            "interval": _difference(row).partition(" (")[2].rstrip(")"),
            "p": w.p_value(row["p_value"]),
            "n": w.count(row["n"]),
            "is_higher_better": row["is_higher_better"],
        }
        for row in found.rows
    ]
    better = [
        [
            {
                "id": w.clipped(item["id"], 120),
                "prompt": w.clipped(item["prompt"], _MOST_TEXT),
                "true": w.clipped(item["true"], _MOST_TEXT),
                "texts": [
                    (name, w.clipped(text, _MOST_TEXT), w.percent(score))
                    for name, text, score in zip(names, item["texts"], item["scores"], strict=True)
                ],
            }
            for item in items
        ]
        for items in found.better
    ]
    page = environment().get_template("compare_texts.html.j2").render(
        title=f"{names[0]} and {names[1]}",
        sentence=found.sentence,
        names=names,
        rows=rows,
        notes=[w.clipped(note, 400) for note in found.notes],
        better=list(zip(names, better, strict=True)),
        style=style(),
    )  # fmt: skip
    write_text(path, page)


def _value(estimate: Mapping[str, Any], row: Mapping[str, Any]) -> str:
    return w.percent(estimate["value"]) if row["is_share"] else w.decimal(estimate["value"])


def _difference(row: Mapping[str, Any]) -> str:
    """Return the difference with its interval, in points or in nats."""
    gap, scale = row["difference"], 100 if row["is_share"] else 1
    if gap["value"] is None:
        return "–"
    digits = 1 if row["is_share"] else 3
    ends = [gap["value"], *([gap["low"], gap["high"]] if gap["low"] is not None else [])]
    value, *span = (f"{round(scale * end, digits) or 0.0:+.{digits}f}".replace("-", "−") for end in ends)
    unit = " points" if row["is_share"] else ""
    return f"{value}{unit} ({span[0]} to {span[1]})" if span else f"{value}{unit}"
