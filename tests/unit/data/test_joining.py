from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from datasets import Dataset

from graft.core.errors import DataError
from graft.data.dataset import LabeledDataset
from graft.data.joining import join_groups, joined


def on_disk(folder: Path, names: str) -> LabeledDataset:
    folder.mkdir()
    for name in names:
        (folder / name).write_bytes(name.encode())
    rows = {"id": [f"{folder.name}/{name}" for name in names], "content": [*names], "label": [0] * len(names)}
    return LabeledDataset(Dataset.from_dict(rows), ("one",), root=str(folder), groups=np.arange(len(names)))


def test_examples_of_two_folders(tmp_path: Path) -> None:
    both = joined(on_disk(tmp_path / "a", "xy"), on_disk(tmp_path / "b", "z"))
    assert both.ids == ["a/x", "a/y", "b/z"]
    assert list(both) == [b"x", b"y", b"z"]
    assert both.groups is not None
    assert both.groups.tolist() == [0, 1, 0]


def test_examples_of_one_folder_stay_relative(tmp_path: Path) -> None:
    whole = on_disk(tmp_path / "a", "xyz")
    both = joined(whole.select([2]), whole.select([0, 1]))
    assert (list(both), both.root, both.rows["content"][:]) == ([b"z", b"x", b"y"], whole.root, ["z", "x", "y"])


def test_two_forms_cannot_be_joined(tmp_path: Path) -> None:
    rows = {"id": ["q"], "content": [{"bytes": b"q", "path": None}], "label": [0]}
    with pytest.raises(DataError, match="different forms"):
        joined(on_disk(tmp_path / "a", "x"), LabeledDataset(Dataset.from_dict(rows), ("one",)))


def test_groups_join_what_either_joins() -> None:
    assert join_groups(np.array([3, 3, 1, 0, 2]), np.array([0, 1, 1, 2, 3])).tolist() == [0, 0, 0, 1, 2]
