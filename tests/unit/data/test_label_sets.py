"""Cells with any number of labels, the map of their names, and the matrix of 0 and 1."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from datasets import Dataset

from graft.core.errors import DataError
from graft.core.types import UNKNOWN
from graft.data.dataset import LabeledDataset
from graft.data.found import Found, GroupNumbers, Ids
from graft.data.label_sets import (
    check_label_sets,
    clean_label_set,
    find_separator,
    holds_lists,
    label_matrix,
    multi_label_map,
    number_label_sets,
)


@pytest.mark.parametrize(
    ("value", "separator", "expected"),
    [
        (["dog", "cat", "dog"], None, ("dog", "cat")),
        (np.array([3, 1]), None, (3, 1)),
        ([], "|", ()),
        ("", "|", ()),
        ("  ", None, ()),
        ("a|b", "|", ("a", "b")),
        (" a ; b ;", ";", ("a", "b")),
        ("a, b", None, ("a, b",)),
        ("7,12", ",", ("7", "12")),
        (4, ",", (4,)),
        (2.0, None, (2,)),
        ([True], None, ("true",)),
    ],
)
def test_cells(value: object, separator: str | None, expected: tuple[Any, ...]) -> None:
    assert clean_label_set(value, place="row 1", separator=separator) == expected


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "row 7 has no list of labels"),
        (float("nan"), "row 7 has no list of labels"),
        (["a", None], "row 7, in its list of labels, has no label"),
        (["a", ""], "has no label"),
        ([0.5], "has the label 0.5"),
        ([{"name": "a"}], "has the label {'name': 'a'}"),
        ([["a"]], r"has the label \['a'\]"),
    ],
)
def test_what_is_no_label_is_named_with_its_row(value: object, words: str) -> None:
    with pytest.raises(DataError, match=words):
        clean_label_set(value, place="row 7")


def test_numbers_stand_for_declared_names() -> None:
    assert clean_label_set([2, 0], place="row 1", names=("a", "b", "c")) == ("c", "a")
    assert clean_label_set(["b"], place="row 1", names=("a", "b", "c")) == ("b",)
    with pytest.raises(DataError, match="row 1 has the label number 3"):
        clean_label_set([3], place="row 1", names=("a", "b", "c"))


def test_one_separator_serves_a_column() -> None:
    assert find_separator(["x", "a;b", "a,b"]) == ";"
    assert find_separator(["", None, "word"]) is None
    assert find_separator([["a|b"]]) is None
    assert holds_lists(["a", ("b",)])
    assert not holds_lists(["a", None, 3])


def test_the_map_is_in_the_order_of_numbers_or_of_the_alphabet() -> None:
    assert multi_label_map([(10, 9), (), (100,)]) == ("9", "10", "100")
    assert multi_label_map([("b",), ("a", "c")]) == ("a", "b", "c")


def test_the_matrix() -> None:
    found = number_label_sets([("b", "a"), (), None, (1,)], ("1", "a", "b"), place=str)
    assert found.dtype == np.uint8
    assert found.tolist() == [[0, 1, 1], [0, 0, 0], [UNKNOWN] * 3, [1, 0, 0]]
    with pytest.raises(DataError, match="label numbers from 0 to 3"):
        label_matrix([[0, 3]], 3, source="x")


def test_a_label_that_train_does_not_have_is_named_with_its_example() -> None:
    with pytest.raises(DataError, match=r"row 1 has the label 'dgo'.*2 examples.*Did you mean 'dog'") as caught:
        number_label_sets([("dog",), ("dgo", "cat"), ("ant",)], ("cat", "dog"), place=lambda i: f"row {i}")
    assert "any of its 2 labels: cat, dog" in str(caught.value)


@pytest.mark.parametrize(
    ("matrix", "words"),
    [
        ([[1, 1], [0, 1], [0, 0]], "fewer than 2 examples with the label 'x'"),
        ([[1, 1], [1, 1], [0, 1], [0, 0]], "fewer than 2 examples without the label 'y'"),
        ([[0, 0], [0, 0], [0, 0]], "with 2 labels: 'x', 'y'"),
        ([[UNKNOWN, UNKNOWN]], "no labels"),
    ],
)
def test_labels_that_cannot_be_learned_and_held_out(matrix: list[list[int]], words: str) -> None:
    with pytest.raises(DataError, match=words):
        check_label_sets(np.array(matrix, np.uint8), ("x", "y"), source="table")


def test_enough_of_each_is_fine() -> None:
    check_label_sets(np.array([[1, 0], [1, 1], [0, 1], [0, 0], [UNKNOWN] * 2], np.uint8), ("x", "y"), source="table")


def found(tmp_path: Path, labels: list[Any]) -> Found:
    names = [f"{i}.txt" for i in range(len(labels))]
    for name in names:
        (tmp_path / name).write_text(name)
    return Found("table", names, labels, names, lambda i: f"row {i}", str(tmp_path))


def test_from_the_table_to_the_data_set_and_back(tmp_path: Path) -> None:
    given = found(tmp_path, [("b",), (), None, ("a", "b")])
    assert given.is_multi_label
    assert given.label_names() == ("a", "b")
    data = given.labelled(("a", "b"), ids=Ids(), groups=GroupNumbers())
    assert data.is_multi_label
    assert data.labels.tolist() == [[0, 1], [0, 0], [UNKNOWN] * 2, [1, 1]]
    assert data.labels.dtype == np.uint8
    assert data.class_counts.tolist() == [1, 2]
    assert data.read(3) == b"3.txt"
    part = data.select([3, 0])
    assert part.labels.tolist() == [[1, 1], [0, 1]]
    other = found(tmp_path, [("b",), ("a",), None, ("a", "b")]).labelled(("a", "b"), ids=Ids(), groups=GroupNumbers())
    assert data.fingerprint != other.fingerprint
    with pytest.raises(ValueError, match="read-only"):
        data.labels[0, 0] = 1


def test_content_in_the_table_itself(tmp_path: Path) -> None:
    rows = Dataset.from_dict({"content": [b"x", b"y"]})
    given = Found("table", ["0", "1"], [("a",), ()], rows, lambda i: f"row {i}")
    data = given.labelled(("a",), ids=Ids(), groups=GroupNumbers())
    assert data.labels.tolist() == [[1], [0]]
    assert data.read(1) == b"y"


def test_numbers_without_a_name_and_groups_of_another_length_are_refused() -> None:
    rows = {"id": ["a", "b"], "content": ["a", "b"], "label": [[0], [2]]}
    with pytest.raises(DataError, match="label numbers from 0 to 2"):
        LabeledDataset(Dataset.from_dict(rows), ("x", "y"))
    rows["label"] = [[0], [1]]
    with pytest.raises(DataError, match="a group an example"):
        LabeledDataset(Dataset.from_dict(rows), ("x", "y"), groups=np.arange(3))
