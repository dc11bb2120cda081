from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from graft.data.kinds import RECORDING
from graft.data.readers import read_splits


def table(folder: Path, name: str, speakers: list[str], *, column: str = "Speaker-ID") -> Path:
    """Write a table of recordings (their files are empty: nothing is opened) with a speaker each."""
    path = folder / f"{name}.csv"
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["file", "label", column])
        for i, speaker in enumerate(speakers):
            (folder / f"{name}{i}.wav").touch()
            writer.writerow([f"{name}{i}.wav", "yes" if i % 2 else "no", speaker])
    return path


def test_a_column_that_looks_like_groups_is_known_but_not_used(tmp_path: Path) -> None:
    splits = read_splits(table(tmp_path, "a", ["x", "y"] * 4), kind=RECORDING)
    train = splits.train
    assert train.groups is None
    assert train.suspected_groups is not None
    assert (train.group_column, len(np.unique(train.suspected_groups))) == ("Speaker-ID", 2)
    note = next(note for note in splits.notes if "looks as if it held groups" in note)
    assert "--group-column Speaker-ID" in note
    assert train.select([0, 2, 3]).suspected_groups.tolist() == [0, 0, 1]  # type: ignore[union-attr]


def test_a_column_that_is_named_is_used_and_not_suspected(tmp_path: Path) -> None:
    splits = read_splits(table(tmp_path, "a", ["x", "y"] * 4), kind=RECORDING, group_column="Speaker-ID")
    assert splits.train.suspected_groups is None
    assert splits.train.groups is not None
    assert splits.train.group_column == "Speaker-ID"
    assert not any("looks as if" in note for note in splits.notes)


@pytest.mark.parametrize(
    ("speakers", "column"),
    [(["x"] * 8, "speaker"), ([str(i) for i in range(8)], "speaker"), (["x", "y"] * 4, "colour")],
)
def test_one_value_all_values_or_another_name_raise_no_suspicion(
    speakers: list[str], column: str, tmp_path: Path
) -> None:
    splits = read_splits(table(tmp_path, "a", speakers, column=column), kind=RECORDING)
    assert splits.train.suspected_groups is None


def test_speakers_on_both_sides_are_counted_even_where_they_are_not_used(tmp_path: Path) -> None:
    test = table(tmp_path, "b", ["y", "z", "z", "y"])
    splits = read_splits(table(tmp_path, "a", ["x", "y"] * 4), test=test, kind=RECORDING)
    assert any(note.startswith("1 groups stand both in train and in test") for note in splits.notes)
