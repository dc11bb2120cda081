"""One label map: from the labels as files and tables say them to numbers and names."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graft.core.errors import DataError, did_you_mean

__all__ = ["Label", "check_classes", "clean_label", "clean_labels", "label_map", "number_labels"]

Label = str | int
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?")
_WHOLE = re.compile(r"[+-]?\d+")


def clean_label(value: object, *, place: str) -> Label:
    """Return a label as a str or int: text stripped, whole floats as int.

    Raises
    ------
    DataError
        When it is empty, not a number, or neither text nor a whole number; `place` names the file and row.

    Examples
    --------
    >>> clean_label(" cat ", place="row 1"), clean_label(3.0, place="row 2")
    ('cat', 3)
    """
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str) and value.strip() and value.strip().lower() != "nan":
        return value.strip()
    if value is None or isinstance(value, str) or (isinstance(value, float) and math.isnan(value)):
        raise DataError(
            f"{place} has no label (the cell is {'empty' if value in (None, '') else repr(value)})",
            expected="a label in every row",
            fix="fill it in, or remove the row",
        )
    if isinstance(value, float):
        raise _no_class(value, place)
    raise DataError(
        f"{place} has the label {value!r}",
        expected="text or a whole number: one class an example",
        fix="name the right column with --label-column (Python: label_column=)",
    )


def clean_labels(values: Sequence[object], *, place: Callable[[int], str]) -> list[Label]:
    """Return `clean_label` of a column; where all its texts are numbers, as CSV has them, they are read as numbers.

    Raises
    ------
    DataError
        As `clean_label` does; also where all are numbers in text and some are not whole.

    Examples
    --------
    >>> clean_labels(["1.0", "10"], place=str), clean_labels(["1.0", "two"], place=str), clean_labels(["07"], place=str)
    ([1, 10], ['1.0', 'two'], ['07'])
    """
    texts = [value.strip() if isinstance(value, str) else "" for value in values]
    if values and all(map(_NUMBER.fullmatch, texts)) and not all(map(_WHOLE.fullmatch, texts)):
        broken = next((row for row, text in enumerate(texts) if not float(text).is_integer()), None)
        if broken is not None:
            raise _no_class(texts[broken], place(broken))
        values = [float(text) for text in texts]
    return [clean_label(value, place=place(row)) for row, value in enumerate(values)]


def _no_class(value: object, place: str) -> DataError:
    return DataError(
        f"{place} has the label {value!r}: a number to predict, not a class (regression)",
        expected="text or a whole number: Graft classifies",
        fix="bin the numbers into classes (in words, such as '0 to 1'), or name the right column with --label-column"
        " (Python: label_column=)",
    )


def label_map(labels: Iterable[Label]) -> tuple[str, ...]:
    """Return the class names: in the order of the numbers where all labels are whole numbers, else of the alphabet.

    Examples
    --------
    >>> label_map([10, 9, 10]), label_map(["10", "9"]), label_map(["dog", "cat"])
    (('9', '10'), ('9', '10'), ('cat', 'dog'))
    """
    names = {str(label) for label in labels}
    try:
        return tuple(sorted(names, key=lambda name: (int(name), name)))
    except ValueError:
        return tuple(sorted(names))


def number_labels(
    labels: Sequence[Label], label_names: Sequence[str], *, place: Callable[[int], str]
) -> NDArray[np.int64]:
    """Return (n_examples,), the index of every label in `label_names`.

    Raises
    ------
    DataError
        When a label has no name in the map; `place` names the example.
    """
    number = {name: index for index, name in enumerate(label_names)}
    found = np.fromiter((number.get(str(label), -1) for label in labels), dtype=np.int64, count=len(labels))
    unknown = np.flatnonzero(found < 0)
    if len(unknown):
        first = int(unknown[0])
        label = str(labels[first])
        known = ", ".join(label_names[:10]) + (", ..." if len(label_names) > 10 else "")
        raise DataError(
            f"{place(first)} has the label '{label}', which the training data does not have"
            f"{f' ({len(unknown)} examples carry such labels)' if len(unknown) > 1 else ''}."
            f"{did_you_mean(label, label_names)}",
            expected=f"one of its {len(label_names)} labels: {known}",
            fix="correct the label, add examples of it to the training data, or remove these examples",
        )
    return found


def check_classes(labels: NDArray[np.integer[Any]], label_names: Sequence[str], *, source: str) -> None:
    """Check that there is something to tell apart, and of each class one example to hold out.

    Raises
    ------
    DataError
        When there are no examples, one class only, or a class with fewer than two examples (named).
    """
    counts = Counter(labels.tolist())
    if not counts:
        raise DataError(f"{source} holds no examples", expected="labelled examples of at least two classes")
    if len(counts) < 2:
        name = label_names[next(iter(counts))]
        raise DataError(
            f"{source} holds one class only, '{name}', with {len(labels)} examples",
            expected="at least two classes: there is nothing to tell apart",
            fix="add examples of another class; in a folder, one subfolder a class",
        )
    scarce = [name for index, name in enumerate(label_names) if 0 < counts[index] < 2]
    if scarce:
        named = ", ".join(f"'{name}'" for name in scarce[:5]) + (", ..." if len(scarce) > 5 else "")
        which = "the class" if len(scarce) == 1 else f"{len(scarce)} classes:"
        raise DataError(
            f"{source} holds one example only of {which} {named}",
            expected="at least 2 examples of every class: 2 are needed to hold one out and judge by it",
            fix="add examples of this class, or remove it",
        )
