from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator

import pytest

from graft.core.errors import DataError
from graft.deploy.prediction import Prediction
from graft.deploy.writers import WRITERS, write_csv, write_jsonl

ROWS = [
    Prediction('a,"b".jpg', "rose", 0.75, (0.75, 0.25)),
    Prediction("ü.jpg", "", 0.0, (), "ü.jpg cannot be read"),
]


def test_csv_keeps_every_text() -> None:
    file = io.StringIO()
    assert write_csv(ROWS, file) == 2
    rows = list(csv.DictReader(io.StringIO(file.getvalue())))
    assert rows == [
        {"id": 'a,"b".jpg', "prediction": "rose", "probability": "0.750000", "error": ""},
        {"id": "ü.jpg", "prediction": "", "probability": "", "error": "ü.jpg cannot be read"},
    ]


def test_jsonl_holds_all_probabilities_or_the_error() -> None:
    file = io.StringIO()
    assert write_jsonl(ROWS, file) == 2
    first, second = map(json.loads, file.getvalue().splitlines())
    assert first == {"id": 'a,"b".jpg', "prediction": "rose", "probability": 0.75, "probabilities": [0.75, 0.25]}
    assert second["error"] == "ü.jpg cannot be read"
    assert "probabilities" not in second


def test_rows_are_written_as_they_come() -> None:
    for write in WRITERS.values():
        file = io.StringIO()

        def rows(file: io.StringIO = file) -> Iterator[Prediction]:
            yield ROWS[0]
            assert "rose" in file.getvalue()
            yield ROWS[1]

        assert write(rows(), file) == 2


def test_nothing_to_write() -> None:
    file = io.StringIO()
    assert write_csv([], file) == 0
    assert file.getvalue().strip() == "id,prediction,probability,error"


LABEL_ROWS = [
    Prediction("a.jpg", "sky", 0.9, (0.2, 0.9, 0.7), labels=("sky", "sea|side"), label_probabilities=(0.9, 0.7)),
    Prediction("b.jpg", "", 0.2, (0.2, 0.1, 0.1), labels=()),
    Prediction("c.jpg", "", 0.0, (), "c.jpg cannot be read"),
]


def test_all_labels_stand_in_one_cell() -> None:
    file = io.StringIO()
    assert write_csv(LABEL_ROWS, file) == 3
    rows = list(csv.DictReader(io.StringIO(file.getvalue())))
    assert [row["prediction"] for row in rows] == ["sky|sea||side", "", ""]
    assert [row["probability"] for row in rows] == ["0.900000|0.700000", "", ""]


def test_all_labels_stand_in_one_list() -> None:
    file = io.StringIO()
    write_jsonl(LABEL_ROWS, file)
    first, second, third = map(json.loads, file.getvalue().splitlines())
    assert (first["prediction"], first["probability"]) == (["sky", "sea|side"], [0.9, 0.7])
    assert (second["prediction"], second["probability"], second["probabilities"]) == ([], [], [0.2, 0.1, 0.1])
    assert third["error"] == "c.jpg cannot be read"


def test_nothing_is_written_of_what_cannot_begin() -> None:
    def failing() -> Iterator[Prediction]:
        raise DataError("nothing to predict")
        yield

    file = io.StringIO()
    with pytest.raises(DataError):
        write_csv(failing(), file)
    assert not file.getvalue()
    assert write_csv([], file) == 0
    assert file.getvalue().startswith("id,prediction")
