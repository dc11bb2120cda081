"""Which examples of several labels each train, validate and test: every label spread as evenly as it can be.

With label sets there are too many kinds of example to deal each kind by itself. The labels are dealt one after another
instead, always the one with the fewest examples left, since a rare label that is left for later has no room to be
spread in.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from graft.core.seeds import generator

__all__ = ["deal_label_sets"]


def deal_label_sets(
    labels: NDArray[np.integer[Any]], group: NDArray[np.int64], *, shares: NDArray[np.float64], seed: int, cover: bool
) -> NDArray[np.int64]:
    """Return the part (index into `shares`) of every example: (n_examples,).

    Parameters
    ----------
    labels : (n_examples, n_labels), 1 where the example has the label; any other value: it has not, or is not known to.
    group : (n_examples,), numbers from 0 without gaps; a group is in one part.
    shares : (n_parts,), share of the examples that each part is to have, summing to 1.
    cover : bring a label into every part that it has groups for, the first parts first.

    References
    ----------
    Sechidis, Tsoumakas and Vlahavas 2011, On the stratification of multi-label data, algorithm 1.

    Notes
    -----
    Two things differ from the paper: groups are dealt in place of examples, largest first; and what two parts want
    equally goes to the first of them, where the paper draws lots (the order of equal groups is drawn here).
    """
    has = np.asarray(labels) == 1
    n_groups, n_labels = int(group.max()) + 1, has.shape[1]
    size = np.bincount(group, minlength=n_groups)
    brings = np.zeros((n_groups, n_labels), dtype=np.int64)
    example, label = np.nonzero(has)
    np.add.at(brings, (group[example], label), 1)
    rng = generator(seed, "split of label sets" if cover else "folds of label sets")
    shuffled = rng.permutation(n_groups)
    in_order = shuffled[np.argsort(-size[shuffled], kind="stable")]

    wanted = np.outer(brings.sum(axis=0), shares)  # (n_labels, n_parts), examples of each label still to be given
    wanted_size = len(has) * shares
    is_present = np.zeros((n_labels, len(shares)), dtype=bool)
    left = (brings > 0).sum(axis=0)  # (n_labels,), groups not yet dealt
    part_of = np.full(n_groups, -1, dtype=np.int64)

    def give(g: int, part: int) -> None:
        nonlocal left
        part_of[g] = part
        wanted[:, part] -= brings[g]
        wanted_size[part] -= size[g]
        is_present[brings[g] > 0, part] = True
        left = left - (brings[g] > 0)

    while left.any():
        rarest = int(np.argmin(np.where(left > 0, left, np.iinfo(np.int64).max)))
        waiting = in_order[(brings[in_order, rarest] > 0) & (part_of[in_order] < 0)]
        for position, g in enumerate(waiting):
            absent = np.flatnonzero(~is_present[rarest])
            n_left = len(waiting) - position
            if cover and len(absent) and (n_left <= len(absent) or (position == 0 and 0 in absent)):
                give(int(g), int(absent[0]))
            else:
                give(int(g), int(np.lexsort((-wanted_size, -wanted[rarest]))[0]))
    for g in in_order[part_of[in_order] < 0]:  # without any label
        give(int(g), int(np.argmax(wanted_size)))
    return part_of[group]
