"""Sentences on single classes and labels: how unequal they are, and which is recognised worst."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from graft.report import wording as w
from graft.report.leading import is_multi_label

__all__ = ["unequal_classes", "weakest_point"]

_NO_MISTAKE = "No mistake on this split."


def unequal_classes(metrics: Mapping[str, Any], *, noun: str = "examples") -> str | None:
    """Return that classes are unequal, and how the decision takes account of it; None where they are not.

    Parameters
    ----------
    metrics : with ``"imbalance"`` and, where the decision has an offset, ``"decision"``.
    noun : what the examples are called.
    """
    found = metrics.get("imbalance") or {}
    if not found.get("is_imbalanced"):
        return None
    largest, smallest = found["largest"], found["smallest"]
    text = (
        f"The classes are unequal: {w.count(largest['n'])} training {noun} of {w.quoted(largest['label'])},"
        f" {w.count(smallest['n'])} of {w.quoted(smallest['label'])} ({found['ratio']:.3g} to 1). The"
        f" {found['n_classes']} are as hard to guess as {found['n_effective']:.1f} of equal size, so macro F1 leads."
    )
    decision = metrics.get("decision") or {}
    if decision.get("strength"):
        text += (
            f" The class is decided on with {100 * decision['strength']:.0f}{w.THIN}% of the classes' log-frequencies"
            " taken off; the probabilities are left as they are."
        )
    elif not decision:
        text += " With class-weights auto the decision does more for the rare ones."
    return text


def weakest_point(metrics: Mapping[str, Any], *, noun: str = "examples") -> str | None:
    """Return which class or label is recognised worst, and what it is taken for; None where that is not known."""
    return _weakest_label(metrics, noun) if is_multi_label(metrics) else _weakest_class(metrics)


def _weakest_class(metrics: Mapping[str, Any]) -> str | None:
    confusion = metrics.get("confusion")
    if not confusion:
        return None
    labels, counts = confusion["labels"], confusion["counts"]
    pairs = [(row[j], i, j) for i, row in enumerate(counts) for j in range(len(labels)) if i != j and row[j] > 0]
    if not pairs:
        return _NO_MISTAKE
    known = [(r["value"], -r["n"], i) for i, r in enumerate(confusion.get("recall", ())) if r["value"] is not None]
    text = ""
    if known:
        value, _, i = min(known)
        text = f"{w.quoted(labels[i])} is recognised least often ({w.percent(value)} of {-min(known)[1]}). "
    times, i, j = max(pairs, key=lambda pair: pair[0])
    if len(labels) > 2:
        text += f"Most often {w.quoted(labels[i])} is taken for {w.quoted(labels[j])} ({times}×)."
    return text.strip()


def _weakest_label(metrics: Mapping[str, Any], noun: str) -> str | None:
    labels = metrics["labels"]
    known = [(f1["value"], -n, i) for i, (f1, n) in enumerate(zip(labels["f1"], labels["counts"], strict=True))
             if n > 0 and f1["value"] is not None]  # fmt: skip
    if not known:
        return None
    value, n, i = min(known)
    if value == 1:
        return _NO_MISTAKE
    recall, precision = labels["recall"][i]["value"], labels["precision"][i]["value"]
    text = (
        f"{w.quoted(labels['names'][i])} is recognised least well: F1 {w.percent(value)},"
        f" {w.percent(recall)} of the {w.count(-n)} {noun} that have it were found"
    )
    if precision is not None:
        text += f", and {w.percent(precision)} of those it was given to have it"
    return text + "."
