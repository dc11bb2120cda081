from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
import pytest

from graft.core.errors import DataError
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


def test_refuses_label_sets_other_endings_and_absent_files(tmp_path: Path) -> None:
    parquet.write_table(pa.table({"target": [["a", "b"]], "prediction": [["a"]]}), tmp_path / "p.parquet")
    with pytest.raises(DataError, match="the target of '1' is"):
        read_prediction_file(tmp_path / "p.parquet")
    with pytest.raises(DataError, match="no file"):
        read_prediction_file(tmp_path / "q.csv")
    with pytest.raises(DataError, match="unknown ending"):
        read_prediction_file(write_csv(tmp_path / "p.xls", "x"))
