"""What is held out: a test split where the data brings none, copies kept together, groups that no fold tears."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from graft.api.checks import count_empty
from graft.api.config import FitConfig
from graft.api.copying import copies_between, copies_within, groups_for_folds, move_leaked
from graft.api.embedding import Embedded
from graft.core.errors import DataError
from graft.core.processes import Processes
from graft.core.text import counted
from graft.data.dataset import LabeledDataset, Splits
from graft.data.duplicates import SplitOverlap
from graft.data.joining import join_groups
from graft.data.splitting import feasible_folds, stratified_split
from graft.data.traits import Traits

__all__ = ["divide", "groups_by_content", "hold_out_test"]


def divide(
    embedded: Embedded, config: FitConfig, *, processes: Processes | None = None, say: Callable[[str], None]
) -> Embedded:
    """Hold out a test split where the data brings none; count the copies between splits; set the fold groups.

    Raises
    ------
    DataError
        When nothing can be held out.
    """
    if config.fix_splits:
        embedded = move_leaked(embedded, config, say=say)
    train, features = embedded.splits["train"], embedded.features["train"]
    processes = processes or Processes()
    copies = processes.from_main(copies_within(embedded))
    overlaps: dict[str, SplitOverlap] = {}
    groups, torn = groups_for_folds(copies, train.groups, n_folds=config.folds)
    notes = [*count_empty(embedded.splits, embedded.features, kind=embedded.task.kind), *filter(None, [torn])]
    n_copies = len(copies) - len(np.unique(copies))
    if n_copies:
        verb = "is a copy or near copy" if n_copies == 1 else "are copies or near copies"
        notes.append(f"{counted(n_copies, embedded.noun)} of train {verb} of another; copies share a fold")
    if "test" in embedded.splits:
        for name in ("test", "valid"):
            if name in embedded.splits:
                overlap = overlaps[name] = copies_between(embedded, name)
                if overlap.count:
                    first, second = overlap.pairs[0]
                    verb = "has" if overlap.count == 1 else "have"
                    notes.append(
                        f"{counted(overlap.count, embedded.noun)} of {name} {verb} a copy or near copy in train:"
                        f" {embedded.splits[name].ids[second]} of {train.ids[first]}; figures on {name} flatter a bit"
                        " (--fix-splits moves them to train)"
                    )
        result = replace(embedded, groups=groups, copies=copies, overlaps=overlaps)
    else:
        fractions = {"train": 1 - config.test_fraction, "test": config.test_fraction}
        parts = stratified_split(train.labels, groups=groups, fractions=fractions, seed=config.seed)
        empty = [name for name, rows in parts.items() if not len(rows)]
        if empty:
            raise DataError(
                f"{len(train)} examples{_in_one_group(groups)} leave nothing for {' and '.join(empty)}",
                expected="enough examples to hold some out",
                fix="add examples, or name a test split with --test (Python: test=)",
            )
        by = "label" if train.is_multi_label else "class"
        notes.append(
            f"no test split given: {len(parts['test']):,} of {len(train):,} {embedded.noun}s held out, stratified by"
            f" {by}, {_kept_together(train)} kept together, seed {config.seed}"
        )
        result = replace(
            embedded,
            splits={**embedded.splits, **{name: train.select(rows) for name, rows in parts.items()}},
            features={**embedded.features, **{name: features.select(rows) for name, rows in parts.items()}},
            views=tuple(view.select(parts["train"]) for view in embedded.views),
            groups=groups[parts["train"]],
            traits=_divided(embedded.traits, parts),
            copies=copies[parts["train"]],
        )
    if "valid" not in result.splits:
        n_folds = feasible_folds(result.splits["train"].labels, config.folds, groups=result.groups)
        how = f"{n_folds}-fold cross-validation" if n_folds == config.folds else "cross-validation"  # the head says why
        notes.append(f"no validation split needed: choices are made by {how} on train")
    for note in notes:
        say(note)
    return replace(result, notes=(*embedded.notes, *notes))


def _kept_together(train: LabeledDataset) -> str:
    return "copies" if train.groups is None else f"copies and {train.group_column}s (groups)"


def _in_one_group(groups: NDArray[np.int64]) -> str:
    return " that belong together (copies, or one group)" if len(np.unique(groups)) == 1 else ""


def _divided(traits: Mapping[str, Traits], parts: Mapping[str, NDArray[np.int64]]) -> Mapping[str, Traits]:
    if "train" not in traits:
        return traits
    return {**traits, **{name: traits["train"].select(rows) for name, rows in parts.items()}}


def hold_out_test(splits: Splits, config: FitConfig) -> Splits:
    """Return the splits with a test, held out where none is given.

    A fit whose model a ranking chose takes the same test: no example of it had a part in the choice.
    """
    if splits.test is not None:
        return splits
    train = splits.train
    shares = {"train": 1 - config.test_fraction, "test": config.test_fraction}
    rows = stratified_split(train.labels, groups=groups_by_content(train), fractions=shares, seed=config.seed)
    note = (
        f"no test split given: {len(rows['test']):,} of {len(train):,} examples are held out before models are ranked;"
        " graft fit --model auto holds out the same, graft fit with a named model only if no two are nearly alike"
    )
    parts = {name: train.select(rows[name]) for name in ("train", "test")}
    return replace(splits, **parts, notes=(*splits.notes, note))


def groups_by_content(part: LabeledDataset) -> NDArray[np.int64]:
    """Return groups (n_examples,): equal content shares one, as does what the user says belongs together."""
    _, first, number = np.unique(part.content_hashes(), return_index=True, return_inverse=True)
    groups = np.argsort(np.argsort(first))[number].astype(np.int64)  # in order of appearance, as `divide` numbers them
    return groups if part.groups is None else join_groups(groups, part.groups)
