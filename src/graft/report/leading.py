"""Which figure leads, and what a baseline is tested by: accuracy, macro-F1 or mean average precision."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from graft.report import wording as w

__all__ = ["Lead", "headline_of", "is_multi_label", "lead_of", "leading_figure", "split_of"]


class Lead(NamedTuple):
    """The model's lead over a baseline in the figure that leads.

    Parameters
    ----------
    metric : name of the figure.
    difference : the model's less the baseline's, as an estimate.
    p_value : of the paired test, adjusted for the number of baselines where that is known.
    smallest : the smallest difference that the test would find; None where that is not known.
    """

    metric: str
    difference: Mapping[str, Any]
    p_value: float
    smallest: float | None


def split_of(metrics: Mapping[str, Any]) -> str:
    """Return the name of the split that `metrics` judges: the first key that holds an accuracy or exact matches."""
    for key, value in metrics.items():
        if key != "baselines" and isinstance(value, Mapping) and ("accuracy" in value or "exact_match" in value):
            return key
    return "test"


def headline_of(metrics: Mapping[str, Any]) -> str:
    """Return the name of the figure that leads; the accuracy where nothing else is said.

    Examples
    --------
    >>> headline_of({"headline": "macro_f1"}), headline_of({})
    ('macro_f1', 'accuracy')
    """
    return str(metrics.get("headline") or "accuracy")


def leading_figure(metrics: Mapping[str, Any]) -> tuple[Mapping[str, Any] | None, str]:
    """Return the figure that leads, with the interval that holds for new groups where that is known; and for whom.

    Groups are speakers or patients none of whom stands in train. Where they are too few for such an interval, or
    another figure than the accuracy leads, its own interval is given, which holds for these groups alone.

    Returns
    -------
    tuple
        The figure, None where it is not known; and words such as "for a new speaker", empty where there are no groups.
    """
    figure = metrics.get(split_of(metrics), {}).get(headline_of(metrics))
    groups = metrics.get("groups") or {}
    test = groups.get("test")
    if not figure or figure.get("value") is None or not test or not test.get("n_groups"):
        return figure, ""
    column, over, n = w.clipped(groups.get("column", "group"), 40), test.get("over_groups") or {}, test["n_groups"]
    if headline_of(metrics) == "accuracy" and over.get("low") is not None:
        return {**figure, "low": over["low"], "high": over["high"], "level": over.get("level", 0.95)}, (
            f"for a new {column}"
        )
    return figure, f"for this {column} alone" if n == 1 else f"for these {w.count(n)} {column}s alone"


def is_multi_label(metrics: Mapping[str, Any]) -> bool:
    """Return whether the figures are of examples with any number of labels."""
    return "labels" in metrics


def lead_of(baseline: Mapping[str, Any]) -> Lead | None:
    """Return the lead over a baseline, or None where the two were not compared."""
    paired = baseline.get("paired")
    if not paired:
        return None
    return Lead(
        paired.get("metric", "accuracy"),
        paired.get("difference") or paired["accuracy_difference"],
        paired.get("adjusted_p_value", paired["p_value"]),
        paired.get("smallest_detectable_difference"),
    )
