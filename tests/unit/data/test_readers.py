from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, Image, Value
from PIL import Image as Pillow

from graft.core.errors import DataError, UsageError
from graft.data.images import decode_image
from graft.data.readers import read_labeled, read_splits


def picture(number: int) -> bytes:
    file = io.BytesIO()
    Pillow.new("RGB", (4, 4), (number % 256, 7, 9)).save(file, "PNG")
    return file.getvalue()


def make_folder(folder: Path, counts: dict[str, int], *, start: int = 0) -> Path:
    for label, count in counts.items():
        (folder / label).mkdir(parents=True, exist_ok=True)
        for i in range(count):
            (folder / label / f"{i}.png").write_bytes(picture(start + i))
    return folder


def make_files(folder: Path, n: int) -> list[str]:
    (folder / "pics").mkdir(parents=True, exist_ok=True)
    for i in range(n):
        (folder / "pics" / f"{i}.png").write_bytes(picture(i))
    return [f"pics/{i}.png" for i in range(n)]


Rows = Sequence[dict[str, Any]]


def write_csv(path: Path, rows: Rows, delimiter: str = ",") -> None:
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), delimiter=delimiter)
        writer.writeheader()
        writer.writerows(rows)


def write_jsonl(path: Path, rows: Rows) -> None:
    path.write_text("".join(json.dumps(row) + "\n\n" for row in rows), encoding="utf-8")


def write_table(path: Path, rows: Rows) -> None:
    writers: dict[str, Callable[[], object]] = {
        ".csv": lambda: write_csv(path, rows),
        ".tsv": lambda: write_csv(path, rows, "\t"),
        ".jsonl": lambda: write_jsonl(path, rows),
        ".json": lambda: path.write_text(json.dumps(list(rows)), encoding="utf-8"),
        ".parquet": lambda: Dataset.from_list(list(rows)).to_parquet(str(path)),
    }
    writers[path.suffix]()


KINDS = [".csv", ".tsv", ".jsonl", ".json", ".parquet"]


class TestFolders:
    def test_a_class_per_subfolder(self, tmp_path: Path) -> None:
        data = make_folder(tmp_path / "d", {"dog": 3, "cat": 2})
        splits = read_splits(data)
        assert splits.train.label_names == ("cat", "dog")
        assert splits.train.ids == ["cat/0.png", "cat/1.png", "dog/0.png", "dog/1.png", "dog/2.png"]
        assert splits.train.labels.tolist() == [0, 0, 1, 1, 1]
        assert splits.train.read(4) == picture(2)
        assert splits.valid is splits.test is splits.train.groups is None
        assert "train 5 examples; 2 classes (cat, dog), 2 to 3 a class" in splits.notes[0]

    @pytest.mark.parametrize("name", ["valid", "val", "dev", "validation", "Val"])
    def test_splits_above_the_classes(self, name: str, tmp_path: Path) -> None:
        for split, count in (("train", 4), (name, 2), ("test", 3)):
            make_folder(tmp_path / split, {"cat": count, "dog": count})
        splits = read_splits(str(tmp_path))
        assert {split: len(data) for split, data in splits.present().items()} == {"train": 8, "valid": 4, "test": 6}
        assert splits.test is not None
        assert splits.test.ids[0] == "test/cat/0.png"
        assert splits.test.read(5) == picture(2)

    def test_numbered_classes_are_in_the_order_of_the_numbers(self, tmp_path: Path) -> None:
        data = make_folder(tmp_path, {str(i): 2 for i in range(12)})
        assert read_splits(data).train.label_names == tuple(str(i) for i in range(12))

    def test_hidden_and_other_files_are_left_out_and_counted(self, tmp_path: Path) -> None:
        data = make_folder(tmp_path, {"cat": 2, "dog": 2, ".git": 2})
        for name in ("cat/.DS_Store", "cat/notes.txt", "dog/Thumbs.db", "README.md", "stray.png"):
            (tmp_path / name).write_bytes(b"x")
        (tmp_path / "dog" / "deep").mkdir()
        (tmp_path / "dog" / "deep" / "x.JPG").write_bytes(picture(0))
        (tmp_path / "dog" / "unnamed").write_bytes(picture(0))
        splits = read_splits(data)
        assert splits.train.ids[2:] == ["dog/0.png", "dog/1.png", "dog/deep/x.JPG", "dog/unnamed"]
        assert any("3 hidden, 3 that are no pictures or lie outside" in note for note in splits.notes)

    def test_a_link_back_up_does_not_loop(self, tmp_path: Path) -> None:
        data = make_folder(tmp_path, {"cat": 2, "dog": 2})
        (tmp_path / "cat" / "up").symlink_to(tmp_path)
        assert len(read_splits(data).train) == 4

    def test_other_folders_beside_the_splits_are_named(self, tmp_path: Path) -> None:
        make_folder(tmp_path / "train", {"cat": 2, "dog": 2})
        make_folder(tmp_path, {"extra": 1})
        assert any("ignored the folders extra beside train" in note for note in read_splits(tmp_path).notes)

    def test_valid_and_test_named_apart_go_first(self, tmp_path: Path) -> None:
        make_folder(tmp_path / "d" / "train", {"cat": 3, "dog": 3})
        make_folder(tmp_path / "d" / "test", {"cat": 1, "dog": 1})
        other = make_folder(tmp_path / "other", {"cat": 2, "dog": 5})
        paths = make_files(tmp_path, 2)
        write_csv(tmp_path / "v.csv", [{"path": path, "label": "dog"} for path in paths])
        splits = read_splits(tmp_path / "d", valid=tmp_path / "v.csv", test=other)
        assert {split: len(data) for split, data in splits.present().items()} == {"train": 6, "valid": 2, "test": 7}
        assert any("not used, since" in note for note in splits.notes)

    def test_split_of_divided_data_named_apart(self, tmp_path: Path) -> None:
        data = make_folder(tmp_path / "d", {"cat": 3, "dog": 3})
        for split, count in (("train", 9), ("test", 2)):
            make_folder(tmp_path / "o" / split, {"cat": count, "dog": count})
        splits = read_splits(data, test=tmp_path / "o")
        assert splits.test is not None
        assert len(splits.test) == 4

    def test_an_empty_class_in_test_is_only_said(self, tmp_path: Path) -> None:
        make_folder(tmp_path / "train", {"cat": 2, "dog": 2})
        make_folder(tmp_path / "test", {"cat": 2, "dog": 0})
        assert any("class folders without a picture: dog" in note for note in read_splits(tmp_path).notes)


class TestTables:
    @pytest.mark.parametrize("kind", KINDS)
    def test_every_kind_reads_alike(self, kind: str, tmp_path: Path) -> None:
        paths = make_files(tmp_path, 4)
        rows = [{"file_name": p, "Label": "dog" if i % 2 else "cat", "note": "x"} for i, p in enumerate(paths)]
        write_table(tmp_path / f"data{kind}", rows)
        splits = read_splits(tmp_path / f"data{kind}")
        assert splits.train.ids == paths
        assert splits.train.label_names == ("cat", "dog")
        assert splits.train.labels.tolist() == [0, 1, 0, 1]
        assert splits.train.read(3) == picture(3)
        assert any("'file_name', labels in 'Label'; unused: note." in note for note in splits.notes)

    @pytest.mark.parametrize("kind", KINDS)
    def test_a_folder_of_tables(self, kind: str, tmp_path: Path) -> None:
        paths = make_files(tmp_path, 4)
        for name, part in (("train", paths), ("dev", paths[:2]), ("test", paths[2:])):
            write_table(tmp_path / f"{name}{kind}", [{"image": p, "category": i % 2} for i, p in enumerate(part)])
        splits = read_splits(tmp_path)
        assert {split: len(data) for split, data in splits.present().items()} == {"train": 4, "valid": 2, "test": 2}
        assert splits.valid is not None
        assert splits.valid.ids == ["pics/0.png#2", "pics/1.png#2"]
        assert any("4 examples had the id of another" in note for note in splits.notes)

    def test_whole_numbers_are_sorted_as_numbers(self, tmp_path: Path) -> None:
        rows = [{"path": p, "label": [10, 9, 2][i % 3]} for i, p in enumerate(make_files(tmp_path, 6))]
        for name in ("d.csv", "d.jsonl"):
            write_table(tmp_path / name, rows)
            assert read_splits(tmp_path / name).train.label_names == ("2", "9", "10")

    def test_columns_are_found_by_what_they_hold(self, tmp_path: Path) -> None:
        rows = [{"what": "ab"[i % 2], "where": p} for i, p in enumerate(make_files(tmp_path, 4))]
        write_csv(tmp_path / "d.csv", rows)
        assert read_splits(tmp_path / "d.csv").train.label_names == ("a", "b")

    def test_columns_can_be_named(self, tmp_path: Path) -> None:
        paths = make_files(tmp_path, 4)
        rows = [{"path": "wrong", "right": p, "label": 0, "kind": i % 2, "who": i // 2} for i, p in enumerate(paths)]
        write_csv(tmp_path / "d.csv", rows)
        splits = read_splits(tmp_path / "d.csv", path_column="right", label_column="kind", group_column="who")
        assert splits.train.labels.tolist() == [0, 1, 0, 1]
        assert splits.train.groups is not None
        assert splits.train.groups.tolist() == [0, 0, 1, 1]

    def test_groups_have_one_number_in_all_splits_and_leaks_are_said(self, tmp_path: Path) -> None:
        paths = make_files(tmp_path, 4)
        for name, who in (("train", ["ann", "bob", "", ""]), ("test", ["bob", "eve", "", "cyd"])):
            rows = [{"path": p, "label": i % 2, "who": w} for i, (p, w) in enumerate(zip(paths, who, strict=True))]
            write_csv(tmp_path / f"{name}.csv", rows)
        splits = read_splits(tmp_path, group_column="who")
        assert splits.test is not None
        assert splits.train.groups is not None
        assert splits.test.groups is not None
        assert splits.train.groups.tolist() == [0, 1, 2, 3]
        assert splits.test.groups[0] == 1
        assert splits.test.groups[1:].min() > 3
        assert any("1 groups stand both in train and in test" in note for note in splits.notes)

    def test_a_split_column_divides(self, tmp_path: Path) -> None:
        names = ["train", "train", "val", "test", "train", "train"]
        paths = make_files(tmp_path, 6)
        rows = [{"path": p, "label": i % 2, "split": s} for i, (p, s) in enumerate(zip(paths, names, strict=True))]
        write_csv(tmp_path / "metadata.csv", rows)
        splits = read_splits(tmp_path)
        assert splits.train.ids == [paths[i] for i in (0, 1, 4, 5)]
        assert splits.test is not None
        assert splits.test.ids == [paths[3]]
        assert splits.test.read(0) == picture(3)

    def test_absolute_paths_semicolons_marks_and_backslashes(self, tmp_path: Path) -> None:
        paths = make_files(tmp_path, 4)
        mixed = [str(tmp_path / paths[0]), paths[1].replace("/", "\\"), "./" + paths[2], paths[3]]
        text = "path;label\n" + "".join(f"{p};{'äö'[i % 2]}\n" for i, p in enumerate(mixed))
        (tmp_path / "d.csv").write_bytes(b"\xef\xbb\xbf" + text.encode())
        splits = read_splits(tmp_path / "d.csv")
        assert splits.train.ids == paths
        assert splits.train.label_names == ("ä", "ö")
        assert [splits.train.read(i) for i in range(4)] == [picture(i) for i in range(4)]

    def test_other_forms_of_json(self, tmp_path: Path) -> None:
        paths = make_files(tmp_path, 4)
        rows = [{"path": p, "label": i % 2} for i, p in enumerate(paths)]
        forms = {
            "columns": json.dumps({"path": paths, "label": [0, 1, 0, 1]}),
            "wrapped": json.dumps({"data": rows}),
            "lines": "\n".join(json.dumps(row) for row in rows),
        }
        for name, text in forms.items():
            (tmp_path / f"{name}.json").write_text(text)
            assert read_splits(tmp_path / f"{name}.json").train.ids == paths

    def test_the_same_row_twice_gets_its_own_id(self, tmp_path: Path) -> None:
        first, second = make_files(tmp_path, 2)
        rows = [{"path": p, "label": "ab"[i % 2]} for i, p in enumerate([first, second, first, second])]
        write_csv(tmp_path / "d.csv", rows)
        assert read_splits(tmp_path / "d.csv").train.ids == [first, second, f"{first}#2", f"{second}#2"]

    def test_pictures_inside_parquet_shards(self, tmp_path: Path) -> None:
        kinds = Features({"img": Image(), "label": ClassLabel(names=["zebra", "ant", "unused"])})
        for shard in range(2):
            cells = [{"bytes": picture(4 * shard + i), "path": None} for i in range(4)]
            rows = Dataset.from_dict({"img": cells, "label": [0, 1, 0, 1]}, features=kinds)
            rows.to_parquet(str(tmp_path / f"train-0000{shard}-of-00002.parquet"))
        splits = read_splits(tmp_path)
        assert splits.train.label_names == ("zebra", "ant")
        assert splits.train.ids[:2] == ["train/0", "train/1"]
        assert splits.train.read(6) == picture(6)
        assert any("1 declared classes have no example and are left out: unused" in note for note in splits.notes)


class TestSaved:
    @staticmethod
    def rows(n: int, *, start: int = 0, hidden: bool = False) -> Dataset:
        kinds = Features({"image": Image(), "labels": ClassLabel(names=["zebra", "ant"]), "more": Value("string")})
        cells = [{"bytes": picture(start + i), "path": None} for i in range(n)]
        labels = [-1 if hidden else i % 2 for i in range(n)]
        return Dataset.from_dict({"image": cells, "labels": labels, "more": ["x"] * n}, features=kinds)

    def test_a_saved_dataset(self, tmp_path: Path) -> None:
        self.rows(5).save_to_disk(str(tmp_path / "d"))
        data = read_splits(tmp_path / "d").train
        assert data.label_names == ("zebra", "ant")
        assert data.labels.tolist() == [0, 1, 0, 1, 0]
        assert data.read(3) == picture(3)
        assert decode_image(data.read(3), name="x").size == (4, 4)
        assert data.select([4, 1]).read(1) == picture(1)

    def test_a_saved_dataset_dict(self, tmp_path: Path) -> None:
        parts = DatasetDict(train=self.rows(4), validation=self.rows(2, start=10), test=self.rows(2, hidden=True))
        parts.save_to_disk(str(tmp_path / "d"))
        splits = read_splits(tmp_path / "d")
        assert splits.valid is not None
        assert splits.valid.ids == ["valid/0", "valid/1"]
        assert splits.valid.read(1) == picture(11)
        assert splits.test is None
        assert any("not used, since none of its 2 examples has a label" in note for note in splits.notes)

    def test_rows_chosen_before_saving(self, tmp_path: Path) -> None:
        self.rows(8).select([7, 2, 5, 0]).save_to_disk(str(tmp_path / "d"))
        data = read_splits(tmp_path / "d").train
        assert [data.read(i) for i in range(4)] == [picture(i) for i in (7, 2, 5, 0)]

    def test_a_damaged_one(self, tmp_path: Path) -> None:
        self.rows(4).save_to_disk(str(tmp_path / "d"))
        next((tmp_path / "d").glob("*.arrow")).unlink()
        with pytest.raises(DataError, match="looks like a saved Hugging Face dataset but cannot be loaded"):
            read_splits(tmp_path / "d")

    def test_splits_of_unknown_names(self, tmp_path: Path) -> None:
        DatasetDict(one=self.rows(4), two=self.rows(4)).save_to_disk(str(tmp_path / "d"))
        with pytest.raises(DataError, match="has the splits one, two"):
            read_splits(tmp_path / "d")

    def test_one_row_without_label_among_others(self, tmp_path: Path) -> None:
        kinds = Features({"image": Image(), "label": ClassLabel(names=["a", "b"])})
        cells = [{"bytes": picture(i), "path": None} for i in range(5)]
        rows = Dataset.from_dict({"image": cells, "label": [0, 1, -1, 0, 1]}, features=kinds)
        rows.save_to_disk(str(tmp_path / "d"))
        with pytest.raises(DataError, match=r"row 3 has no label \(1 of 5"):
            read_splits(tmp_path / "d")

    def test_a_hub_id_without_a_network(self) -> None:
        with pytest.raises(DataError) as error:
            read_splits("nobody/no-such-data")
        assert "could not be loaded from the Hugging Face hub" in str(error.value)
        assert "without a network" in error.value.fix


class TestLabeled:
    def test_the_given_map_numbers_the_labels(self, tmp_path: Path) -> None:
        data = make_folder(tmp_path, {"dog": 1, "cat": 2})
        labelled = read_labeled(data, label_names=["dog", "emu", "cat"])
        assert labelled.labels.tolist() == [2, 2, 0]
        assert labelled.label_names == ("dog", "emu", "cat")

    def test_divided_data_gives_its_test_split_or_the_named_one(self, tmp_path: Path) -> None:
        for split, count in (("train", 3), ("val", 2), ("test", 1)):
            make_folder(tmp_path / split, {"a": count})
        assert len(read_labeled(tmp_path, label_names=["a"])) == 1
        assert len(read_labeled(tmp_path, label_names=["a"], split="validation")) == 2
        assert len(read_labeled(tmp_path / "train", label_names=["a"])) == 3

    def test_errors(self, tmp_path: Path) -> None:
        data = make_folder(tmp_path / "d", {"dog": 1, "cta": 2})
        with pytest.raises(DataError, match=r"cta/0\.png has the label 'cta'.*Did you mean 'cat'"):
            read_labeled(data, label_names=["cat", "dog"])
        with pytest.raises(DataError, match="is not divided into splits, so it has no split 'test'"):
            read_labeled(data, label_names=["cat", "dog"], split="test")
        make_folder(tmp_path / "e" / "train", {"dog": 1})
        make_folder(tmp_path / "e" / "val", {"dog": 1})
        with pytest.raises(DataError, match="has the splits train, valid, but no 'test'"):
            read_labeled(tmp_path / "e", label_names=["dog"])


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


def test_real_pictures(shared: Path) -> None:
    splits = read_splits(shared / "data" / "flowers5")
    assert {split: len(data) for split, data in splits.present().items()} == {"train": 1000, "valid": 200, "test": 600}
    assert splits.train.class_counts.tolist() == [200] * 5
    assert decode_image(splits.train.read(0), name=splits.train.ids[0]).mode == "RGB"
    cifar = read_splits(shared / "data" / "cifar10")
    assert cifar.valid is None
    assert len(set(cifar.train.content_hashes())) == 5000
    assert np.array_equal(np.sort(cifar.train.labels), cifar.train.labels)
