"""Labels that are numbers: classes where they are whole, a regression where not, whatever form the table has."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from graft.core.errors import DataError
from graft.data.dataset import LabeledDataset
from graft.data.kinds import TEXT
from graft.data.readers import read_splits


def read(path: Path, labels: list[object]) -> LabeledDataset:
    table = pd.DataFrame({"text": [f"text {i}" for i in range(len(labels))], "label": labels})
    if path.suffix == ".parquet":
        table.to_parquet(path)
    else:
        table.to_csv(path, index=False, sep="\t" if path.suffix == ".tsv" else ",")
    return read_splits(path, kind=TEXT).train


@pytest.mark.parametrize("name", ["t.csv", "t.tsv", "t.parquet"])
def test_numbers_that_are_not_whole_are_no_classes(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match=r"(line 3|row 2) has the label '?1\.5'?: a number to predict.*regression"):
        read(tmp_path / name, [1.0, 1.5, 2.0] * 4)


@pytest.mark.parametrize("name", ["t.csv", "t.tsv", "t.parquet"])
def test_whole_floats_are_read_as_whole_numbers(tmp_path: Path, name: str) -> None:
    assert read(tmp_path / name, [1.0, 10.0, 2.0] * 4).label_names == ("1", "2", "10")


def test_numbers_among_words_stay_as_they_are_written(tmp_path: Path) -> None:
    assert read(tmp_path / "t.csv", ["1.5", "v2", "2.0"] * 2).label_names == ("1.5", "2.0", "v2")
    assert read(tmp_path / "u.csv", ["007", "008"] * 2).label_names == ("007", "008")
