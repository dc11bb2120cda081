"""Which texts a model is given: by the columns that it was fitted to, and never one where it reads two."""

from __future__ import annotations

from pathlib import Path

import pytest

from graft.core.errors import DataError
from graft.data.kinds import TEXT
from graft.data.readers import read_labeled, read_splits
from graft.data.texts import join_pair
from graft.deploy.inputs import list_examples

PAIR = ("lefty", "righty")


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "pairs.csv"
    path.write_text("lefty,righty,label\nthe longer first text,one,x\nanother longer text,two,y\n")
    return path


def test_the_columns_that_the_model_was_fitted_to_are_read(table: Path) -> None:
    found = [i.content.decode() for i in list_examples([table], kind=TEXT, known_texts=PAIR)]
    assert found == [join_pair("the longer first text", "one"), join_pair("another longer text", "two")]
    assert [i.content for i in list_examples([table], kind=TEXT, known_texts=("righty",))] == [b"one", b"two"]
    labelled = read_labeled(table, label_names=("x", "y"), kind=TEXT, known_texts=PAIR)
    assert [labelled.read(i).decode() for i in range(2)] == found


def test_other_names_are_given_or_told(table: Path) -> None:
    told: list[str] = []
    given = {"text_column": "righty", "text_pair_column": "lefty"}
    found = list_examples([table], kind=TEXT, known_texts=("a", "b"), **given)
    assert next(found).content.decode() == join_pair("one", "the longer first text")
    next(list_examples([table], kind=TEXT, known_texts=("said",), say=told.append))
    assert "read from 'lefty'; the model was fitted to 'said'" in told[0]


@pytest.mark.parametrize("text", ["text,label\na b,x\n", "a b\n"])
def test_one_text_is_refused_where_the_model_reads_two(tmp_path: Path, text: str) -> None:
    path = tmp_path / ("one.csv" if "," in text else "one.txt")
    path.write_text(text)
    with pytest.raises(DataError, match=r"one text an example was found.*reads pairs") as caught:
        list(list_examples([path], kind=TEXT, known_texts=PAIR))
    assert "--text-pair-column" in caught.value.fix


def test_two_texts_are_refused_where_the_model_reads_one(tmp_path: Path) -> None:
    path = tmp_path / "two.csv"
    path.write_text("premise,hypothesis,label\na,b,x\n")
    with pytest.raises(DataError, match="two texts an example were found"):
        list(list_examples([path], kind=TEXT, known_texts=("text",)))
    with pytest.raises(DataError, match="two texts an example were found"):
        read_labeled(path, label_names=("x",), kind=TEXT, known_texts=())


def test_all_splits_have_as_many_texts_an_example(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("premise,hypothesis,label\na,b,x\nc,d,x\ne,f,y\ng,h,y\n")
    (tmp_path / "b.csv").write_text("premise,label\na,x\nc,y\n")
    with pytest.raises(DataError, match="one text an example was found in 'premise'"):
        read_splits(tmp_path / "a.csv", test=tmp_path / "b.csv", kind=TEXT)


def test_what_cannot_be_read_is_said_before_the_first_text_is_given(tmp_path: Path) -> None:
    good, empty, latin = tmp_path / "good.csv", tmp_path / "empty.csv", tmp_path / "latin.txt"
    good.write_text("text,label\na b,x\n")
    empty.write_text("text,label\na b,x\n\n ,x\n")
    latin.write_bytes("first\nd\xe9j\xe0\n".encode("latin-1"))
    for path, told in ((empty, r"empty\.csv, line 4 is empty"), (latin, r"latin\.txt, line 2 is not UTF-8")):
        with pytest.raises(DataError, match=told):
            next(list_examples([good, path], kind=TEXT, refuse_empty=True))
    assert len(list(list_examples([good, empty], kind=TEXT))) == 3
    with pytest.raises(DataError, match="no such file or folder"):
        next(list_examples([good, tmp_path / "none.csv"], kind=TEXT))
