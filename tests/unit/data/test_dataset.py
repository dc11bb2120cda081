from __future__ import annotations

import os
import pickle
import time
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
from datasets import Dataset

from graft.core.errors import DataError
from graft.core.files import hash_bytes
from graft.data.dataset import LabeledDataset, Splits


def of_files(folder: Path, n: int = 6) -> LabeledDataset:
    for i in range(n):
        (folder / f"{i}.bin").write_bytes(b"content %d" % i)
    names = [f"{i}.bin" for i in range(n)]
    rows = Dataset.from_dict({"id": names, "content": names, "label": [i % 2 for i in range(n)]})
    return LabeledDataset(rows, ("a", "b"), source="files", root=str(folder), groups=np.arange(n) // 2)


def of_bytes(n: int = 6) -> LabeledDataset:
    cells = [{"bytes": b"content %d" % i, "path": None} for i in range(n)]
    rows = Dataset.from_dict({"id": [str(i) for i in range(n)], "content": cells, "label": [i % 2 for i in range(n)]})
    return LabeledDataset(rows, ("a", "b"), source="memory")


def test_both_kinds_of_content_read_alike(tmp_path: Path) -> None:
    files, memory = of_files(tmp_path), of_bytes()
    assert list(files) == list(memory) == [b"content %d" % i for i in range(6)]
    assert files.content_hashes() == memory.content_hashes() == [hash_bytes(b"content %d" % i) for i in range(6)]
    assert files.fingerprint == memory.fingerprint
    assert files.class_counts.tolist() == [3, 3]


def test_many_examples_are_hashed_in_order() -> None:
    data = of_bytes(1500)
    assert data.content_hashes() == [hash_bytes(b"content %d" % i) for i in range(1500)]


def test_select_keeps_order_labels_groups_and_hashes(tmp_path: Path) -> None:
    data = of_files(tmp_path)
    before = data.content_hashes()
    chosen = data.select(np.array([5, 0, 3]))
    assert chosen.ids == ["5.bin", "0.bin", "3.bin"]
    assert chosen.labels.tolist() == [1, 0, 1]
    assert chosen.groups is not None
    assert chosen.groups.tolist() == [2, 0, 1]
    assert chosen.read(0) == b"content 5"
    assert chosen.content_hashes() == [before[5], before[0], before[3]]
    assert of_bytes().select([2, 4]).select([1]).read(0) == b"content 4"
    assert len(data.select([])) == 0


def test_the_fingerprint_sees_bytes_labels_names_and_order(tmp_path: Path) -> None:
    data = of_files(tmp_path)
    seen = {data.fingerprint, data.select([1, 0, 2, 3, 4, 5]).fingerprint, data.select([0, 1]).fingerprint}
    seen.add(LabeledDataset(data.rows, ("a", "c"), root=data.root).fingerprint)
    (tmp_path / "3.bin").write_bytes(b"other")
    seen.add(LabeledDataset(data.rows, ("a", "b"), root=data.root).fingerprint)
    assert len(seen) == 5


def test_workers_read_the_same_bytes(tmp_path: Path) -> None:
    data = of_files(tmp_path)
    data.content_hashes()
    if hasattr(os, "fork"):
        with get_context("fork").Pool(1) as pool:
            assert pool.apply(data.read, (4,)) == b"content 4"
            assert pool.apply(of_bytes().read, (4,)) == b"content 4"
    back = pickle.loads(pickle.dumps(data))  # noqa: S301  our own bytes
    assert list(back) == list(data)
    assert back.fingerprint == data.fingerprint


def test_reading_costs_little_beside_the_file(tmp_path: Path) -> None:
    data = of_files(tmp_path)
    start = time.perf_counter()
    for _ in range(500):
        data.place(3)
    assert (time.perf_counter() - start) / 500 < 50e-6
    rows = of_bytes(1000)
    start = time.perf_counter()
    for i in range(1000):
        rows.read(i)
    assert (time.perf_counter() - start) / 1000 < 500e-6  # 30 us on a quiet core


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    data = of_files(tmp_path)
    (tmp_path / "4.bin").unlink()
    with pytest.raises(DataError, match=r"4\.bin is missing"):
        data.read(4)
    with pytest.raises(DataError, match=r"4\.bin is missing"):
        data.content_hashes()


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    data = of_files(tmp_path)
    (tmp_path / "2.bin").unlink()
    (tmp_path / "2.bin").mkdir()
    with pytest.raises(DataError, match=r"2\.bin cannot be read: "):
        data.read(2)


def test_an_empty_cell_is_named() -> None:
    cells = [{"bytes": None, "path": None}, {"bytes": b"x", "path": None}]
    rows = Dataset.from_dict({"id": ["r0", "r1"], "content": cells, "label": [0, 0]})
    data = LabeledDataset(rows, ("a",), source="table")
    assert data.read(1) == b"x"
    with pytest.raises(DataError, match="r0 of table is empty"):
        data.read(0)


def test_what_a_row_must_have() -> None:
    with pytest.raises(DataError, match="has the columns id"):
        LabeledDataset(Dataset.from_dict({"id": ["a"]}), ("a",))
    with pytest.raises(DataError, match="same id twice"):
        LabeledDataset(Dataset.from_dict({"id": ["a", "a"], "content": ["x", "y"], "label": [0, 0]}), ("a",))
    with pytest.raises(DataError, match="label numbers from 0 to 1"):
        LabeledDataset(Dataset.from_dict({"id": ["a", "b"], "content": ["x", "y"], "label": [0, 1]}), ("a",))
    rows = Dataset.from_dict({"id": ["a"], "content": ["x"], "label": [0]})
    with pytest.raises(DataError, match="groups for 1 examples"):
        LabeledDataset(rows, ("a",), groups=np.array([0, 1]))


def test_labels_cannot_be_changed(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="read-only"):
        of_files(tmp_path).labels[0] = 1


def test_splits_name_what_is_there() -> None:
    data = of_bytes()
    assert list(Splits(data, test=data).present()) == ["train", "test"]
