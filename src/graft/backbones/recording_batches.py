"""Recordings in batches: each is one window or several, and windows of like length go through the network together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["RecordingBatch", "collate_windows", "mean_by_owner", "window_tensors"]

_SHORTEST_SHARE: Final = 0.9  # of the longest window of a tensor: no more than a tenth is padding


@dataclass(frozen=True)
class RecordingBatch:
    """Some recordings, each with the inputs of its windows; it has a length, and slices of it are batches.

    Parameters
    ----------
    recordings : n lists of inputs, each input (*shape) or (n_samples,), float32; at least one a recording.
    """

    recordings: Sequence[Sequence[NDArray[np.float32]]]

    def __len__(self) -> int:
        return len(self.recordings)

    def __getitem__(self, part: slice) -> RecordingBatch:
        return RecordingBatch(self.recordings[part])

    @property
    def windows(self) -> list[NDArray[np.float32]]:
        """All inputs, one recording after the other."""
        return [window for recording in self.recordings for window in recording]

    @property
    def owners(self) -> NDArray[np.int64]:
        """(n_windows,), which recording each window is of."""
        return np.repeat(np.arange(len(self)), [len(recording) for recording in self.recordings])

    def pooled(self, compute: Callable[[list[NDArray[np.float32]]], NDArray[np.float32]]) -> NDArray[np.float32]:
        """Return the mean features of each recording, (n, width), where `compute` gives those of windows."""
        return mean_by_owner(compute(self.windows), self.owners, n=len(self))


def mean_by_owner(features: NDArray[np.float32], owners: NDArray[np.int64], *, n: int) -> NDArray[np.float32]:
    """Return the mean of the rows of each owner: (n, width), float32.

    Examples
    --------
    >>> mean_by_owner(np.array([[1.0], [2.0], [4.0]], np.float32), np.array([0, 1, 1]), n=2).tolist()
    [[1.0], [3.0]]
    """
    total = np.zeros((n, features.shape[1]))
    np.add.at(total, owners, features)
    return (total / np.bincount(owners, minlength=n)[:, None]).astype(np.float32)


def window_tensors(
    windows: Sequence[NDArray[np.float32]], *, most: int, can_pad: bool
) -> Iterator[tuple[NDArray[np.int64], Tensor, Tensor | None]]:
    """Yield places in `windows`, their values in one tensor, and its mask, until each window was given once.

    Parameters
    ----------
    windows : inputs, of any length in their first dimension.
    most : windows in one tensor.
    can_pad : whether shorter windows may be filled up with zeros, at most a tenth of the longest beside them, and be
        masked, (n, n_samples) int64; else only windows of one length come together, without a mask.
    """
    lengths = np.array([len(window) for window in windows])
    order = np.argsort(-lengths, kind="stable")
    at = 0
    while at < len(order):
        longest = lengths[order[at]]
        shortest = _SHORTEST_SHARE * longest if can_pad else longest
        n = int((lengths[order[at : at + most]] >= shortest).sum())
        places = order[at : at + n]
        at += n
        values = np.zeros((n, *windows[places[0]].shape), np.float32)
        for row, place in enumerate(places.tolist()):
            values[row, : lengths[place]] = windows[place]
        mask = None
        if lengths[places[-1]] < longest:
            mask = (torch.arange(int(longest)) < torch.from_numpy(lengths[places])[:, None]).long()
        yield places, torch.from_numpy(values), mask


def collate_windows(
    recordings: Sequence[Sequence[NDArray[np.float32]]],
    targets: Sequence[Any] | NDArray[Any],
    *,
    input_name: str,
    longest: int | None = None,
) -> dict[str, Tensor]:
    """Return the inputs of all windows in one tensor, with labels and what says which window is whose.

    Parameters
    ----------
    recordings : n lists of inputs, equal in shape but for the first dimension.
    targets : n class numbers, or n rows of 0 and 1.
    longest : samples that one-dimensional inputs are filled up to at least.

    Returns
    -------
    dict
        `input_name` (n_windows, *shape), float32; ``attention_mask`` (n_windows, n_samples) int64 where lengths
        differ; ``window_of`` (n_windows,) int64 where a recording has several windows; ``labels``.
    """
    windows = [window for recording in recordings for window in recording]
    lengths = torch.tensor([len(window) for window in windows])
    size = max(int(lengths.max()), longest or 0)
    values = np.zeros((len(windows), size, *windows[0].shape[1:]), np.float32)
    for row, window in enumerate(windows):
        values[row, : len(window)] = window
    batch = {input_name: torch.from_numpy(values), "labels": torch.from_numpy(np.asarray(targets))}
    if batch["labels"].ndim == 1:
        batch["labels"] = batch["labels"].long()
    if bool((lengths < size).any()):
        batch["attention_mask"] = (torch.arange(size) < lengths[:, None]).long()
    if len(windows) > len(recordings):
        counts = torch.tensor([len(recording) for recording in recordings])
        batch["window_of"] = torch.repeat_interleave(torch.arange(len(recordings)), counts)
    return batch
