from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
import pytest

from graft.core.errors import DataError
from graft.core.types import UNKNOWN, MultiLabelPredictions
from graft.data.prediction_files import read_prediction_file

ROWS = [
    {"id": "01", "split": "test", "target": "cat", "p_cat": 0.9, "p_dog": 0.1, "camera": "a"},
    {"id": "02", "split": "test", "target": None, "p_cat": 0.0, "p_dog": 1.0, "camera": "b"},
    {"id": "01", "split": "night", "target": "dog", "p_cat": 0.25, "p_dog": 0.75, "camera": "a"},
]


def write_csv(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl", "parquet"])
def test_the_same_from_every_form(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"p.{kind}"
    if kind == "parquet":
        parquet.write_table(pa.Table.from_pylist(ROWS), path)
    elif kind == "jsonl":
        path.write_text("\n".join(json.dumps(row) for row in ROWS), encoding="utf-8")
    else:
        sign = "\t" if kind == "tsv" else ","
        table = [list(ROWS[0]), *(list(row.values()) for row in ROWS)]
        write_csv(path, *(sign.join("" if v is None else str(v) for v in row) for row in table))
    found = read_prediction_file(path)
    assert list(found.predictions) == ["test", "night"]
    test = found.predictions["test"]
    assert test.ids == ["01", "02"], "ids are words, whatever they look like"
    assert test.label_names == ("cat", "dog")
    assert test.targets.tolist() == [0, -1]
    assert np.allclose(test.probabilities, [[0.9, 0.1], [0.0, 1.0]])
    assert found.columns["test"] == {"camera": ["a", "b"]}
    assert found.has_probabilities


def test_answers_alone(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "p.csv", "label,prediction", "b,a", "a,a", "2,b")
    found = read_prediction_file(path)
    assert not found.has_probabilities
    assert found.predictions["test"].label_names == ("2", "a", "b")
    assert found.predictions["test"].ids == ["1", "2", "3"]
    assert found.predictions["test"].is_correct.tolist() == [False, True, False]


def test_an_answer_that_is_not_the_likeliest_is_told(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "p.csv", "target,prediction,p_a,p_b", "a,b,0.9,0.1", "a,a,0.9,0.1")
    assert read_prediction_file(path).notes == (
        "in 1 rows the prediction is not the likeliest class; the likeliest is judged",
    )


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (["id,p_a,p_b", "1,0.5,0.5"], "no column 'target'"),
        (["id,target", "1,a"], "p_<label> or prediction"),
        (["id,target,p_a,p_b", "1,a,0.5,0.6"], r"do not sum to one; the first is '1': 0.5, 0.6 \(sum 1.1\)"),
        (["id,target,p_a,p_b", "1,a,2.5,-1.5"], "not from 0 to 1"),
        (["id,target,p_a,p_b", "1,a,0.5,0.5", "2,a,nan,1"], "NaN"),
        (["id,target,p_a,p_b", "1,a,0.5,"], "NaN, empty"),
        (["id,target,p_cat,p_dog", "1,cats,0.5,0.5"], "target 'cats' of '1'. Did you mean 'cat'"),
        (["id,target,p_a,p_b", "1,a,0.5,0.5", "1,b,0.5,0.5"], "id '1' stands twice"),
        (["id,target,p_a,p_b", "1,a,high,0.5"], "no numbers"),
        (["id,target,prediction", "1,a,"], "no prediction for '1'"),
        (["id,target,p_a,p_b"], "no rows"),
    ],
)
def test_refuses_what_cannot_be_judged(tmp_path: Path, lines: list[str], words: str) -> None:
    with pytest.raises(DataError, match=words):
        read_prediction_file(write_csv(tmp_path / "p.csv", *lines))


def test_refuses_mixed_forms_other_endings_and_absent_files(tmp_path: Path) -> None:
    parquet.write_table(pa.table({"target": ["a"], "prediction": [["a"]]}), tmp_path / "p.parquet")
    with pytest.raises(DataError, match="the prediction of '1' is"):
        read_prediction_file(tmp_path / "p.parquet")
    with pytest.raises(DataError, match="no file"):
        read_prediction_file(tmp_path / "q.csv")
    with pytest.raises(DataError, match="unknown ending"):
        read_prediction_file(write_csv(tmp_path / "p.xls", "x"))


def write_sets(path: Path, *rows: dict[str, object]) -> Path:
    path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    return path


def test_sets_of_labels_with_the_thresholds_that_the_answers_tell(tmp_path: Path) -> None:
    path = write_sets(
        tmp_path / "p.jsonl",
        {"id": "a", "target": ["cat", "dog"], "prediction": ["cat"], "p_cat": 0.3, "p_dog": 0.6, "camera": "x"},
        {"id": "b", "target": [], "prediction": [], "p_cat": 0.2, "p_dog": 0.0, "camera": "y"},
        {"id": "c", "target": None, "prediction": ["dog"], "p_cat": 0.1, "p_dog": 1.0, "camera": "y"},
    )
    found = read_prediction_file(path)
    test = found.predictions["test"]
    assert isinstance(test, MultiLabelPredictions)
    assert test.label_names == ("cat", "dog")
    assert test.targets.tolist() == [[1, 1], [0, 0], [UNKNOWN, UNKNOWN]]
    assert test.predicted.tolist() == [[1, 0], [0, 0], [0, 1]], "cat from 0.3 on, dog above 0.6"
    assert test.is_known.tolist() == [True, True, False]
    assert found.columns["test"] == {"camera": ["x", "y", "y"]}
    assert found.notes == ()


def test_answers_that_no_threshold_gives_are_counted(tmp_path: Path) -> None:
    rows = [{"target": ["a"], "prediction": ["a"] if p < 0.5 else [], "p_a": p} for p in (0.2, 0.4, 0.7)]
    found = read_prediction_file(write_sets(tmp_path / "p.jsonl", *rows))
    assert found.notes == ("in 3 rows no threshold for each label gives the answer; the threshold is judged",)
    assert found.predictions["test"].predicted.tolist() == [[0], [0], [1]]


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([{"target": ["a"], "prediction": ["a"]}], "sets of labels without probabilities"),
        ([{"target": ["a"], "p_a": 0.1}, {"target": ["b"], "p_a": 0.1}], "target 'b' of '2'"),
        ([{"target": ["a"], "p_a": 1.3}], "rows have probabilities that are NaN, empty, or not from 0 to 1"),
        ([{"target": ["a"], "p_a": None}], "rows have probabilities that are NaN"),
    ],
)
def test_sets_that_cannot_be_judged(tmp_path: Path, rows: list[dict[str, object]], words: str) -> None:
    with pytest.raises(DataError, match=words):
        read_prediction_file(write_sets(tmp_path / "p.jsonl", *rows))
