from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from datasets import Dataset

from graft.core.errors import DataError
from graft.data.correcting import apply_corrections, content_hash, joined_labels
from graft.data.corrections import Correction, read_corrections, write_template
from graft.data.dataset import LabeledDataset, Splits

NAMES = ("cat", "dog")


def data(ids: str, labels: list[object]) -> LabeledDataset:
    content = [{"bytes": name.encode(), "path": None} for name in ids]
    return LabeledDataset(Dataset.from_dict({"id": [*ids], "content": content, "label": labels}), NAMES, source="here")


def splits() -> Splits:
    return Splits(data("abcde", [0, 0, 1, 1, 0]), test=data("xy", [0, 1]))


def written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


ROWS = [
    {"id": "a", "action": "drop"},
    {"id": "b", "action": "relabel", "label": "dog"},
    {"id": "c", "action": "keep", "label": "cat"},
    {"id": "d", "action": "", "label": "cat"},
]
FORMS = {
    "c.csv": "id,action,label\na,drop,\nb,relabel,dog\nc,keep,cat\nd,,cat\n",
    "c.json": json.dumps(ROWS),
    "c.jsonl": "\n".join(map(json.dumps, ROWS)),
}


@pytest.mark.parametrize("name", FORMS)
def test_the_three_forms_say_the_same(tmp_path: Path, name: str) -> None:
    found = read_corrections(written(tmp_path / name, FORMS[name]))
    assert {c.id: (c.action, c.labels) for c in found.values()} == {
        "a": ("drop", ()), "b": ("relabel", ("dog",)), "c": ("keep", ()),
    }  # fmt: skip
    done = apply_corrections(splits(), found)
    assert (done.train.ids, done.train.labels.tolist()) == (["b", "c", "d", "e"], [1, 1, 1, 0])
    assert done.notes[-1] == "corrections: 1 dropped, 1 relabelled, 1 looked at and kept"
    assert done.train.read(0) == b"b"


def test_sets_of_labels(tmp_path: Path) -> None:
    own = Splits(data("ab", [[0], [0, 1]]))
    path = written(tmp_path / "c.json", json.dumps([{"id": "a", "action": "relabel", "label": ["cat", "dog"]}]))
    assert apply_corrections(own, read_corrections(path)).train.labels.tolist() == [[1, 1], [1, 1]]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("id,action,label\na,delete,\n", r"line 2: action 'delete' for a"),
        ("id,action,label\nb,drop,\na,relabel,\n", r"line 3: no new label for a"),
        ("id,action,label\na,drop,\na,keep,\n", r"line 3: a stands already in .*line 2"),
        ("id,action,label\n,drop,\n", r"line 2 has no id"),
        ("name,action\na,drop\n", "has no column id"),
    ],
)
def test_wrong_rows_are_named(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(DataError, match=told):
        read_corrections(written(tmp_path / "c.csv", text))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("q,drop,\n", r"line 2: no example q"),
        ("a,relabel,dgo\n", r"line 2: no label 'dgo' for a.*dog"),
        ("c,drop,\nd,drop,\n", r"leave train without examples of 'dog'"),
        ("x,drop,\ny,drop,\n", r"leave test without examples"),
    ],
)
def test_what_the_data_does_not_have_is_named(tmp_path: Path, text: str, told: str) -> None:
    found = read_corrections(written(tmp_path / "c.csv", f"id,action,label\n{text}"))
    with pytest.raises(DataError, match=told):
        apply_corrections(splits(), found)


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        read_corrections(tmp_path / "none.csv")
    with pytest.raises(DataError, match="is no JSON"):
        read_corrections(written(tmp_path / "c.json", "[{"))
    with pytest.raises(DataError, match="row 1 is int"):
        read_corrections(written(tmp_path / "c.json", "[1]"))


def test_a_template_does_nothing_until_it_is_filled_in(tmp_path: Path) -> None:
    path = tmp_path / "template.csv"
    write_template(path, [{"id": "a", "action": "", "label": "dog", "check": "label_errors"}])
    assert read_corrections(path) == {}
    path.write_text(path.read_text().replace("a,,dog", "a,relabel,dog"))
    assert read_corrections(path)["a"].labels == ("dog",)


@pytest.mark.parametrize(
    ("cell", "labels"), [("cat|dog", [1, 1]), ("dog, cat", [1, 1]), ("dog", [0, 1]), ("[]", [0, 0])]
)
def test_a_cell_holds_the_whole_set(tmp_path: Path, cell: str, labels: list[int]) -> None:
    own = Splits(data("abcd", [[0], [0, 1], [0], [1]]))
    path = written(tmp_path / "c.csv", f'id,action,label\na,relabel,"{cell}"\n')
    assert apply_corrections(own, read_corrections(path)).train.labels.tolist() == [labels, [1, 1], [1, 0], [0, 1]]
    with pytest.raises(DataError, match="no label 'not cat'") as caught:
        apply_corrections(own, read_corrections(written(path, "id,action,label\na,relabel,not cat\n")))
    assert "whole set, such as cat|dog" in caught.value.fix


def test_labels_that_hold_signs_come_back_as_they_were() -> None:
    own = Splits(replace(data("ab", [[0], [0, 1]]), label_names=("Paris, France", "a|b")))
    cell = joined_labels(["Paris, France", "a|b"])
    assert cell == "Paris, France;a|b"
    found = {"a": Correction("a", "relabel", (cell,), "row 1"), "b": Correction("b", "relabel", ("a|b",), "row 2")}
    assert apply_corrections(own, found).train.labels.tolist() == [[1, 1], [0, 1]]


def numbered(names: list[str], held: list[str]) -> Splits:
    content = [{"bytes": text.encode(), "path": None} for text in held]
    rows = Dataset.from_dict({"id": names, "content": content, "label": [i % 2 for i in range(len(names))]})
    return Splits(LabeledDataset(rows, NAMES, source="here"))


def test_a_row_that_moved_is_no_longer_the_one_that_was_meant(tmp_path: Path) -> None:
    before = numbered(["0", "1", "2", "3", "4"], ["one", "two", "three", "four", "five"])
    digest = content_hash(before.train, 3)
    path = written(tmp_path / "c.csv", f"id,action,label,content_hash\n3,drop,,{digest}\n")
    assert apply_corrections(before, read_corrections(path)).train.ids == ["0", "1", "2", "4"]
    after = numbered(["0", "1", "2", "3"], ["two", "three", "four", "five"])
    with pytest.raises(DataError, match=r"line 2: example 3 holds something else .* now 2") as caught:
        apply_corrections(after, read_corrections(path))
    assert "write 2 as the id" in caught.value.fix
    found = apply_corrections(after, read_corrections(written(path, "id,action,label\n3,drop,\n")))
    assert "1 name a row by its number alone" in found.notes[-1]


def test_numbers_are_found_however_they_are_padded(tmp_path: Path) -> None:
    own = numbered(["000", "001", "train/07", "7x", "004"], ["a", "b", "c", "d", "e"])
    path = written(tmp_path / "c.csv", "id,action,label\n0,keep,\n01,drop,\ntrain/7,relabel,dog\n")
    done = apply_corrections(own, read_corrections(path)).train
    assert (done.ids, done.labels.tolist()) == (["000", "train/07", "7x", "004"], [0, 1, 1, 0])
    with pytest.raises(DataError, match="line 3: 00 stands already"):
        apply_corrections(own, read_corrections(written(path, "id,action,label\n0,keep,\n00,drop,\n")))
