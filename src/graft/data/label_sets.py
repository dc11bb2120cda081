"""Any number of labels an example: from the cells of lists and texts to a matrix of 0 and 1."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from graft.core.errors import DataError, did_you_mean
from graft.core.types import UNKNOWN
from graft.data.labels import Label, clean_label, label_map

__all__ = [
    "SEPARATORS",
    "LabelSet",
    "check_label_sets",
    "clean_label_set",
    "find_separator",
    "holds_lists",
    "label_matrix",
    "label_numbers",
    "multi_label_map",
    "number_label_sets",
]

LabelSet = tuple[Label, ...]
SEPARATORS: Final = ("|", ";", ",")
_LISTS = (list, tuple, np.ndarray)


def holds_lists(cells: Iterable[object]) -> bool:
    """Return whether a column's cells are lists: then its examples have any number of labels, whoever asks.

    Examples
    --------
    >>> holds_lists([None, ["cat"]]), holds_lists(["cat|dog"])
    (True, False)
    """
    return any(isinstance(cell, _LISTS) for cell in cells)


def find_separator(cells: Iterable[object]) -> str | None:
    """Return the first of ``|``, ``;`` and ``,`` that stands in any text of a column; None: none does.

    One separator serves the whole column, so that ``Paris, France|Rome, Italy`` has two labels.

    Examples
    --------
    >>> find_separator(["a,b|c", "a"]), find_separator(["cat", "dog"])
    ('|', None)
    """
    found = {sign for cell in cells if isinstance(cell, str) for sign in SEPARATORS if sign in cell}
    return next((sign for sign in SEPARATORS if sign in found), None)


def clean_label_set(
    value: object, *, place: str, separator: str | None = None, names: Sequence[str] | None = None
) -> LabelSet:
    """Return the labels of one cell, each once, in the order of the cell; an empty list or text is no label at all.

    Parameters
    ----------
    value : a list of labels; or a text, taken apart at `separator`; or a single label.
    place : file and row, for messages.
    names : what whole numbers in a list stand for, where the data itself says so; None: they are names themselves.

    Raises
    ------
    DataError
        When the cell is missing, holds what is no label, or a number without a name.

    Examples
    --------
    >>> clean_label_set(" cat | dog|", place="row 1", separator="|"), clean_label_set([], place="row 2")
    (('cat', 'dog'), ())
    >>> clean_label_set([1, 0, 1], place="row 3", names=("cat", "dog"))
    ('dog', 'cat')
    """
    if value is None or (isinstance(value, float) and value != value):
        raise DataError(
            f"{place} has no list of labels (the cell is null)",
            expected="a list in every row, [] for an example without any label",
            fix="write [] (in CSV an empty cell), or remove the row if its labels are not known",
        )
    if isinstance(value, str):
        pieces: Sequence[object] = [value] if separator is None else value.split(separator)
        pieces = [piece for piece in pieces if str(piece).strip()]
    else:
        pieces = list(value) if isinstance(value, _LISTS) else [value]
    labels = [clean_label(piece, place=f"{place}, in its list of labels,") for piece in pieces]
    if names is not None:
        labels = [_named(label, names, place) for label in labels]
    return tuple(dict.fromkeys(labels))


def _named(label: Label, names: Sequence[str], place: str) -> Label:
    if not isinstance(label, int):
        return label
    if not 0 <= label < len(names):
        raise DataError(
            f"{place} has the label number {label}", expected=f"0 to {len(names) - 1}, as the data declares"
        )
    return names[label]


def multi_label_map(label_sets: Iterable[LabelSet]) -> tuple[str, ...]:
    """Return the names of all labels, in the order of `graft.data.labels.label_map`.

    Examples
    --------
    >>> multi_label_map([("dog", "cat"), (), ("cat",)])
    ('cat', 'dog')
    """
    return label_map(label for labels in label_sets for label in labels)


def label_numbers(
    label_sets: Sequence[Label | LabelSet | None], label_names: Sequence[str], *, place: Callable[[int], str]
) -> list[list[int] | None]:
    """Return for each example the ascending numbers of its labels; None where they are not known.

    Raises
    ------
    DataError
        When a label has no name in the map; `place` names the example.
    """
    number = {name: index for index, name in enumerate(label_names)}
    found: list[list[int] | None] = []
    unknown: list[tuple[int, str]] = []
    for index, labels in enumerate(label_sets):
        if labels is None:
            found.append(None)
            continue
        own = [str(label) for label in (labels if isinstance(labels, tuple) else (labels,))]
        unknown += [(index, name) for name in own if name not in number]
        found.append(sorted(number[name] for name in own if name in number))
    if unknown:
        index, name = unknown[0]
        n_examples = len({i for i, _ in unknown})
        known = ", ".join(label_names[:10]) + (", ..." if len(label_names) > 10 else "")
        raise DataError(
            f"{place(index)} has the label '{name}', which the training data does not have"
            f"{f' ({n_examples} examples carry such labels)' if n_examples > 1 else ''}."
            f"{did_you_mean(name, label_names)}",
            expected=f"any of its {len(label_names)} labels: {known}",
            fix="correct the label, add examples of it to the training data, or take it out of these examples",
        )
    return found


def label_matrix(numbers: Sequence[Sequence[int] | None], n_labels: int, *, source: str) -> NDArray[np.uint8]:
    """Return (n_examples, n_labels), 1 where an example has the label; rows of `UNKNOWN` for None.

    Raises
    ------
    DataError
        When a number is none of 0 to n_labels - 1.

    Examples
    --------
    >>> label_matrix([[0, 2], [], None], 3, source="x").tolist()
    [[1, 0, 1], [0, 0, 0], [255, 255, 255]]
    """
    matrix = np.zeros((len(numbers), n_labels), dtype=np.uint8)
    rows = [index for index, own in enumerate(numbers) for _ in own or ()]
    columns = np.array([number for own in numbers for number in own or ()], dtype=np.int64)
    if len(columns) and (columns.min() < 0 or columns.max() >= n_labels):
        raise DataError(
            f"{source} has label numbers from {columns.min()} to {columns.max()}",
            expected=f"0 to {n_labels - 1}: there are {n_labels} label names",
        )
    matrix[rows, columns] = 1
    matrix[[index for index, own in enumerate(numbers) if own is None]] = UNKNOWN
    return matrix


def number_label_sets(
    label_sets: Sequence[LabelSet | None], label_names: Sequence[str], *, place: Callable[[int], str]
) -> NDArray[np.uint8]:
    """Return (n_examples, n_labels), 1 where an example has the label; rows of `UNKNOWN` for None.

    Raises
    ------
    DataError
        When a label has no name in the map; `place` names the example.

    Examples
    --------
    >>> number_label_sets([("dog",), ()], ("cat", "dog"), place=str).tolist()
    [[0, 1], [0, 0]]
    """
    return label_matrix(label_numbers(label_sets, label_names, place=place), len(label_names), source="")


def check_label_sets(labels: NDArray[np.integer[Any]], label_names: Sequence[str], *, source: str) -> None:
    """Check that of each label there are two examples with it and two without: one to learn from, one to hold out.

    Parameters
    ----------
    labels : (n_examples, n_labels), 0 or 1, or rows of `UNKNOWN`.

    Raises
    ------
    DataError
        When there are no labels at all, or too few examples with a label or without it (named).
    """
    known = labels[(labels != UNKNOWN).all(axis=1)]
    if not len(known) or not len(label_names):
        raise DataError(f"{source} holds no labels", expected="examples with lists of labels, some of them not empty")
    counts = known.sum(axis=0, dtype=np.int64)
    rare = [name for name, n in zip(label_names, counts, strict=True) if n < 2]
    constant = [name for name, n in zip(label_names, counts, strict=True) if n > len(known) - 2]
    for names, what in ((rare, "with"), (constant, "without")):
        if names:
            named = ", ".join(f"'{name}'" for name in names[:5]) + (", ..." if len(names) > 5 else "")
            which = "the label" if len(names) == 1 else f"{len(names)} labels:"
            raise DataError(
                f"{source} holds fewer than 2 examples {what} {which} {named}",
                expected="at least 2 examples with each label and 2 without: one to learn from, one to hold out",
                fix="add such examples, or take the label out of all lists",
            )
