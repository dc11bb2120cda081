from __future__ import annotations

import errno
import hashlib
from pathlib import Path

import pytest

from graft.core.errors import DataError, ResourceError, UsageError
from graft.core.files import (
    as_resource_error,
    atomic_folder,
    atomic_path,
    gone_if_in_vain,
    hash_bytes,
    hash_file,
    hash_json,
    read_json,
    write_json,
    write_text,
)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_hashes(tmp_path: Path) -> None:
    content = bytes(range(256)) * 9000  # more than one piece of 1 MiB
    (tmp_path / "f").write_bytes(content)
    assert hash_bytes(content) == hashlib.blake2b(content, digest_size=16).hexdigest() == hash_file(tmp_path / "f")
    assert hash_json({"a": 1, "b": [1, 2]}) == hash_json({"b": [1, 2], "a": 1}) != hash_json({"b": [2, 1], "a": 1})


def test_a_file_appears_when_it_is_whole(tmp_path: Path) -> None:
    target = tmp_path / "new" / "deep" / "a.txt"
    with atomic_path(target) as temporary:
        temporary.write_text("half")
        assert not target.exists()
        temporary.write_text("whole")
    assert target.read_text() == "whole"
    assert names(target.parent) == ["a.txt"]


@pytest.mark.parametrize("has_old", [False, True])
def test_a_failure_leaves_what_was_there(tmp_path: Path, has_old: bool) -> None:
    target = tmp_path / "a.txt"
    if has_old:
        target.write_text("old")

    def fail() -> None:
        with atomic_path(target) as temporary:
            temporary.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert names(tmp_path) == (["a.txt"] if has_old else [])
    assert not has_old or target.read_text() == "old"


def test_a_parent_that_is_a_file_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ResourceError) as caught:
        write_text(tmp_path / "file" / "a.txt", "x")
    assert str(tmp_path / "file" / "a.txt") in str(caught.value)
    assert "\nTo fix: " in str(caught.value)
    assert names(tmp_path) == ["file"]


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, ["the disk is full", "--cache", "--resume"]),
        (errno.EDQUOT, ["the disk is full"]),
        (errno.EACCES, ["cannot be written", "--out"]),
        (errno.EROFS, ["cannot be written"]),
        (errno.EIO, ["failed"]),
    ],
)
def test_what_the_system_says_becomes_what_to_do(number: int, words: list[str]) -> None:
    error = as_resource_error(OSError(number, "told by the system"), Path("place/a.bin"))
    assert isinstance(error, ResourceError)
    assert "place/a.bin" in error.got
    for word in words:
        assert word in str(error)


def test_a_full_disk_leaves_nothing_half_written(tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full to write to")

    def fill() -> None:
        with atomic_path(tmp_path / "a.bin") as temporary:
            temporary.write_bytes(b"half")
            with open("/dev/full", "wb") as full:
                full.write(b"x" * 10_000)

    with pytest.raises(ResourceError, match="the disk is full"):
        fill()
    assert names(tmp_path) == []


def test_json_goes_there_and_back(tmp_path: Path) -> None:
    value = {"b": [1, 2.5, None, True], "a": {"ü": "é"}}
    write_json(tmp_path / "a.json", value)
    assert read_json(tmp_path / "a.json") == value
    assert list(read_json(tmp_path / "a.json")) == ["b", "a"]
    assert "ü" in (tmp_path / "a.json").read_text(encoding="utf-8")


def test_json_without_a_meaning_elsewhere_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "a.json", {"x": float("nan")})
    assert names(tmp_path) == []


def test_a_new_folder_is_readable_as_the_folder_is(tmp_path: Path) -> None:
    """safetensors writes weights for the owner alone; who deploys them is often another user."""
    with atomic_folder(tmp_path / "model") as partial:
        (partial / "below").mkdir(parents=True)
        partial.chmod(0o750)
        for name in ("weights", "below/weights"):
            (partial / name).write_text("x")
            (partial / name).chmod(0o600)
    assert [(tmp_path / "model" / name).stat().st_mode & 0o777 for name in ("weights", "below/weights")] == [0o640] * 2


def in_vain(folder: Path, name: str = "", *, error: Exception | None = None) -> None:
    """Make a folder with a log and another file in it, and fail."""
    error = error or UsageError("the test")
    with pytest.raises(type(error)), gone_if_in_vain(folder, holding={"log.txt"}):
        fail_in(folder, name, error)


def fail_in(folder: Path, name: str, error: Exception) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for own in filter(None, ["log.txt", name]):
        (folder / own).write_text("")
    raise error


def test_a_folder_made_in_vain_is_gone(tmp_path: Path) -> None:
    in_vain(tmp_path / "a" / "b")
    assert names(tmp_path) == []
    in_vain(tmp_path / "a", error=DataError("the test"))
    assert names(tmp_path) == []


def test_what_was_computed_or_there_before_stays(tmp_path: Path) -> None:
    in_vain(tmp_path / "a", "result.npy")
    assert names(tmp_path / "a") == ["log.txt", "result.npy"]
    in_vain(tmp_path / "b", error=ResourceError("the disk is full"))
    in_vain(tmp_path / "b")
    assert names(tmp_path / "b") == ["log.txt"], "it was there"
    (tmp_path / "c").mkdir()
    in_vain(tmp_path / "c" / "d")
    assert names(tmp_path / "c") == []
