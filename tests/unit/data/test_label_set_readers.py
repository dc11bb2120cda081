"""Tables whose examples have any number of labels, from the file to the matrix."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as parquet
import pytest
from datasets import ClassLabel, Dataset, Features, List, Value

from graft.core.errors import DataError
from graft.data.kinds import TEXT
from graft.data.readers import read_labeled, read_splits

SETS: list[list[str]] = [["b", "a"], [], ["a"], ["b", "c"], ["c"], ["a", "c"], ["b"], []]
MATRIX = [[int(name in own) for name in "abc"] for own in SETS]


def write_csv(path: Path, cells: list[str]) -> Path:
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label"])
        writer.writerows([f"text {i}", cell] for i, cell in enumerate(cells))
    return path


def write_jsonl(path: Path, cells: list[Any]) -> Path:
    rows = [{"text": f"text {i}", "labels": cell} for i, cell in enumerate(cells)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_lists_in_jsonl_parquet_and_saved_data_sets(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "a.jsonl", SETS)
    columns = {"text": [f"text {i}" for i in range(8)], "labels": SETS}
    parquet.write_table(pa.table(columns), tmp_path / "b.parquet")
    Dataset.from_dict(columns).save_to_disk(tmp_path / "saved")
    for data in ("a.jsonl", "b.parquet", "saved"):
        splits = read_splits(tmp_path / data, kind=TEXT)
        assert splits.train.label_names == ("a", "b", "c")
        assert splits.train.labels.tolist() == MATRIX
        assert "any number of labels, 1.1 on average; 3 labels (a, b, c)" in splits.notes[0]


def test_numbers_of_declared_labels_are_their_names_in_the_datas_order(tmp_path: Path) -> None:
    numbers = [["cba".index(name) for name in own] for own in SETS]
    kinds = Features({"text": Value("string"), "labels": List(ClassLabel(names=["c", "b", "a", "never"]))})
    rows = Dataset.from_dict({"text": [f"text {i}" for i in range(8)], "labels": numbers}, features=kinds)
    rows.save_to_disk(tmp_path / "saved")
    splits = read_splits(tmp_path / "saved", kind=TEXT)
    assert splits.train.label_names == ("c", "b", "a")
    assert splits.train.labels.tolist() == [row[::-1] for row in MATRIX]
    assert any("1 declared classes have no example" in note for note in splits.notes)


@pytest.mark.parametrize("sign", ["|", ";", ","])
def test_texts_of_labels_are_taken_apart_only_where_that_is_asked_for(tmp_path: Path, sign: str) -> None:
    data = write_csv(tmp_path / "a.csv", [f" {sign} ".join(own) for own in SETS])
    assert read_splits(data, kind=TEXT, multi_label=True).train.labels.tolist() == MATRIX
    with pytest.raises(DataError, match="has no label"):
        read_splits(data, kind=TEXT)


def test_splits_in_other_forms_are_sets_too(tmp_path: Path) -> None:
    train = write_jsonl(tmp_path / "train.jsonl", SETS)
    test = write_csv(tmp_path / "test.csv", ["a", "c"])
    splits = read_splits(train, test=test, kind=TEXT)
    assert splits.test is not None
    assert splits.test.labels.tolist() == [[1, 0, 0], [0, 0, 1]]


def test_lists_where_train_has_classes_are_an_error(tmp_path: Path) -> None:
    train = write_csv(tmp_path / "train.csv", ["a", "b", "a", "b"])
    test = write_jsonl(tmp_path / "test.jsonl", [["a"], ["a", "b"]])
    with pytest.raises(DataError, match="lists of labels, where") as caught:
        read_splits(train, test=test, kind=TEXT)
    assert "--multi-label" in str(caught.value)
    with pytest.raises(DataError, match="the model says one class an example"):
        read_labeled(test, label_names=("a", "b"), kind=TEXT)


def test_for_a_model_of_several_labels(tmp_path: Path) -> None:
    data = write_csv(tmp_path / "a.csv", ["a|c", "", "b"])
    found = read_labeled(data, label_names=("c", "a", "b"), kind=TEXT, multi_label=True)
    assert found.labels.tolist() == [[1, 1, 0], [0, 0, 0], [0, 0, 1]]


def test_lists_of_exactly_one_are_said(tmp_path: Path) -> None:
    data = write_jsonl(tmp_path / "a.jsonl", [["a"], ["b"], ["a"], ["b"]])
    assert "each of exactly one" in read_splits(data, kind=TEXT).notes[0]


@pytest.mark.parametrize(
    ("cells", "words"),
    [
        ([["a"], None, ["a"], []], "line 2 has no list of labels"),
        ([["a"], [1.5], ["a"], []], "line 2, in its list of labels, has the label 1.5"),
        ([["a"], ["b"], ["a"], []], "fewer than 2 examples with the label 'b'"),
        ([[], [], []], "holds no labels"),
    ],
)
def test_what_cannot_be_meant_is_named(tmp_path: Path, cells: list[Any], words: str) -> None:
    with pytest.raises(DataError, match=words):
        read_splits(write_jsonl(tmp_path / "a.jsonl", cells), kind=TEXT)
