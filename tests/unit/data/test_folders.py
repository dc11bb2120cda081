from __future__ import annotations

from itertools import islice
from pathlib import Path

import pytest

from graft.core.errors import DataError
from graft.data.folders import is_file_of, list_inputs, scan_class_folders
from graft.data.kinds import PICTURE, RECORDING


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("b.png", "a.JPG", "deep/er/c.webp", "notes.txt", ".hidden.png", ".git/d.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    return tmp_path


def test_files_and_folders_in_order(folder: Path) -> None:
    found = list(list_inputs([folder / "notes.txt", str(folder)]))
    names = ["notes.txt", "a.JPG", "b.png", "deep/er/c.webp"]
    assert found == [((folder / name).as_posix(), folder / name) for name in names]


def test_ids_are_the_paths_as_given(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    assert [name for name, _ in list_inputs(["deep", "b.png"])] == ["deep/er/c.webp", "b.png"]
    assert [name for name, _ in list_inputs(["."])] == ["a.JPG", "b.png", "deep/er/c.webp"]


def test_the_list_is_never_whole(tmp_path: Path) -> None:
    for part in ("a", "b"):
        (tmp_path / part).mkdir()
        (tmp_path / part / "x.png").write_bytes(b"x")
    inputs = list_inputs([tmp_path])
    assert len(list(islice(inputs, 1))) == 1
    (tmp_path / "b" / "x.png").unlink()  # not looked at yet
    assert list(inputs) == []


def test_errors(folder: Path) -> None:
    with pytest.raises(DataError, match=r"no such file or folder: .*b\.pgn\. Did you mean 'b\.png'"):
        next(list_inputs([folder, folder / "b.pgn"]))
    (folder / "empty").mkdir()
    with pytest.raises(DataError, match=r"no picture found in .*empty"):
        list(list_inputs([folder / "empty"]))
    with pytest.raises(DataError, match="no picture found in no path given"):
        list(list_inputs([]))


def test_pictures_without_a_suffix_are_known_by_their_first_bytes(tmp_path: Path) -> None:
    for name, content in (("one", b"\xff\xd8\xff\xe0"), ("two", b"text"), ("three.txt", b"\xff\xd8\xff\xe0")):
        (tmp_path / name).write_bytes(content)
    assert [is_file_of(PICTURE, str(tmp_path / name)) for name in ("one", "two", "three.txt", "gone")] == [
        True,
        False,
    ] + [False] * 2


def test_files_in_other_forms_are_told_by_their_endings(tmp_path: Path) -> None:
    for name in ("a/1.wav", "a/2.m4a", "b/3.wav", "b/4.M4A", "b/notes.csv", ".git/x.m4a"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"RIFF")
    note = scan_class_folders(tmp_path, kind=RECORDING).as_examples().notes[0]
    wanted = "(2 .m4a, 1 .csv; of .m4a: ffmpeg -i FILE FILE.wav makes recordings of them)"
    assert f"3 that are no recordings or lie outside the class folders {wanted}" in note
    told: list[str] = []
    assert len(list(list_inputs([tmp_path], kind=RECORDING, say=told.append))) == 2
    assert told == [f"passed over 3 files of another kind than recordings {wanted}"]
    (tmp_path / "a" / "1.wav").unlink()
    with pytest.raises(DataError, match=r"no recording found in .* \(1 \.m4a; of \.m4a: ffmpeg"):
        list(list_inputs([tmp_path / "a"], kind=RECORDING))
