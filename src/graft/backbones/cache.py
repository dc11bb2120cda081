"""Features on disk: each example computed once for each frozen model, whatever happens to the process.

A *space* is a folder for one way of computing features: weights, preprocessing, engine, precision, layer and view. In
it lie shards, each a pair of files: ``NAME.features.npy`` (n, d) float32, read through a memory map, and
``NAME.index.npy`` with the content key and the perceptual hash of each row. The index is renamed into place after the
features, so a shard exists wholly or not at all; several processes may write to one space.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from graft.core.files import atomic_path, hash_json, write_json

__all__ = ["FeatureCache", "FeatureSpace", "ShardBuffer", "default_cache_folder"]

_INDEX_TYPE: Final = np.dtype([("key", "V16"), ("perceptual", "<u8", (4,))])
_SHARD_ROWS: Final = 1024
_SHARD_S: Final = 5.0
_FORM = 1  # of the files below; a change makes new spaces


def default_cache_folder() -> Path:
    """Return the folder for features: ``GRAFT_CACHE``, else ``XDG_CACHE_HOME``/graft, else ~/.cache/graft."""
    if folder := os.environ.get("GRAFT_CACHE"):
        return Path(folder)
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "graft"


class FeatureSpace:
    """Features of one frozen model, computed in one way.

    Parameters
    ----------
    folder : where the shards lie; made at the first write.
    description : what the features depend on besides the example; kept beside the shards for people.
    """

    def __init__(self, folder: Path, description: Mapping[str, Any]) -> None:
        self.folder, self.description = folder, dict(description)
        self._where: dict[bytes, tuple[int, int]] = {}  # key: (shard, row)
        self._shards: list[Path] = []
        self.refresh()

    def refresh(self) -> None:
        """Read the indexes of shards that have appeared since the last look."""
        known = set(self._shards)
        for path in sorted(self.folder.glob("*.index.npy")):
            if path not in known:
                self._add(path, np.load(path, allow_pickle=False)["key"])

    def _add(self, path: Path, keys: NDArray[np.void]) -> None:
        number = len(self._shards)
        self._shards.append(path)
        for row, key in enumerate(keys.tolist()):
            self._where[key] = (number, row)

    def __contains__(self, key: str) -> bool:
        return bytes.fromhex(key) in self._where

    def __len__(self) -> int:
        return len(self._where)

    def missing(self, keys: Sequence[str]) -> list[int]:
        """Return the positions in `keys` that are not stored, of equal keys the first only, in order."""
        seen: set[str] = set()
        positions = []
        for i, key in enumerate(keys):
            if key not in seen and key not in self:
                positions.append(i)
            seen.add(key)
        return positions

    def write(self, keys: Sequence[str], features: NDArray[np.float32], perceptual: NDArray[np.uint64]) -> None:
        """Store a shard, whole or not at all.

        Parameters
        ----------
        keys : n content hashes of 32 hexadecimal digits.
        features : (n, n_features), float32.
        perceptual : (n, 4), uint64.

        Raises
        ------
        ResourceError
            When the disk is full or the folder cannot be written; shards written before stay.
        """
        if not self._shards and not (self.folder / "space.json").exists():
            write_json(self.folder / "space.json", {"form": _FORM, **self.description})
        index = np.zeros(len(keys), _INDEX_TYPE)
        index["key"] = [bytes.fromhex(key) for key in keys]
        index["perceptual"] = perceptual
        # by chance, not by process number: processes in two containers can have the same one
        name = f"{len(self._shards):06d}-{os.urandom(8).hex()}"
        for suffix, array in (("features", features), ("index", index)):
            with atomic_path(self.folder / f"{name}.{suffix}.npy") as temporary, open(temporary, "wb") as file:
                np.save(file, array, allow_pickle=False)
        self._add(self.folder / f"{name}.index.npy", index["key"])

    def read(self, keys: Sequence[str]) -> tuple[NDArray[np.float32], NDArray[np.uint64]]:
        """Return features (n, n_features) and perceptual hashes (n, 4) in the order of `keys`.

        Raises
        ------
        KeyError
            When one is not stored.
        """
        places = np.array([self._where[bytes.fromhex(key)] for key in keys], dtype=np.int64).reshape(-1, 2)
        features: NDArray[np.float32] | None = None
        perceptual = np.zeros((len(keys), 4), np.uint64)
        for number in np.unique(places[:, 0]):
            path = self._shards[int(number)]
            stored = np.load(str(path).replace(".index.npy", ".features.npy"), mmap_mode="r", allow_pickle=False)
            at = np.flatnonzero(places[:, 0] == number)
            if features is None:
                features = np.empty((len(keys), stored.shape[1]), np.float32)
            features[at] = stored[places[at, 1]]
            perceptual[at] = np.load(path, mmap_mode="r", allow_pickle=False)["perceptual"][places[at, 1]]
        return features if features is not None else np.empty((0, 0), np.float32), perceptual


class ShardBuffer:
    """Rows on their way to a shard; written at batch boundaries, so that a resumed pass makes the same batches.

    Parameters
    ----------
    space : where the shards go.
    """

    def __init__(self, space: FeatureSpace) -> None:
        self._space, self._since = space, time.perf_counter()
        self._keys: list[str] = []
        self._rows: list[NDArray[np.float32]] = []
        self._hashes: list[NDArray[np.uint64]] = []

    def add(
        self, keys: Sequence[str], features: NDArray[np.float32], hashes: NDArray[np.uint64], is_good: Sequence[bool]
    ) -> None:
        """Take the rows of a batch, those that are good; write a shard when there are 1,024, or after 5 s."""
        good = np.asarray(is_good, dtype=bool)
        self._keys += [key for key, is_kept in zip(keys, good, strict=True) if is_kept]
        self._rows.append(features[good])
        self._hashes.append(hashes[good])
        if len(self._keys) >= _SHARD_ROWS or time.perf_counter() - self._since > _SHARD_S:
            self.flush()

    def flush(self) -> None:
        """Write what is held."""
        if self._keys:
            self._space.write(self._keys, np.concatenate(self._rows), np.concatenate(self._hashes))
        self._keys, self._rows, self._hashes, self._since = [], [], [], time.perf_counter()


class FeatureCache:
    """All spaces under one folder.

    Parameters
    ----------
    folder : see `default_cache_folder`.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def space(self, description: Mapping[str, Any]) -> FeatureSpace:
        """Return the space for features that depend on `description`, a JSON value."""
        return FeatureSpace(self.folder / "features" / hash_json({"form": _FORM, **description}), description)
