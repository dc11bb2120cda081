from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from graft.core.errors import DataError
from graft.data.images import decode_image
from graft.data.readers import read_labeled, read_splits

from .written_data import make_files, make_folder, picture, write_csv


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


def test_real_pictures(shared: Path) -> None:
    splits = read_splits(shared / "data" / "flowers5")
    assert {split: len(data) for split, data in splits.present().items()} == {"train": 1000, "valid": 200, "test": 600}
    assert splits.train.class_counts.tolist() == [200] * 5
    assert decode_image(splits.train.read(0), name=splits.train.ids[0]).mode == "RGB"
    cifar = read_splits(shared / "data" / "cifar10")
    assert cifar.valid is None
    assert len(set(cifar.train.content_hashes())) == 5000
    assert np.array_equal(np.sort(cifar.train.labels), cifar.train.labels)
