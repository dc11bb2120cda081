"""Two runs on the same test examples: paired tests, in the terminal and as one HTML page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

from graft.core.errors import DataError
from graft.core.files import write_text
from graft.core.types import Estimate, MultiLabelPredictions, Predictions
from graft.evaluation import metrics, multi_label_metrics
from graft.evaluation.alignment import take, with_targets
from graft.evaluation.comparisons import (
    PairedBootstrap,
    PairedTest,
    mcnemar_exact,
    paired_bootstrap,
    paired_log_loss,
)
from graft.evaluation.imbalance import imbalance_of
from graft.evaluation.intervals import proportion
from graft.report import figures
from graft.report import wording as w
from graft.report.html import environment, style

__all__ = ["Comparison", "compare_predictions", "print_comparison", "write_comparison"]

_ALPHA = 0.05
_MOST_IDS = 30
AnyPredictions = Predictions | MultiLabelPredictions
P = TypeVar("P", Predictions, MultiLabelPredictions)


@dataclass(frozen=True)
class Comparison:
    """Model A against model B on the same test examples.

    Parameters
    ----------
    names : of A and B.
    accuracies : of A and B, with their intervals, as dicts; of label sets the share of exact sets.
    paired : the exact McNemar test.
    headline : the figure that leads, A less B, by a paired bootstrap, where that is not the accuracy: mean average
        precision of label sets, macro-F1 of unequal classes; None elsewhere.
    log_loss : difference of the log-losses, A less B, as a dict: below zero, A is better.
    n_only : test examples that only the run of A, only that of B has.
    differing : ids that only A has right, and that only B has right, 30 at most of each.
    noun : what the examples are called, in the plural.
    texts : the beginnings of examples that are texts, by id; may be empty.
    """

    names: tuple[str, str]
    accuracies: tuple[Mapping[str, Any], Mapping[str, Any]]
    paired: PairedTest
    log_loss: Mapping[str, Any]
    headline: PairedBootstrap | None = field(default=None, kw_only=True)
    n_only: tuple[int, int]
    differing: tuple[tuple[str, ...], tuple[str, ...]]
    noun: str = "examples"
    texts: Mapping[str, str] = field(default_factory=dict)

    @property
    def sentence(self) -> str:
        """The answer in one sentence."""
        a, b = (w.quoted(name) for name in self.names)
        test = self.headline or self.paired
        gap, p = test.difference, w.p_value(test.p_value)
        value = gap.value or 0.0
        figure = "" if self.headline is None else f" of {_called(self.headline)}"
        if test.p_value <= _ALPHA and value != 0:
            better, worse = (a, b) if value > 0 else (b, a)
            return f"{better} is better than {worse}: {w.points(value)} more{figure or ' right answers'} ({p})."
        if not isinstance(gap, Estimate):
            return f"No difference shows between {a} and {b}{figure}."
        span = f"{_signed(gap.low)} to {_signed(gap.high)}"
        smallest = test.smallest_detectable
        seen = f" A test of this size sees differences from about {w.points(smallest)} up." if smallest else ""
        return f"No difference shows between {a} and {b}: {span} points{figure} ({p}).{seen}"


def _called(headline: PairedBootstrap) -> str:
    return w.lowered(w.metric_name(headline.metric)[0])


def compare_predictions(
    a: AnyPredictions, b: AnyPredictions, *, names: tuple[str, str], noun: str = "examples", seed: int = 0
) -> Comparison:
    """Return the paired tests on the test examples that both have.

    Parameters
    ----------
    a, b : predictions of the test split, targets known.
    names : of the two runs.
    seed : of the bootstrap draws.

    Raises
    ------
    DataError
        When the two have other labels, other truths, or fewer than half of their test examples in common.
    """
    first: AnyPredictions
    second: AnyPredictions
    if isinstance(a, MultiLabelPredictions) != isinstance(b, MultiLabelPredictions):
        raise DataError(
            f"of {names[0]} and {names[1]} one gives one class an example, the other any number of labels",
            expected="two runs of one task",
        )
    if isinstance(a, MultiLabelPredictions):
        assert isinstance(b, MultiLabelPredictions)
        first, second = _common(a, b, names=names, noun=noun)
    else:
        assert isinstance(b, Predictions)
        first, second = _common(a, b, names=names, noun=noun)
    rows = range(len(first))
    if not np.array_equal(first.targets, second.targets):
        n = int((np.reshape(first.targets != second.targets, (len(rows), -1)).any(axis=1)).sum())
        raise DataError(
            f"{n} of the {len(rows)} test {noun} have other labels in {names[1]} than in {names[0]}",
            expected="the same truth in both",
            fix="fit both on the data as it is now",
        )
    right_a, right_b = first.is_correct, second.is_correct
    only_a, only_b = np.flatnonzero(right_a & ~right_b), np.flatnonzero(~right_a & right_b)
    return Comparison(
        names=names,
        accuracies=(
            proportion(int(right_a.sum()), len(rows)).as_dict(),
            proportion(int(right_b.sum()), len(rows)).as_dict(),
        ),
        paired=mcnemar_exact(right_a, right_b),
        log_loss=paired_log_loss(first, second, seed=seed).as_dict(),
        headline=_headline(first, second, seed=seed),
        n_only=(_n_known(a) - len(rows), _n_known(b) - len(rows)),
        differing=(
            tuple(first.ids[int(i)] for i in only_a[:_MOST_IDS]),
            tuple(first.ids[int(i)] for i in only_b[:_MOST_IDS]),
        ),
        noun=noun,
    )


def _headline(a: AnyPredictions, b: AnyPredictions, *, seed: int) -> PairedBootstrap | None:
    """Return the paired test of the figure that leads; None where that is the accuracy, which has its own."""
    if isinstance(a, MultiLabelPredictions) and isinstance(b, MultiLabelPredictions):
        name = "mean_average_precision"
        one, two = (draws[name] for draws in multi_label_metrics.draw_figures([a, b], seed=seed))
    elif isinstance(a, Predictions) and isinstance(b, Predictions):
        counts = np.bincount(a.targets, minlength=len(a.label_names))
        name = imbalance_of(counts, a.label_names).headline
        if name == "accuracy":
            return None
        one, two = metrics.draw_macro_f1([a, b], seed=seed)
    else:
        return None
    return paired_bootstrap(one, two, metric=name)


def _n_known(p: AnyPredictions) -> int:
    return int(p.is_known.sum()) if isinstance(p, MultiLabelPredictions) else int((p.targets >= 0).sum())


def _common(a: P, b: P, *, names: tuple[str, str], noun: str) -> tuple[P, P]:
    """Return the predictions of the examples that both have, in one order of examples and labels."""
    if set(a.label_names) != set(b.label_names):
        raise DataError(
            f"{names[0]} and {names[1]} have other labels: {_labels(a)} and {_labels(b)}",
            expected="two runs on the same labels",
        )
    known_a, known_b = with_targets(a), with_targets(b)
    place = {example: i for i, example in enumerate(known_b.ids)}
    rows = [i for i, example in enumerate(known_a.ids) if example in place]
    if not rows or len(rows) < 0.5 * max(len(known_a), len(known_b)):
        raise DataError(
            f"{names[0]} was tested on {len(known_a)} {noun}, {names[1]} on {len(known_b)}, and they share {len(rows)}"
            " of them",
            expected="two runs with the same test split: paired tests need the same examples",
            fix="fit both with the same --test DATA, or the same data and --seed (Python: test=, seed=)",
        )
    others = take(known_b, np.array([place[known_a.ids[i]] for i in rows]))
    return take(known_a, np.array(rows)), _in_label_order(others, a.label_names)


def _labels(p: AnyPredictions) -> str:
    shown = ", ".join(w.clipped(name, 30) for name in p.label_names[:5])
    return f"{shown}, ... ({len(p.label_names)})" if len(p.label_names) > 5 else shown


def _in_label_order(p: P, label_names: tuple[str, ...]) -> P:
    """Return the predictions with their labels in another order."""
    order = np.array([p.label_names.index(name) for name in label_names])
    if isinstance(p, MultiLabelPredictions):
        return replace(
            p,
            targets=p.targets[:, order],
            logits=p.logits[:, order],
            label_names=label_names,
            thresholds=p.thresholds[order],
        )
    offset = None if p.decision_offset is None else p.decision_offset[order]
    targets = np.argsort(order)[p.targets]
    return replace(p, targets=targets, logits=p.logits[:, order], label_names=label_names, decision_offset=offset)


def print_comparison(found: Comparison, *, console: Console) -> None:
    """Print the answer and the figures behind it."""
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 3, 0, 0))
    for name in ("run", "right answers", "95 % interval", "only it has right"):
        table.add_column(name, justify="left" if name == "run" else "right")
    for i, only in enumerate((found.paired.only_a, found.paired.only_b)):
        e = found.accuracies[i]
        table.add_row(Text(w.clipped(found.names[i], 60)), w.percent(e["value"]), w.interval(e), w.count(only))
    console.print()
    console.print(Text(w.without_marks(found.sentence), style="bold"))
    console.print()
    console.print(table)
    console.print()
    for text in _sentences(found):
        console.print(Text(w.without_marks(text)))


def write_comparison(path: Path, found: Comparison) -> None:
    """Write the comparison as one HTML file without script.

    Raises
    ------
    ResourceError
        When the file cannot be written.
    """
    axis = figures.share_axis(found.accuracies)
    rows = figures.dot_rows([(w.clipped(n, 80), e) for n, e in zip(found.names, found.accuracies, strict=True)], axis)
    for row, only in zip(rows, (found.paired.only_a, found.paired.only_b), strict=True):
        row["only"] = w.count(only)
    page = environment().get_template("compare.html.j2").render(
        title=f"{w.clipped(found.names[0], 80)} and {w.clipped(found.names[1], 80)}",
        sentence=found.sentence,
        axis=axis,
        rows=rows,
        sentences=_sentences(found),
        differing=[
            (w.clipped(name, 80), [_shown(found, i) for i in ids])
            for name, ids in zip(found.names, found.differing, strict=True)
        ],
        n=w.count(found.paired.n),
        noun=found.noun,
        style=style(),
    )  # fmt: skip
    write_text(path, page)


def _shown(found: Comparison, example: str) -> str:
    text = found.texts.get(example, "")
    return w.clipped(example, 120) + (f" “{w.plain(text)}”" if text else "")


def _sentences(found: Comparison) -> list[str]:
    paired, loss, told = found.paired, found.log_loss, []
    if found.headline is not None:
        gap = found.headline.difference
        span = f" ({_signed(gap.low)} to {_signed(gap.high)})" if isinstance(gap, Estimate) else ""
        name = w.metric_name(found.headline.metric)[0]
        told.append(
            f"{name}: {_signed(gap.value or 0.0)} points{span}, paired bootstrap, {w.p_value(found.headline.p_value)}."
        )
    told += [
        f"Right answers: {_signed(paired.difference.value)} points ({_signed(paired.difference.low)} to"
        f" {_signed(paired.difference.high)}), exact McNemar test on {w.count(paired.n)} common test {found.noun},"
        f" {w.p_value(paired.p_value)}."
    ]
    if loss["value"] is not None and loss["low"] is not None:
        is_clear = loss["low"] > 0 or loss["high"] < 0
        better = found.names[0] if loss["value"] < 0 else found.names[1]
        verdict = f"lower for {w.quoted(better)}" if is_clear else "no clear difference"
        told.append(f"Log-loss: {w.decimal(loss['value'])} ({w.interval(loss, share=False)}), paired; {verdict}.")
    else:
        told.append(f"Log-loss: not compared ({w.plain(loss['method'])}).")
    if any(found.n_only):
        told.append(
            f"Left out, for only one of the two was tested on them: {w.count(found.n_only[0])} and"
            f" {w.count(found.n_only[1])} {found.noun}."
        )
    return told


def _signed(value: float) -> str:
    return f"{100 * value:+.1f}".replace("-", "−") if abs(value) >= 0.0005 else "0.0"
