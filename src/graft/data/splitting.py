"""Which examples train, validate and test: stratified by class, never tearing a group.

One greedy rule serves splits and folds. Groups (single examples where there are none) are dealt class by class, rarest
class first, largest group first, each to the part that lacks most of that class; what rounding leaves over evens out
the parts over the classes. Examples of several labels each are dealt by `graft.data.label_set_splitting`. No
scikit-learn: importing it costs more than all of the splitting.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graft.core.errors import DataError, UsageError
from graft.core.seeds import generator
from graft.data.label_set_splitting import deal_label_sets

__all__ = ["feasible_folds", "stratified_folds", "stratified_split"]

_Integers = NDArray[np.integer[Any]]
_PRIORITY = ("train", "test", "valid")


def stratified_split(
    labels: _Integers, *, groups: _Integers | None = None, fractions: Mapping[str, float], seed: int
) -> dict[str, NDArray[np.int64]]:
    """Return the indices of each split, ascending; every example is in exactly one.

    Parameters
    ----------
    labels : (n_examples,), class numbers (-1, unknown, is treated as one more class); or (n_examples, n_labels), 1
        where the example has the label.
    groups : (n_examples,), group numbers; the examples of a group stay together. None: each is its own.
    fractions : share of each split by name; they sum to 1.
    seed : of the random order.

    Raises
    ------
    UsageError
        When the fractions are negative or do not sum to 1.
    DataError
        When `labels` and `groups` differ in length.

    Notes
    -----
    A class in k groups is in at least min(k, n_splits) splits with a fraction above 0, first in train, then in test,
    then in valid. Where groups mix classes, or examples have several labels, this can be impossible; then it holds for
    the rarest classes first.

    Examples
    --------
    >>> split = stratified_split(np.array([0, 0, 0, 0, 1, 1]), fractions={"train": 0.5, "test": 0.5}, seed=0)
    >>> [len(split["train"]), len(split["test"])]
    [3, 3]
    """
    shares = np.array(list(fractions.values()), dtype=np.float64)
    if not len(shares) or (shares < 0).any() or abs(shares.sum() - 1) > 1e-6:
        raise UsageError(
            f"split fractions {dict(fractions)}", expected="fractions from 0 to 1 that sum to 1, such as 0.8 and 0.2"
        )
    names = [name for name, share in fractions.items() if share > 0]
    names.sort(key=lambda name: _PRIORITY.index(name) if name in _PRIORITY else len(_PRIORITY))
    part = _deal(labels, groups, np.array([fractions[name] for name in names]), seed, cover=True)
    return {
        name: np.flatnonzero(part == names.index(name)) if name in names else np.empty(0, dtype=np.int64)
        for name in fractions
    }


def stratified_folds(
    labels: _Integers, *, groups: _Integers | None = None, n_folds: int, seed: int
) -> NDArray[np.int64]:
    """Return the fold of every example: (n_examples,), 0 to n_folds - 1.

    Parameters
    ----------
    labels : (n_examples,), class numbers; or (n_examples, n_labels), 1 where the example has the label. A class may
        have fewer examples than there are folds; some folds then hold none of it out (see `feasible_folds`).
    groups : (n_examples,), group numbers; a group is in one fold. None: each example is its own.
    n_folds : at least 2, at most the number of groups.
    seed : of the random order.

    Raises
    ------
    UsageError
        When `n_folds` is below 2.
    DataError
        When there are fewer groups than folds, or `labels` and `groups` differ in length.

    Notes
    -----
    Without groups, the counts of a class differ by at most 1 between any two folds; those of a label, where an example
    may have several, by little more.

    Examples
    --------
    >>> np.bincount(stratified_folds(np.zeros(7, dtype=int), n_folds=3, seed=0)).tolist()
    [3, 2, 2]
    """
    if n_folds < 2:
        raise UsageError(f"{n_folds} folds", expected="at least 2 folds", fix="--folds 5 (Python: folds=5)")
    n_groups = len(labels) if groups is None else len(np.unique(groups))
    if n_groups < n_folds:
        raise DataError(
            f"{n_folds} folds for {n_groups} separate examples (duplicates and groups count once)",
            expected="at least one example a fold",
            fix="add examples, or ask for fewer folds with --folds (Python: folds=)",
        )
    fold = _deal(labels, groups, np.full(n_folds, 1 / n_folds), seed, cover=False)
    # Parts are filled from the first on where a tie leaves the choice: largest first is the documented order.
    order = np.argsort(-np.bincount(fold, minlength=n_folds), kind="stable")
    return np.argsort(order)[fold]


def feasible_folds(labels: _Integers, wanted: int, *, groups: _Integers | None = None) -> int:
    """Return the largest number of folds up to `wanted` with which every fold can hold out every class; at least 2.

    With several labels an example, (n_examples, n_labels), the folds are as many as there are groups for: a long tail
    of rare labels is usual there, and two folds for the sake of one of them would cost all others training examples.
    Each of the folds' models still sees all but one of a rare label's examples.

    Examples
    --------
    >>> feasible_folds(np.array([0, 0, 0, 1, 1, 1, 1]), 5)
    3
    """
    if np.ndim(labels) == 2:
        return max(2, min(wanted, len(labels) if groups is None else len(np.unique(groups))))
    _, classes = np.unique(labels, return_inverse=True)
    groups = np.arange(len(classes)) if groups is None else groups
    pairs = np.unique(np.stack([classes, np.asarray(groups)]), axis=1)
    return max(2, min(wanted, int(np.bincount(pairs[0]).min(initial=wanted))))


def _deal(
    labels: _Integers, groups: _Integers | None, shares: NDArray[np.float64], seed: int, *, cover: bool
) -> NDArray[np.int64]:
    """Return the part (index into `shares`) of every example.

    With `cover` a class is brought into every part that it has groups for, the first parts first.
    """
    n = len(labels)
    if groups is not None and np.shape(groups) != (n,):
        raise DataError(f"{np.shape(groups)} groups for {n} labels", expected="one group an example")
    _, group = (None, np.arange(n)) if groups is None else np.unique(np.asarray(groups), return_inverse=True)
    if n == 0:
        return np.empty(0, dtype=np.int64)
    if np.ndim(labels) == 2:
        return deal_label_sets(labels, group, shares=shares, seed=seed, cover=cover)
    _, classes = np.unique(np.asarray(labels), return_inverse=True)
    # Distinct (group, class) cells with their counts: what one group brings to each class.
    n_classes = int(classes.max()) + 1
    cells, cell_counts = np.unique(group * n_classes + classes, return_counts=True)
    cell_group, cell_class = cells // n_classes, cells % n_classes
    starts = np.searchsorted(cell_group, np.arange(int(group.max()) + 2))

    rng = generator(seed, "split" if cover else "folds")
    shuffled = rng.permutation(len(cells))
    size = np.bincount(group)
    in_order = shuffled[np.argsort(-size[cell_group[shuffled]], kind="stable")]
    have = np.zeros((n_classes, len(shares)))
    present = np.zeros((n_classes, len(shares)), dtype=bool)
    target = np.outer(np.bincount(classes, minlength=n_classes), shares)
    part_of_group = np.full(len(size), -1, dtype=np.int64)
    by_class = in_order[np.argsort(cell_class[in_order], kind="stable")]
    bounds = np.searchsorted(cell_class[by_class], np.arange(n_classes + 1))
    owed = np.zeros(len(shares))
    for c in np.argsort(np.bincount(cell_class, minlength=n_classes), kind="stable"):
        waiting = [g for g in cell_group[by_class[bounds[c] : bounds[c + 1]]] if part_of_group[g] < 0]
        # Below half an example: it decides between equals, never against the class's own balance.
        nudge = np.clip(owed, -0.49, 0.49)
        for position, g in enumerate(waiting):
            absent = np.flatnonzero(~present[c])
            left = len(waiting) - position
            if cover and len(absent) and (left <= len(absent) or (position == 0 and 0 in absent)):
                part = int(absent[0])
            else:
                part = int(np.argmax(target[c] - have[c] + nudge))
            part_of_group[g] = part
            mine = slice(starts[g], starts[g + 1])
            have[cell_class[mine], part] += cell_counts[mine]
            present[cell_class[mine], part] = True
        owed += target[c] - have[c]
    return part_of_group[group]
