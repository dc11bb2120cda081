"""What a split that ignores groups (speakers, patients) would show, beside one that keeps each on one side."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graft.api.config import FitConfig
from graft.api.embedding import Embedded
from graft.api.pooling import present_targets
from graft.core.decision import Decision
from graft.core.seeds import generator
from graft.data.splitting import feasible_folds
from graft.evaluation.intervals import wilson
from graft.methods.head_only import HeadFit, HeadOnly

__all__ = ["compare_grouping"]

_MOST_ROWS = 2_000
_PENALTIES = 6


def compare_grouping(
    embedded: Embedded, head: HeadFit, config: FitConfig, *, say: Callable[[str], None]
) -> dict[str, Any] | None:
    """Return out-of-fold accuracies of the head with folds that keep groups together and with folds that do not.

    Both are computed from the cached features in the same way, on 2,000 training examples at most. Where an example may
    have several labels, accuracy is the share of those that are given exactly their own.

    Returns
    -------
    dict or None
        ``column``, ``is_used`` (whether the user named it), ``n_groups``, ``by_group`` and ``ignoring`` (accuracies
        with intervals), ``text`` (one sentence). None where there are no groups, or fewer than two.
    """
    train = embedded.splits["train"]
    groups = train.groups if train.groups is not None else train.suspected_groups
    rows = np.arange(len(train))
    if len(rows) > _MOST_ROWS:
        rows = np.sort(generator(config.seed, "grouping").permutation(rows)[:_MOST_ROWS])
    targets = present_targets(train.labels[rows])
    n_classes = targets.shape[1] if train.is_multi_label else int(targets.max()) + 1
    if groups is None or n_classes < (1 if train.is_multi_label else 2) or len(np.unique(groups[rows])) < 2:
        return None
    matrix = embedded.features["train"].matrix[rows]
    method = HeadOnly(n_folds=config.folds, scalings=(head.scaling,), n_penalties=_PENALTIES, tolerance=1e-3)
    found: dict[str, Any] = {}
    for name, own in (("by_group", groups[rows]), ("ignoring", None)):
        fit = method.fit(matrix, targets, n_classes=n_classes, groups=own, seed=config.seed)
        found[name] = wilson(_n_right(fit, targets), len(targets))
    column, is_used, n_groups = train.group_column, train.groups is not None, len(np.unique(groups[rows]))
    by, ignoring = found["by_group"], found["ignoring"]
    measure = "share of exact label sets" if train.is_multi_label else "accuracy"
    shown = (
        f"out-of-fold {measure} of the head is {_percent(by)} when no {column} stands on both sides, and"
        f" {_percent(ignoring)} when that is ignored ({len(targets):,} {embedded.noun}s of {n_groups}"
        f" {column}{'' if n_groups == 1 else 's'}, {feasible_folds(targets, config.folds, groups=groups[rows])} folds)"
    )
    if by.high >= ignoring.low:
        told = f"groups: {shown}: no sign that it matters"
    elif is_used:
        told = f"groups: {shown}: a split that ignores the {column} flatters by {_points(by, ignoring)} points"
    else:
        told = (
            f"groups are ignored: {shown}. The figures of this report flatter for a new {column};"
            f" --group-column {column} (Python: group_column='{column}') gives honest ones"
        )
    say(told)
    facts = {name: estimate.as_dict() for name, estimate in found.items()}
    return {"column": column, "is_used": is_used, "n_groups": n_groups, **facts, "text": told}


def _n_right(fit: HeadFit, targets: NDArray[np.integer[Any]]) -> int:
    """Return how many examples were given their class, or exactly their labels, by the model of the other folds."""
    if fit.thresholds is None:
        return int((fit.out_of_fold_logits.argmax(axis=1) == targets).sum())
    said = Decision(thresholds=fit.thresholds).probabilities(fit.out_of_fold_logits) >= fit.thresholds
    return int((said == (targets == 1)).all(axis=1).sum())


def _percent(estimate: Any) -> str:
    return f"{estimate.value:.1%} ({estimate.low:.1%} to {estimate.high:.1%})"


def _points(low: Any, high: Any) -> str:
    return f"{100 * (high.value - low.value):.0f}"
