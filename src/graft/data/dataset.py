"""The labelled examples of one split, and the three splits together."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from graft.core.errors import DataError
from graft.core.files import hash_bytes, hash_json
from graft.data.label_sets import label_matrix
from graft.data.places import Places

if TYPE_CHECKING:
    from datasets import Dataset

__all__ = ["LabeledDataset", "Splits", "read_bytes"]

_HASH_BLOCK = 512
_HASH_THREADS = 4


@dataclass(frozen=True, eq=False)
class LabeledDataset:
    """Examples with their labels, over a Hugging Face dataset; nothing is read before it is asked for.

    Picklable and safe to fork: a `torch.utils.data.DataLoader` worker calls `read`.

    Parameters
    ----------
    rows : n_examples rows with the columns ``id`` (str, unique), ``content`` (the path of a file as str, or a struct
        of ``bytes`` and ``path``) and ``label`` (int64, index into `label_names`, -1 where it is not known; or a list
        of such indices where an example may have any number of labels, null where they are not known).
    label_names : n_classes names, in the order of the label numbers.
    source : where the examples come from, for messages and manifests, for example ``"flowers5/train"``.
    root : folder that relative paths in ``content`` start from; empty where all are absolute.
    groups : (n_examples,), number of the group of each example; a group is never torn by a split. None: no groups.
    suspected_groups : (n_examples,), the same for a column that nobody named, but that looks like groups: splits do not
        heed it, and that is said. None: no such column.
    group_column : name of the column of either.
    text_columns : names of the columns of a table that the texts stood in, two of pairs; empty where there are none.
    places : where the examples stand in a table, for messages; None: not known, or they are files.

    Raises
    ------
    DataError
        When a column is missing, two ids are equal, or a label number has no name.

    Examples
    --------
    >>> from datasets import Dataset
    >>> rows = {"id": ["a", "b"], "content": [{"bytes": b"1", "path": None}] * 2, "label": [0, 1]}
    >>> data = LabeledDataset(Dataset.from_dict(rows), ("cat", "dog"))
    >>> len(data), data.ids, data.labels.tolist(), data.read(0)
    (2, ['a', 'b'], [0, 1], b'1')
    """

    rows: Dataset
    label_names: tuple[str, ...]
    source: str = ""
    root: str = ""
    groups: NDArray[np.int64] | None = None
    suspected_groups: NDArray[np.int64] | None = None
    group_column: str = ""
    text_columns: tuple[str, ...] = ()
    places: Places | None = None
    _paths: list[str] | None = field(init=False, repr=False)
    _ids: list[str] = field(init=False, repr=False)
    _labels: NDArray[np.integer[Any]] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        missing = {"id", "content", "label"} - set(self.rows.column_names)
        if missing:
            raise DataError(
                f"{self.source or 'a dataset'} has the columns {', '.join(self.rows.column_names)}",
                expected="the columns id, content and label",
            )
        from datasets import Value

        if isinstance(self.rows.features["label"], Value):
            labels: NDArray[np.integer[Any]] = np.asarray(self.rows["label"][:], dtype=np.int64)
        else:
            labels = label_matrix(self.rows["label"][:], len(self.label_names), source=self.source or "a dataset")
        labels.flags.writeable = False
        ids = list(self.rows["id"][:])
        if len(set(ids)) != len(ids):
            raise DataError(f"{self.source or 'a dataset'} has the same id twice", expected="unique ids")
        if labels.ndim == 1 and len(labels) and (labels.max() >= len(self.label_names) or labels.min() < -1):
            raise DataError(
                f"{self.source or 'a dataset'} has label numbers from {labels.min()} to {labels.max()}",
                expected=f"-1 (unknown) to {len(self.label_names) - 1}: there are {len(self.label_names)} label names",
            )
        if self.groups is not None and self.groups.shape != labels.shape[:1]:
            raise DataError(f"{self.groups.shape} groups for {len(labels)} examples", expected="a group an example")
        is_path = getattr(self.rows.features["content"], "dtype", None) in ("string", "large_string")
        object.__setattr__(self, "_ids", ids)
        object.__setattr__(self, "_labels", labels)
        object.__setattr__(self, "_paths", list(self.rows["content"][:]) if is_path else None)

    def __len__(self) -> int:
        return len(self._ids)

    def __iter__(self) -> Iterator[bytes]:
        return (self.read(index) for index in range(len(self)))

    @property
    def ids(self) -> list[str]:
        """n_examples unique names; for files the path relative to the data folder, with forward slashes."""
        return self._ids

    @property
    def labels(self) -> NDArray[np.integer[Any]]:
        """(n_examples,), int64: index into `label_names`, -1 where it is not known. Read-only.

        Where an example may have several labels: (n_examples, n_labels), uint8: 1 where it has the label, else 0;
        `UNKNOWN` in the whole row where they are not known.
        """
        return self._labels

    @property
    def is_multi_label(self) -> bool:
        """Whether an example may have any number of labels."""
        return self._labels.ndim == 2

    @property
    def class_counts(self) -> NDArray[np.int64]:
        """(n_classes,), number of examples of each class, or with each label."""
        if self.is_multi_label:
            return np.asarray((self._labels == 1).sum(axis=0), dtype=np.int64)
        return np.bincount(self._labels[self._labels >= 0], minlength=len(self.label_names)).astype(np.int64)

    def place(self, index: int) -> str:
        """Return how a message names one example: its file where it has one, the line of its table, else its id."""
        if self._paths is not None:
            return os.path.join(self.root, self._paths[index])  # noqa: PTH118  a hot path in workers
        if self.places is not None:
            return self.places.of(index)
        return f"{self._ids[index]} of {self.source}" if self.source else self._ids[index]

    def read(self, index: int) -> bytes:
        """Return the raw bytes of one example.

        Raises
        ------
        DataError
            When its file cannot be read (named), or the row holds neither bytes nor a path.
        """
        if self._paths is not None:
            return read_bytes(self.place(index))
        cell: dict[str, Any] | bytes | None = self.rows[int(index)]["content"]
        if isinstance(cell, bytes):
            return cell
        if cell and cell.get("bytes") is not None:
            return bytes(cell["bytes"])
        if cell and cell.get("path"):
            return read_bytes(os.path.join(self.root, cell["path"]))  # noqa: PTH118
        raise DataError(
            f"{self.place(index)} is empty: no bytes and no path",
            expected="an example in every row",
            fix="remove the row from the data",
        )

    def content_hashes(self) -> list[str]:
        """Return `hash_bytes` of the raw bytes of every example; read once, then remembered.

        Raises
        ------
        DataError
            When a file cannot be read (named).
        """
        return list(self._hashes)

    @cached_property
    def _hashes(self) -> tuple[str, ...]:
        # Blocks, so that a pool does not hold one future an example. Reading and BLAKE2 release the interpreter lock.
        def of_block(start: int) -> list[str]:
            return [hash_bytes(self.read(i)) for i in range(start, min(start + _HASH_BLOCK, len(self)))]

        with ThreadPoolExecutor(_HASH_THREADS) as pool:
            return tuple(digest for block in pool.map(of_block, range(0, len(self), _HASH_BLOCK)) for digest in block)

    @cached_property
    def fingerprint(self) -> str:
        """32 hexadecimal digits that change with any byte, label, label name or the order; not with file names."""
        return hash_json([list(self._hashes), self._labels.tolist(), list(self.label_names)])

    def select(self, indices: Sequence[int] | NDArray[np.integer[Any]]) -> LabeledDataset:
        """Return the examples at `indices`, in that order, with the same label names."""
        where = np.asarray(indices, dtype=np.int64)
        chosen = LabeledDataset(
            self.rows.select(where.tolist()),
            self.label_names,
            source=self.source,
            root=self.root,
            groups=None if self.groups is None else self.groups[where],
            suspected_groups=None if self.suspected_groups is None else self.suspected_groups[where],
            group_column=self.group_column,
            text_columns=self.text_columns,
            places=None if self.places is None else self.places.select(where),
        )
        if "_hashes" in self.__dict__:
            chosen.__dict__["_hashes"] = tuple(self._hashes[i] for i in where)
        return chosen


@dataclass(frozen=True)
class Splits:
    """The examples to train, to choose and to judge with.

    Parameters
    ----------
    train : always there.
    valid, test : None where the data brings none; they share the label names of `train`.
    notes : sentences on what was found, used and dropped, to be printed.
    """

    train: LabeledDataset
    valid: LabeledDataset | None = None
    test: LabeledDataset | None = None
    notes: tuple[str, ...] = ()

    def present(self) -> dict[str, LabeledDataset]:
        """Return the splits that there are, by name, in the order train, valid, test."""
        named = {"train": self.train, "valid": self.valid, "test": self.test}
        return {name: data for name, data in named.items() if data is not None}


def read_bytes(path: str) -> bytes:
    """Return what a file holds.

    Raises
    ------
    DataError
        When the file is missing or may not be read; the message names it.
    """
    try:
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError:
        raise DataError(
            f"{path} is missing",
            expected="every file that the data names",
            fix="put it back, or remove its row from the table; where files have moved, write the data anew",
        ) from None
    except OSError as error:
        raise DataError(
            f"{path} cannot be read: {error.strerror or error}",
            fix="give this user the right to read it, or remove it from the data",
        ) from error
