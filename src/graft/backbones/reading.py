"""Reading of examples for a frozen network: one by one, in worker processes where that pays, batch after batch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from graft.backbones.source import FeatureSource, Readable
from graft.backbones.views import View
from graft.core.errors import DataError

__all__ = ["Reading", "read_batches"]


class Reading(torch.utils.data.Dataset[Any]):
    """Some examples of `data`, read under one view; an unreadable one is blank, and its error a text.

    Parameters
    ----------
    positions : of the examples in `data`.
    keys : content hashes of all of `data`.
    """

    def __init__(
        self, source: FeatureSource, data: Readable, positions: Sequence[int], view: View, keys: Sequence[str]
    ) -> None:
        self._source, self._data, self._positions, self._view, self._keys = source, data, positions, view, keys

    def __len__(self) -> int:
        return len(self._positions)

    def __getitem__(self, item: int) -> tuple[Any, NDArray[np.uint64], str]:
        at = self._positions[item]
        try:
            content, name = self._data.read(at), self._data.place(at)
            return *self._source.read(content, name=name, key=self._keys[at], view=self._view), ""
        except DataError as error:
            return self._source.blank(), np.zeros(4, np.uint64), str(error)

    def collate(self, rows: list[tuple[Any, NDArray[np.uint64], str]]) -> tuple[Any, torch.Tensor, list[str]]:
        """Return a batch, its hashes and its errors; arrays travel from workers as tensors."""
        batch = self._source.collate([row[0] for row in rows])
        if isinstance(batch, np.ndarray):
            batch = torch.from_numpy(batch)
        hashes = torch.from_numpy(np.stack([row[1] for row in rows]).view(np.int64))
        return batch, hashes, [row[2] for row in rows]

    def sample(self) -> Any:
        """Return one batch of all that could be read; where nothing could, of one blank."""
        rows = [self[i] for i in range(len(self))]
        return self._source.collate([row[0] for row in rows if not row[2]] or [rows[0][0]])


def read_batches(
    reading: Reading, *, batch_size: int, n_workers: int
) -> Iterator[tuple[int, Any, NDArray[np.uint64], list[str]]]:
    """Yield first position, batch, hashes (n, 4) and error texts, in order; empty texts where nothing went wrong.

    Parameters
    ----------
    n_workers : processes that read, fewer where there is little to read; 0: this one does.
    """
    n_workers = min(n_workers, max(0, len(reading) // (2 * batch_size)))
    loader = torch.utils.data.DataLoader(
        reading,
        batch_size=batch_size,
        num_workers=n_workers,
        collate_fn=reading.collate,
        prefetch_factor=2 if n_workers else None,
    )
    first = 0
    for batch, hashes, errors in loader:
        own = batch.numpy() if isinstance(batch, torch.Tensor) else batch
        yield first, own, hashes.numpy().view(np.uint64), errors
        first += len(errors)
