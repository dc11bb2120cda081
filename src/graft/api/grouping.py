"""What a split that ignores groups (speakers, patients) would show, beside one that keeps each on one side."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from graft.api.config import FitConfig
from graft.api.embedding import Embedded
from graft.core.decision import AnyPredictions
from graft.core.seeds import generator
from graft.core.text import counted, percent
from graft.core.types import MultiLabelPredictions
from graft.data.splitting import feasible_folds
from graft.evaluation.clusters import share_difference_over_groups, share_over_groups
from graft.evaluation.intervals import wilson
from graft.methods.head_only import HeadFit, HeadOnly

__all__ = ["compare_grouping", "judge_by_group"]

_MOST_ROWS = 2_000
_PENALTIES = 6


def compare_grouping(
    embedded: Embedded, head: HeadFit, config: FitConfig, *, say: Callable[[str], None]
) -> dict[str, Any] | None:
    """Return out-of-fold accuracies of the head with folds that keep groups together and with folds that do not.

    Both are computed from the cached features in the same way, on 2,000 training examples at most.

    Returns
    -------
    dict or None
        ``column``, ``is_used`` (whether the user named it), ``n_groups``, ``by_group`` (accuracy with an interval for
        new groups), ``ignoring`` (with one that takes examples for independent, as who ignores groups would),
        ``flattery`` (their paired difference, over groups), ``text`` (one sentence). None where there are no groups,
        or fewer than two.
    """
    train = embedded.splits["train"]
    groups = train.groups if train.groups is not None else train.suspected_groups
    rows = np.arange(len(train))
    if len(rows) > _MOST_ROWS:
        rows = np.sort(generator(config.seed, "grouping").permutation(rows)[:_MOST_ROWS])
    targets = train.labels[rows] if train.is_multi_label else np.unique(train.labels[rows], return_inverse=True)[1]
    n_classes = targets.shape[1] if train.is_multi_label else int(targets.max()) + 1
    if groups is None or n_classes < 2 or len(np.unique(groups[rows])) < 2:
        return None
    matrix = embedded.features["train"].matrix[rows]
    method = HeadOnly(n_folds=config.folds, scalings=(head.scaling,), n_penalties=_PENALTIES, tolerance=1e-3)
    is_right = {}
    for name, own in (("by_group", groups[rows]), ("ignoring", None)):
        logits = method.fit(matrix, targets, n_classes=n_classes, groups=own, seed=config.seed).out_of_fold_logits
        is_right[name] = ((logits > 0) == targets).all(axis=1) if train.is_multi_label else logits.argmax(1) == targets
    by = share_over_groups(is_right["by_group"], groups[rows])
    ignoring = wilson(int(is_right["ignoring"].sum()), len(rows))
    flattery = share_difference_over_groups(is_right["ignoring"], is_right["by_group"], groups[rows])
    if flattery.low is None:  # two groups: by examples, for want of better
        flattery = share_difference_over_groups(is_right["ignoring"], is_right["by_group"], np.arange(len(rows)))
    column, is_used, n_groups = train.group_column, train.groups is not None, len(np.unique(groups[rows]))
    figure = "share of exactly right label sets" if train.is_multi_label else "accuracy"
    shown = (
        f"out-of-fold {figure} of the head is {_percent(by)} when no {column} stands on both sides, and"
        f" {_percent(ignoring)} when that is ignored ({len(targets):,} {embedded.noun}s of {counted(n_groups, column)},"
        f" {feasible_folds(targets, config.folds, groups=groups[rows])} folds)"
    )
    if flattery.low is None or flattery.low <= 0:
        told = f"groups: {shown}: no sign that it matters"
    elif is_used:
        span = f"{100 * flattery.low:.0f} to {100 * flattery.high:.0f}"
        told = (
            f"groups: {shown}: a split that ignores the {column} flatters by {100 * flattery.value:.0f} points"
            f" (95 % interval {span})"
        )
    else:
        told = (
            f"groups are ignored: {shown}. The figures of this report flatter for a new {column};"
            f" --group-column {column} (Python: group_column='{column}') gives honest ones"
        )
    say(told)
    return {
        "column": column,
        "is_used": is_used,
        "n_groups": n_groups,
        "by_group": by.as_dict(),
        "ignoring": ignoring.as_dict(),
        "flattery": flattery.as_dict(),
        "text": told,
    }


def judge_by_group(embedded: Embedded, test: AnyPredictions, facts: dict[str, Any] | None) -> dict[str, Any] | None:
    """Return `facts` of `compare_grouping` with the test split's groups, where none of them stands in train.

    Parameters
    ----------
    test : predictions of the test split, already judged.

    Returns
    -------
    dict or None
        ``test``: ``n_groups``, ``shares`` (of right answers, a number a group), ``over_groups`` (accuracy with an
        interval for new groups, null where there are too few), ``text``.
    """
    train, part = embedded.splits["train"], embedded.splits["test"]
    if facts is None or train.groups is None or part.groups is None or np.isin(part.groups, train.groups).any():
        return facts
    is_known = test.is_known if isinstance(test, MultiLabelPredictions) else test.targets >= 0
    is_right, own, column = np.asarray(test.is_correct)[is_known], part.groups[is_known], train.group_column
    numbers = np.unique(own, return_inverse=True)[1]
    shares = np.bincount(numbers, weights=is_right) / np.bincount(numbers)
    estimate = share_over_groups(is_right, own)
    spread = (
        f"from {percent(shares.min())} to {percent(shares.max())} right"
        if len(shares) > 1
        else f"{percent(shares[0])} right"
    )
    told = f"the {counted(len(is_right), embedded.noun)} of test are of {counted(len(shares), column)}, {spread}; "
    if estimate.low is None:
        told += (
            f"too few for an interval that holds for a new {column}: the intervals here take {embedded.noun}s for"
            f" independent, hold for {'this' if len(shares) == 1 else 'these'} {column}{'s' * (len(shares) > 1)} alone,"
            " and are too narrow for others"
        )
    else:
        told += (
            f"for a new {column} the 95 % interval is {100 * estimate.low:.1f} to {percent(estimate.high)}; the"
            f" intervals of the table take {embedded.noun}s for independent"
        )
    shown = {"n_groups": len(shares), "shares": shares.tolist(), "over_groups": estimate.as_dict(), "text": told}
    return {**facts, "test": shown}


def _percent(estimate: Any) -> str:
    if estimate.low is None:
        return percent(estimate.value)
    return f"{percent(estimate.value)} ({100 * estimate.low:.1f} to {100 * estimate.high:.1f})"
