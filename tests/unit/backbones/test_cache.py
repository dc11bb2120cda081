"""Shards that are whole or absent, and keys that say what is still to do."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from graft.backbones.cache import FeatureCache, FeatureSpace, default_cache_folder
from graft.core.errors import ResourceError
from graft.core.files import hash_bytes

KEYS = [hash_bytes(bytes([i])) for i in range(8)]
ROWS = np.random.default_rng(0).normal(size=(8, 5)).astype(np.float32)
HASHES = np.random.default_rng(1).integers(0, 2**63, (8, 4)).astype(np.uint64)
WAY = {"weights": "w", "view": "plain"}


def write(space: FeatureSpace, *rows: int) -> None:
    space.write([KEYS[i] for i in rows], ROWS[list(rows)], HASHES[list(rows)])


def test_what_was_written_is_read_in_any_order(tmp_path: Path) -> None:
    write(space := FeatureCache(tmp_path).space(WAY), 0, 1, 2)
    write(space, 5, 3)
    for reader in (space, FeatureCache(tmp_path).space(WAY)):
        assert len(reader) == 5
        order = [5, 0, 3, 0, 2]
        features, hashes = reader.read([KEYS[i] for i in order])
        np.testing.assert_array_equal(features, ROWS[order])
        np.testing.assert_array_equal(hashes, HASHES[order])
        assert KEYS[5] in reader
        assert KEYS[4] not in reader


def test_missing_names_each_key_once(tmp_path: Path) -> None:
    write(space := FeatureCache(tmp_path).space(WAY), 1)
    assert space.missing([KEYS[i] for i in (2, 1, 0, 2, 0)]) == [0, 2]
    assert space.missing([KEYS[1]]) == []


def test_reading_what_is_not_there_is_an_error(tmp_path: Path) -> None:
    write(space := FeatureCache(tmp_path).space(WAY), 1)
    with pytest.raises(KeyError):
        space.read([KEYS[0]])


def test_reading_nothing_gives_nothing(tmp_path: Path) -> None:
    features, hashes = FeatureCache(tmp_path).space(WAY).read([])
    assert len(features) == 0
    assert hashes.shape == (0, 4)


def test_looking_makes_no_folder(tmp_path: Path) -> None:
    FeatureCache(tmp_path / "cache").space(WAY).missing(KEYS)
    assert not (tmp_path / "cache").exists()


def test_every_way_of_computing_has_its_own_space(tmp_path: Path) -> None:
    cache = FeatureCache(tmp_path)
    write(cache.space(WAY), 0)
    assert KEYS[0] not in cache.space({**WAY, "view": "mirror"})
    assert KEYS[0] not in cache.space({**WAY, "weights": "v"})
    assert KEYS[0] in cache.space({"view": "plain", "weights": "w"})


def test_a_shard_without_its_index_does_not_exist(tmp_path: Path) -> None:
    """A process that is killed between the two files leaves the features alone."""
    write(space := FeatureCache(tmp_path).space(WAY), 0, 1)
    write(space, 2)
    (killed,) = [path for path in space.folder.glob("*.index.npy") if len(np.load(path)) == 1]
    killed.unlink()
    again = FeatureCache(tmp_path).space(WAY)
    assert again.missing(KEYS[:3]) == [2]
    write(again, 2)
    np.testing.assert_array_equal(FeatureCache(tmp_path).space(WAY).read(KEYS[:3])[0], ROWS[:3])


def test_a_half_written_file_is_not_read(tmp_path: Path) -> None:
    write(space := FeatureCache(tmp_path).space(WAY), 0)
    (space.folder / ".000001-1-0.index.npy.77.partial").write_bytes(b"\x93NUMPY")
    assert len(FeatureCache(tmp_path).space(WAY)) == 1


def test_two_writers_do_not_disturb_each_other(tmp_path: Path) -> None:
    first, second = FeatureCache(tmp_path).space(WAY), FeatureCache(tmp_path).space(WAY)
    write(first, 0, 1)
    write(second, 1, 2)
    assert first.missing(KEYS[:3]) == [2]
    first.refresh()
    assert first.missing(KEYS[:3]) == []
    np.testing.assert_array_equal(first.read(KEYS[:3])[0], ROWS[:3])
    np.testing.assert_array_equal(FeatureCache(tmp_path).space(WAY).read(KEYS[:3])[0], ROWS[:3])
    assert len(list(first.folder.glob("*.index.npy"))) == 2


def test_a_place_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ResourceError, match="cannot be written"):
        write(FeatureCache(tmp_path / "file").space(WAY), 0)


def test_where_the_cache_lies(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GRAFT_CACHE", "/somewhere")
    assert default_cache_folder() == Path("/somewhere")
    monkeypatch.delenv("GRAFT_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_cache_folder() == tmp_path / "graft"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_cache_folder() == tmp_path / ".cache" / "graft"
