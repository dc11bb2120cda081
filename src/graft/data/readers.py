"""From what the user names to train, valid and test examples with one label map."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from graft.core.errors import DataError, did_you_mean
from graft.core.types import UNKNOWN
from graft.data.columns import Columns, split_name
from graft.data.dataset import LabeledDataset, Splits
from graft.data.found import Found, GroupNumbers, Ids
from graft.data.kinds import PICTURE, ExampleKind
from graft.data.label_sets import check_label_sets
from graft.data.labels import check_classes
from graft.data.locate import locate
from graft.data.texts import check_number_of_texts

__all__ = ["read_labeled", "read_splits"]


def read_splits(
    data: str | Path,
    *,
    valid: str | Path | None = None,
    test: str | Path | None = None,
    path_column: str | None = None,
    label_column: str | None = None,
    group_column: str | None = None,
    text_column: str | None = None,
    text_pair_column: str | None = None,
    kind: ExampleKind = PICTURE,
    multi_label: bool = False,
) -> Splits:
    """Return the examples to train with, and those to validate and test with where the data brings them.

    Parameters
    ----------
    data : one of

        - a folder with a subfolder of files for each class, also below ``train``, ``valid`` and ``test``;
        - a CSV, TSV, JSONL, JSON or Parquet table with a path (or the example itself) and a label in each row;
        - a folder that holds tables named ``train.*``, ``valid.*`` and ``test.*``;
        - a folder that ``save_to_disk`` of Hugging Face `datasets` wrote; or a data set's id on its hub.

        For valid also ``val``, ``dev`` and ``validation`` are understood. Paths in a table start from its folder.
    valid, test : the same forms, for the examples to validate and test with; they go before splits inside `data`.
    path_column, label_column, group_column : columns of the tables; None: found by usual names and by content (no
        groups).
    text_column, text_pair_column : columns of texts that stand in the tables, of one, or of two that belong together.
    kind : of the examples.
    multi_label : an example may have any number of labels; in a text of labels ``|``, ``;`` or ``,`` stand between
        them. Where the label column holds lists this is so without being asked for.

    Returns
    -------
    Splits
        Label numbers follow the order of the classes: the data's own order where it declares one, by number where
        all labels are whole numbers, by alphabet else. Files of examples are not opened here.

    Raises
    ------
    DataError
        When data, columns, files or labels are missing, a class is empty or has one example, there is one class
        only, or valid or test holds a label that train does not.
    UsageError
        When columns are named for data that is no table.
    """
    columns = Columns(path_column, label_column, group_column, text_column, text_pair_column, kind, multi_label)
    found = locate(data, columns)
    notes: list[str] = []
    parts: dict[str, Found] = {}
    if "" in found:
        parts["train"] = found[""]
    elif "train" in found:
        parts = dict(found)
    else:
        raise DataError(
            f"{data} has the splits {', '.join(found)}, but none to train with",
            expected="a split named train",
            fix="name the folder or file to train with, and the others by --valid and --test (Python: valid=, test=)",
        )
    for split, named in (("valid", valid), ("test", test)):
        if named is not None:
            if split in parts:
                notes.append(f"{parts[split].source}: not used, since {named} is given for {split}.")
            taken = {name for part in parts.values() for name in part.ids}
            parts[split] = _one_split(locate(named, columns), named, wanted=split).of_split(split, taken)
    parts = {split: parts[split] for split in ("train", "valid", "test") if split in parts}
    for split in ("valid", "test"):
        if split in parts and not parts[split].is_labelled:
            notes.append(
                f"{parts[split].source}: not used, since none of its {len(parts[split])} examples has a label."
            )
            del parts[split]
    is_multi_label = multi_label or parts["train"].is_multi_label
    for split, part in parts.items():
        if kind.inline_names:
            own = part.text_columns
            check_number_of_texts(len(own), parts["train"].text_columns, source=part.source, columns=own)
        if part.is_multi_label and not is_multi_label:
            raise DataError(
                f"{part.source} has lists of labels, where {parts['train'].source} has one class an example",
                expected="lists in all splits, or in none",
                fix="--multi-label (Python: multi_label=True), if an example may have any number of labels",
            )
        parts[split] = part.as_label_sets() if is_multi_label else part
    label_names = _label_names(parts["train"], notes, noun=kind.noun)
    ids, groups = Ids(), GroupNumbers()
    sets = {split: part.labelled(label_names, ids=ids, groups=groups) for split, part in parts.items()}
    for split, part in parts.items():
        _check_labels_known(sets[split], part)
    check = check_label_sets if is_multi_label else check_classes
    check(sets["train"].labels, label_names, source=parts["train"].source)
    notes += [note for part in parts.values() for note in part.notes]
    notes += _more_notes(parts, sets, ids, noun=kind.noun)
    return Splits(sets["train"], sets.get("valid"), sets.get("test"), notes=(_summary(data, sets), *notes))


def read_labeled(
    data: str | Path,
    *,
    label_names: Sequence[str],
    split: str | None = None,
    path_column: str | None = None,
    label_column: str | None = None,
    group_column: str | None = None,
    text_column: str | None = None,
    text_pair_column: str | None = None,
    kind: ExampleKind = PICTURE,
    multi_label: bool = False,
    known_texts: tuple[str, ...] | None = None,
) -> LabeledDataset:
    """Return the examples of one data set, numbered by a label map that a model brings.

    Parameters
    ----------
    data : the same forms as in `read_splits`.
    label_names : n_classes names in the order of the model's outputs; not all need occur in the data.
    split : which split, where the data is divided; None: all rows, or of divided data its test split.
    path_column, label_column, group_column, text_column, text_pair_column, kind, multi_label : as in `read_splits`.
    known_texts : columns of the texts that the model was fitted to, see `graft.data.texts.text_columns_of`.

    Raises
    ------
    DataError
        When the data cannot be read, has no such split, holds a label that is not in `label_names`, or single texts
        where the model reads pairs.
    UsageError
        When columns are named for data that is no table.
    """
    columns = Columns(
        path_column, label_column, group_column, text_column, text_pair_column, kind, multi_label, known_texts
    )
    found = locate(data, columns)
    part = _one_split(found, data, wanted=split or "test", is_named=split is not None)
    check_number_of_texts(len(part.text_columns), known_texts, source=part.source, columns=part.text_columns)
    if not part.is_labelled:
        raise DataError(f"{part.source}: none of the {len(part)} examples has a label", expected="labelled examples")
    if part.is_multi_label and not multi_label:
        raise DataError(
            f"{part.source} has lists of labels; the model says one class an example",
            expected="one label in every row",
            fix="fit a model to data with lists of labels",
        )
    part = part.as_label_sets() if multi_label else part
    labelled = part.labelled(tuple(label_names), ids=Ids(), groups=GroupNumbers())
    _check_labels_known(labelled, part)
    return labelled


def _one_split(found: dict[str, Found], data: str | Path, *, wanted: str, is_named: bool = False) -> Found:
    wanted = split_name(wanted) or wanted
    if wanted in found:
        return found[wanted]
    if "" in found and not is_named:
        return found[""]
    if len(found) == 1 and not is_named:
        return next(iter(found.values()))
    if "" in found:
        raise DataError(
            f"{data} is not divided into splits, so it has no split '{wanted}'",
            fix="leave the split out to use all of it (Python: split=None)",
        )
    raise DataError(
        f"{data} has the splits {', '.join(found)}, but no '{wanted}'.{did_you_mean(wanted, found)}",
        expected=f"a split named {wanted}, or data that is not divided",
        fix="give the folder or file of the split itself",
    )


def _label_names(train: Found, notes: list[str], *, noun: str) -> tuple[str, ...]:
    if train.empty:
        named = ", ".join(f"'{name}'" for name in train.empty[:5]) + (", ..." if len(train.empty) > 5 else "")
        raise DataError(
            f"{train.source} has class folders without a {noun}: {named}",
            expected=f"at least 2 {noun}s of every class",
            fix=f"add {noun}s, or remove the folder",
        )
    present = train.label_names()
    if train.declared is None:
        return present
    if unused := [name for name in train.declared if name not in present]:
        notes.append(
            f"{train.source}: {len(unused)} declared classes have no example and are left out: "
            f"{', '.join(unused[:5])}{', ...' if len(unused) > 5 else ''}."
        )
    return tuple(name for name in train.declared if name in present)


def _check_labels_known(data: LabeledDataset, part: Found) -> None:
    unknown = np.flatnonzero((data.labels == UNKNOWN).any(axis=1) if data.is_multi_label else data.labels < 0)
    if len(unknown):
        raise DataError(
            f"{part.place(int(unknown[0]))} has no label ({len(unknown)} of {len(data)} rows have none)",
            expected="a label in every row",
            fix="fill them in, or remove the rows",
        )


def _more_notes(parts: dict[str, Found], sets: dict[str, LabeledDataset], ids: Ids, *, noun: str) -> list[str]:
    notes = [
        f"{part.source}: class folders without a {noun}: {', '.join(part.empty[:5])}."
        for split, part in parts.items()
        if split != "train" and part.empty
    ]
    if ids.n_renamed:
        notes.append(f"{ids.n_renamed} examples had the id of another; they got '#2', '#3', ... behind it.")
    train = sets["train"]
    if train.suspected_groups is not None:
        n_groups, column = len(np.unique(train.suspected_groups)), train.group_column
        notes.append(
            f"the column '{column}' looks as if it held groups ({n_groups} of them in train), and is not used: figures"
            f" may flatter for a new {column}; --group-column {column} (Python: group_column='{column}') keeps each on"
            " one side of every split."
        )
    for split, data in sets.items():
        own, other = (d.groups if d.groups is not None else d.suspected_groups for d in (train, data))
        if split != "train" and own is not None and other is not None and len(shared := np.intersect1d(own, other)):
            notes.append(f"{len(shared)} groups stand both in train and in {split}: its result will flatter.")
    return notes


def _summary(data: str | Path, sets: dict[str, LabeledDataset]) -> str:
    names = sets["train"].label_names
    counts = ", ".join(f"{split} {len(part):,}" for split, part in sets.items())
    listed = ", ".join(names[:6]) + (", ..." if len(names) > 6 else "")
    per_class = sets["train"].class_counts
    spread = (
        f"{per_class.min():,}" if per_class.min() == per_class.max() else f"{per_class.min():,} to {per_class.max():,}"
    )
    if sets["train"].is_multi_label:
        n_each = (sets["train"].labels == 1).sum(axis=1)
        each = float(n_each.mean())
        if (n_each == 1).all():
            return (
                f"{data}: {counts} examples with lists of labels, each of exactly one; {len(names)} labels ({listed}),"
                f" {spread} examples a label in train. A column of plain labels would make them classes."
            )
        return (
            f"{data}: {counts} examples with any number of labels, {each:.1f} on average; {len(names)} labels"
            f" ({listed}), {spread} examples a label in train."
        )
    return f"{data}: {counts} examples; {len(names)} classes ({listed}), {spread} a class in train."
