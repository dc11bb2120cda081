from __future__ import annotations

import json
from pathlib import Path

import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, Image, Value

from graft.core.errors import DataError
from graft.data.images import decode_image
from graft.data.readers import read_splits

from .written_data import KINDS, make_files, picture, write_csv, write_table


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
