"""Examples of one split as they were found, and the step from there to a `LabeledDataset`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from graft.data.dataset import LabeledDataset
from graft.data.label_sets import LabelSet, label_numbers
from graft.data.labels import Label, label_map, number_labels
from graft.data.places import Places

if TYPE_CHECKING:
    from datasets import Dataset

__all__ = ["Found", "GroupNumbers", "Ids"]


@dataclass(frozen=True)
class Found:
    """Examples of one split; the labels are still what the files say.

    Parameters
    ----------
    source : where they come from, for messages.
    ids : n_examples names, not yet unique.
    labels : n_examples labels as found, or tuples of them where an example may have several; None where the data says
        that it is not known.
    content : n_examples paths relative to `root`, or a dataset whose one column ``content`` holds the bytes.
    place : how a message names the example at an index: its file, or table and row.
    root : folder that relative paths start from.
    declared : class names in the order that the data itself gives; None: by number or alphabet.
    groups : n_examples values of the group column; None: no such column.
    suspected_groups : n_examples values of a column that was not named, but looks like groups; None: no such column.
    group_column : the column of either.
    text_columns : the columns of the texts, two of pairs; empty where there are none.
    places : where they stand in a table that holds the examples themselves; None: they are files.
    empty : classes without an example.
    notes : sentences to be printed.
    """

    source: str
    ids: Sequence[str]
    labels: Sequence[Label | LabelSet | None]
    content: list[str] | Dataset
    place: Callable[[int], str]
    root: str = ""
    declared: tuple[str, ...] | None = None
    groups: Sequence[object] | None = None
    suspected_groups: Sequence[object] | None = None
    group_column: str = ""
    text_columns: tuple[str, ...] = ()
    places: Places | None = None
    empty: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def is_multi_label(self) -> bool:
        """Whether examples have tuples of labels."""
        return any(isinstance(label, tuple) for label in self.labels)

    def as_label_sets(self) -> Found:
        """Return the same examples, each with a set of labels: where it had one, with that alone."""
        sets = [label if label is None or isinstance(label, tuple) else (label,) for label in self.labels]
        return replace(self, labels=sets)

    @property
    def is_labelled(self) -> bool:
        """Whether any example has a label."""
        return any(label is not None for label in self.labels)

    def label_names(self) -> tuple[str, ...]:
        """Return the names of the labels that there are examples of, in the order of `label_map`."""
        found: list[Label] = []
        for label in self.labels:
            if label is not None:
                found += label if isinstance(label, tuple) else (label,)
        return label_map(found)

    def with_note(self, note: str) -> Found:
        """Return the same examples with one more note."""
        return replace(self, notes=(*self.notes, note))

    def of_split(self, split: str, taken: set[str]) -> Found:
        """Return the examples of a further table with ids that are none of another split's: ``test/07``.

        Ids of files, and those that a table brings and no other has, stay as they are.
        """
        is_split = all(name.startswith(f"{split}/") for name in self.ids)
        is_own = taken.isdisjoint(self.ids) and not all(name.isdigit() for name in self.ids)
        if isinstance(self.content, list) or is_split or is_own:
            return self
        return replace(self, ids=[f"{split}/{name}" for name in self.ids])

    def labelled(self, label_names: tuple[str, ...], *, ids: Ids, groups: GroupNumbers) -> LabeledDataset:
        """Return the examples with numbered labels and unique ids.

        Raises
        ------
        DataError
            When a label is not in `label_names` (example named).
        """
        from datasets import Dataset, Features, List, Value

        numbers: Any
        if self.is_multi_label:
            label_kind: Any = List(Value("int64"))
            numbers = label_numbers(self.labels, label_names, place=self.place)
        else:
            label_kind = Value("int64")
            known = [label for label in self.labels if isinstance(label, (str, int))]
            where = [index for index, label in enumerate(self.labels) if label is not None]
            numbers = np.full(len(self), -1, dtype=np.int64)
            numbers[where] = number_labels(known, label_names, place=lambda i: self.place(where[i]))
        unique_ids = ids.unique(self.ids)
        if isinstance(self.content, list):
            columns = {"id": unique_ids, "content": self.content, "label": numbers}
            kinds = Features({"id": Value("string"), "content": Value("string"), "label": label_kind})
            rows = Dataset.from_dict(columns, features=kinds)
        else:
            rows = self.content.add_column("id", unique_ids).add_column("label", numbers, feature=label_kind)
        return LabeledDataset(
            rows,
            label_names,
            source=self.source,
            root=self.root,
            groups=None if self.groups is None else groups.number(self.groups),
            suspected_groups=None if self.suspected_groups is None else groups.number(self.suspected_groups),
            group_column=self.group_column,
            text_columns=self.text_columns,
            places=self.places,
        )


class Ids:
    """Makes ids unique over all splits of one data set: the second ``a.jpg`` becomes ``a.jpg#2``."""

    def __init__(self) -> None:
        self._taken: set[str] = set()
        self.n_renamed = 0

    def unique(self, ids: Sequence[str]) -> list[str]:
        """Return `ids`, those that were given before with a number behind."""
        result = []
        for wanted in ids:
            name, count = wanted, 1
            while name in self._taken:
                count += 1
                name = f"{wanted}#{count}"
            self.n_renamed += count > 1
            self._taken.add(name)
            result.append(name)
        return result


class GroupNumbers:
    """Numbers groups the same way in all splits; an empty cell is a group of its own."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._next = 0

    def number(self, values: Sequence[object]) -> NDArray[np.int64]:
        """Return (n_examples,), the number of the group of each value."""
        result = np.empty(len(values), dtype=np.int64)
        for index, value in enumerate(values):
            is_empty = value is None or value == "" or value != value  # NaN differs from itself
            number = self._next if is_empty else self._numbers.setdefault(str(value), self._next)
            self._next += number == self._next
            result[index] = number
        return result
