from __future__ import annotations

from pathlib import Path

import pytest
from datasets import Dataset

from graft.core.errors import DataError, UsageError
from graft.data.readers import read_splits

from .written_data import make_files, make_folder, picture, write_csv, write_jsonl, write_table


class TestErrors:
    """What a user does wrong, and what must be said."""

    def test_no_such_folder(self, tmp_path: Path) -> None:
        make_folder(tmp_path / "flowers", {"a": 2, "b": 2})
        with pytest.raises(DataError, match=r"no such file or folder: .*flower\. Did you mean 'flowers'\?"):
            read_splits(tmp_path / "flower")
        with pytest.raises(DataError, match=r"There is no folder .*nowhere either"):
            read_splits(str(tmp_path / "nowhere" / "x.csv"))

    def test_empty_class(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match="class folders without a picture: 'cat'"):
            read_splits(make_folder(tmp_path, {"dog": 2, "cat": 0, "emu": 2}))

    def test_one_class(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match="holds one class only, 'dog', with 3 examples"):
            read_splits(make_folder(tmp_path, {"dog": 3}))

    def test_one_example_of_a_class(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match="one example only of the class 'cat'") as error:
            read_splits(make_folder(tmp_path, {"dog": 3, "cat": 1}))
        assert "2 are needed to hold one out" in str(error.value)

    def test_nothing_inside(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match="holds no pictures and no table"):
            read_splits(tmp_path)
        (tmp_path / "cat").mkdir()
        with pytest.raises(DataError, match="only empty folders: cat"):
            read_splits(tmp_path)

    def test_pictures_without_classes(self, tmp_path: Path) -> None:
        for i in range(3):
            (tmp_path / f"{i}.png").write_bytes(picture(i))
        with pytest.raises(DataError, match="holds 3 pictures but no subfolders"):
            read_splits(tmp_path)
        with pytest.raises(DataError, match="is one picture"):
            read_splits(tmp_path / "0.png")

    def test_no_train_split(self, tmp_path: Path) -> None:
        make_folder(tmp_path / "test", {"a": 2, "b": 2})
        with pytest.raises(DataError, match="has the splits test, but none to train with"):
            read_splits(tmp_path)

    def test_two_folders_or_tables_for_one_split(self, tmp_path: Path) -> None:
        for split in ("train", "val", "dev"):
            make_folder(tmp_path / "f" / split, {"a": 2, "b": 2})
        with pytest.raises(DataError, match="several folders for valid: dev, val"):
            read_splits(tmp_path / "f")
        for name in ("train.csv", "train.jsonl"):
            write_table(tmp_path / name, [{"path": "x", "label": "y"}])
        with pytest.raises(DataError, match=r"several tables for train: train\.csv, train\.jsonl"):
            read_splits(tmp_path)
        for name in ("a.csv", "b.csv"):
            (tmp_path / "t").mkdir(exist_ok=True)
            write_table(tmp_path / "t" / name, [{"path": "x", "label": "y"}])
        with pytest.raises(DataError, match=r"several tables: a\.csv, b\.csv"):
            read_splits(tmp_path / "t")

    def test_a_label_that_train_does_not_have(self, tmp_path: Path) -> None:
        make_folder(tmp_path / "train", {"cat": 2, "dog": 2})
        make_folder(tmp_path / "test", {"cat": 2, "dgo": 2})
        with pytest.raises(DataError, match=r"test/dgo/0\.png has the label 'dgo'.*\(2 examples.*Did you mean 'dog'"):
            read_splits(tmp_path)

    def test_columns_for_a_folder(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="--label-column, --group-column for "):
            read_splits(make_folder(tmp_path, {"a": 2, "b": 2}), label_column="x", group_column="y")

    def test_a_named_column_that_is_not_there(self, tmp_path: Path) -> None:
        write_csv(tmp_path / "d.csv", [{"path": make_files(tmp_path, 1)[0], "label": "a", "extra": 1}])
        with pytest.raises(DataError, match=r"has no column 'lable'\. Did you mean 'label'") as error:
            read_splits(tmp_path / "d.csv", label_column="lable")
        assert "path, label, extra" in error.value.expected
        with pytest.raises(DataError, match="has no column 'p'"):
            read_splits(tmp_path / "d.csv", path_column="p")
        with pytest.raises(DataError, match="has no column 'g'"):
            read_splits(tmp_path / "d.csv", group_column="g")

    def test_no_column_that_could_be_meant(self, tmp_path: Path) -> None:
        path = make_files(tmp_path, 1)[0]
        write_csv(tmp_path / "d.csv", [{"path": path, "lable": "a", "extra": 1}])
        with pytest.raises(
            DataError, match=r"holds the label; there are path, lable, extra\. Is 'lable' it\?"
        ) as error:
            read_splits(tmp_path / "d.csv")
        assert "--label-column" in error.value.fix
        write_csv(tmp_path / "e.csv", [{"text": "hello", "label": "a"}])
        with pytest.raises(DataError, match="holds the file of each example; there are text, label") as error:
            read_splits(tmp_path / "e.csv")
        assert "--path-column" in error.value.fix

    def test_a_file_that_is_missing(self, tmp_path: Path) -> None:
        rows = [{"path": p, "label": "ab"[i % 2]} for i, p in enumerate([*make_files(tmp_path, 3), "pics/x.png", ""])]
        write_csv(tmp_path / "d.csv", rows)
        with pytest.raises(DataError, match=r"d\.csv, line 5: there is no file 'pics/x\.png'.*2 of 5 rows"):
            read_splits(tmp_path / "d.csv")
        write_csv(tmp_path / "e.csv", [{"path": "gone.png", "label": "a"}])
        with pytest.raises(DataError, match=r"e\.csv, line 2: there is no file 'gone\.png'"):
            read_splits(tmp_path / "e.csv")

    @pytest.mark.parametrize("value", [None, float("nan"), "", " ", "NaN"])
    def test_an_empty_label_names_its_row(self, value: object, tmp_path: Path) -> None:
        rows = [{"path": p, "label": ["a", "b", value][i]} for i, p in enumerate(make_files(tmp_path, 3))]
        write_jsonl(tmp_path / "d.jsonl", rows)
        with pytest.raises(DataError, match=r"d\.jsonl, line 5 has no label"):
            read_splits(tmp_path / "d.jsonl")

    def test_a_missing_number_in_parquet_names_its_row(self, tmp_path: Path) -> None:
        paths = make_files(tmp_path, 3)
        Dataset.from_dict({"path": paths, "label": [1.0, float("nan"), 2.0]}).to_parquet(str(tmp_path / "d.parquet"))
        with pytest.raises(DataError, match=r"d\.parquet, row 2 has no label"):
            read_splits(tmp_path / "d.parquet")

    @pytest.mark.parametrize("value", [0.5, {"a": 1}])
    def test_a_label_that_is_no_class(self, value: object, tmp_path: Path) -> None:
        write_jsonl(tmp_path / "d.jsonl", [{"path": p, "label": value} for p in make_files(tmp_path, 2)])
        with pytest.raises(DataError, match=r"line 1 has the label .*\n?Expected: text or a whole number"):
            read_splits(tmp_path / "d.jsonl")

    @pytest.mark.parametrize(
        ("name", "content", "message"),
        [
            ("d.csv", b"path,label\na,b,c\n", r"line 2 has 3 cells"),
            ("d.csv", b"path,path\na,b\n", "two columns of the same name"),
            ("d.csv", b"path,label\n", "holds no rows"),
            ("d.csv", b"", "holds no rows"),
            ("d.csv", b"path,label\n\xe9,b\n", "line 2 is not UTF-8 text: byte 0 of the line is 0xe9"),
            ("d.jsonl", b'{"path": "a"}\n{"path"\n', "line 2 is not JSON"),
            ("d.jsonl", b'{"path": "a"}\n3\n', "line 2 is 3"),
            ("d.json", b'[{"path": 1},\n 3]', "entry 2 is 3"),
            ("d.json", b'[{"path": 1},\n oh]', "line 2 is not JSON"),
            ("d.json", b"3", "holds one value of type int"),
            ("d.json", b'{"path": [1, 2], "label": [1]}', "columns of unequal length"),
            ("d.parquet", b"PAR1 nothing", "is no Parquet table that can be read"),
            ("d.xlsx", b"PK", "is no table that can be read"),
        ],
    )
    def test_a_table_that_cannot_be_parsed(self, name: str, content: bytes, message: str, tmp_path: Path) -> None:
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DataError, match=message):
            read_splits(tmp_path / name)
