"""Texts in tables: which column, pairs, ids, and what is no text."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from graft.core.errors import DataError
from graft.data.kinds import TEXT
from graft.data.readers import read_splits
from graft.data.texts import split_pair
from graft.deploy.inputs import list_examples


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def rows(**columns: list[Any]) -> list[dict[str, Any]]:
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


FOUR = ["a b", "c d", "e f", "g h"]
LABELS = ["x", "x", "y", "y"]


def test_usual_names_are_found(tmp_path: Path) -> None:
    data = read_splits(write(tmp_path / "t.jsonl", rows(text=FOUR, label=LABELS)), kind=TEXT)
    assert [data.train.read(i).decode() for i in range(4)] == FOUR
    assert data.train.ids == ["0", "1", "2", "3"]
    assert any("texts in the column 'text', labels in 'label'" in note for note in data.notes)


def test_the_longest_strings_are_the_texts_where_no_name_helps(tmp_path: Path) -> None:
    table = rows(code=["q", "r", "s", "t"], said=[f"{text} and more words" for text in FOUR], label=LABELS)
    data = read_splits(write(tmp_path / "t.jsonl", table), kind=TEXT)
    assert data.train.read(0) == b"a b and more words"


def test_columns_by_name_and_pairs(tmp_path: Path) -> None:
    table = write(tmp_path / "t.jsonl", rows(text=FOUR, other=FOUR[::-1], label=LABELS))
    data = read_splits(table, kind=TEXT, text_column="other", text_pair_column="text")
    assert split_pair(data.train.read(0).decode()) == ("g h", "a b")
    with pytest.raises(DataError, match="has no column 'texts'"):
        read_splits(table, kind=TEXT, text_column="texts")
    pairs = write(tmp_path / "p.jsonl", rows(premise=FOUR, hypothesis=FOUR[::-1], label=LABELS))
    assert split_pair(read_splits(pairs, kind=TEXT).train.read(0).decode()) == ("a b", "g h")


def test_a_folder_of_text_files_and_a_table_that_names_files(tmp_path: Path) -> None:
    for name, label in zip("abcd", LABELS, strict=True):
        (tmp_path / "texts" / label).mkdir(parents=True, exist_ok=True)
        (tmp_path / "texts" / label / f"{name}.txt").write_text(f"text {name}")
    found = read_splits(tmp_path / "texts", kind=TEXT).train
    assert found.read(0) == b"text a"
    table = rows(path=[f"texts/{label}/{name}.txt" for name, label in zip("abcd", LABELS, strict=True)], label=LABELS)
    assert read_splits(write(tmp_path / "t.jsonl", table), kind=TEXT).train.read(3) == b"text d"


def test_labels_that_are_numbers_to_predict(tmp_path: Path) -> None:
    table = write(tmp_path / "t.jsonl", rows(text=FOUR, label=[0.5, 1.25, 3.0, 2.0]))
    with pytest.raises(DataError, match="a number to predict, not a class") as caught:
        read_splits(table, kind=TEXT)
    assert "bin the numbers" in str(caught.value)


def test_labels_that_are_missing_and_cells_that_are_no_texts(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="line 2 has no label"):
        read_splits(write(tmp_path / "a.jsonl", rows(text=FOUR, label=["x", None, "y", "y"])), kind=TEXT)
    with pytest.raises(DataError, match="line 1 holds list where a text should be"):
        read_splits(write(tmp_path / "b.jsonl", rows(text=[["a"], *FOUR[1:]], label=LABELS)), kind=TEXT)


def test_a_wrong_encoding_is_named_by_its_line(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes("text,label\nplain,x\ncafé,y\n".encode("latin-1"))
    with pytest.raises(DataError, match=r"t\.csv, line 3 is not UTF-8 text: byte 3 of the line is 0xe9") as caught:
        read_splits(tmp_path / "t.csv", kind=TEXT)
    assert "iconv" in str(caught.value)


def test_messages_name_the_line_of_the_file_or_the_row(tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_text('text,label\n"two\nlines",x\n\nc d,x\ne f,y\ng h,y\n')
    train = read_splits(table, kind=TEXT).train
    assert [train.place(i) for i in range(4)] == [f"{table}, line {n}" for n in (2, 5, 6, 7)]
    assert train.select([2, 0]).place(1) == f"{table}, line 2"
    from datasets import Dataset

    Dataset.from_list(rows(text=FOUR, label=LABELS)).to_parquet(tmp_path / "t.parquet")
    assert read_splits(tmp_path / "t.parquet", kind=TEXT).train.place(3) == f"{tmp_path / 't.parquet'}, row 4"
    assert [i.place for i in list_examples([table], kind=TEXT)][1] == f"{table}, line 5"


def test_ids_of_two_tables_do_not_meet(tmp_path: Path) -> None:
    own = write(tmp_path / "a.jsonl", rows(text=FOUR, label=LABELS))
    other = write(tmp_path / "b.jsonl", rows(text=FOUR[::-1], label=LABELS[::-1]))
    data = read_splits(own, test=other, kind=TEXT)
    assert data.test is not None
    assert (data.train.ids, data.test.ids) == (["0", "1", "2", "3"], ["test/0", "test/1", "test/2", "test/3"])
    assert not any("had the id of another" in note for note in data.notes)


def test_a_column_of_unique_ids_names_the_rows(tmp_path: Path) -> None:
    table = rows(id=[11, "q2", "q 3", "4"], text=FOUR, label=LABELS)
    data = read_splits(write(tmp_path / "t.jsonl", table), kind=TEXT)
    assert data.train.ids == ["11", "q2", "q 3", "4"]
    assert any("ids in 'id'" in note and "unused" not in note for note in data.notes)
    table[1]["id"] = 11
    data = read_splits(write(tmp_path / "u.jsonl", table), kind=TEXT)
    assert data.train.ids == ["0", "1", "2", "3"]
    assert any("unused: id" in note for note in data.notes)
