"""What the frozen part of a network said, on disk, and batches of it.

A store is one ``.npy`` file of shape (n, *activation shape), read through a memory map: float32, or the bits of
bfloat16 as uint16, 2 bytes a number.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from torch import Tensor

from graft.core.errors import DataError, ModelError
from graft.core.files import atomic_path
from graft.core.progress import count_progress
from graft.core.seeds import generator
from graft.training.batches import ShuffledOrder

__all__ = ["ActivationBatches", "ActivationStore", "store_activations"]


class ActivationStore:
    """Activations of n examples in a file, mapped, not read.

    Parameters
    ----------
    path : a file that `store_activations` wrote.

    Raises
    ------
    DataError
        When the file holds something else.
    """

    def __init__(self, path: Path) -> None:
        self._stored: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
        if self._stored.dtype not in (np.uint16, np.float32) or self._stored.ndim < 2:
            raise DataError(
                f"{path} holds {self._stored.dtype} of shape {self._stored.shape}",
                expected="activations, float32 or the bits of bfloat16 as uint16",
                fix=f"delete {path}; it is computed again",
            )

    def __len__(self) -> int:
        return len(self._stored)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one example's activation."""
        return tuple(self._stored.shape[1:])

    @property
    def is_bf16(self) -> bool:
        """Whether numbers are kept as bfloat16."""
        return bool(self._stored.dtype == np.uint16)

    def read(self, rows: NDArray[np.integer[Any]]) -> Tensor:
        """Return the activations of `rows` in their order: (len(rows), *shape), float32 or bfloat16."""
        ascending = np.argsort(rows, kind="stable")  # reads the file forwards
        numbers = np.empty((len(rows), *self.shape), self._stored.dtype)
        numbers[ascending] = self._stored[np.asarray(rows)[ascending]]
        tensor = torch.from_numpy(numbers)
        return tensor.view(torch.bfloat16) if self.is_bf16 else tensor


def store_activations(
    path: Path,
    n: int,
    *,
    compute: Callable[[range], Tensor],
    is_bf16: bool,
    batch_size: int = 64,
    console: Console | None = None,
) -> ActivationStore:
    """Return the activations of n examples as a map of a file, computed now if they never were.

    The file is whole or absent: it has its name only once the last batch is in it.

    Parameters
    ----------
    path : ends in ``.npy``.
    n : at least 1.
    compute : gives the activations of a range of examples, (len(range), *activation shape), on any device.
    is_bf16 : keep 2 bytes a number, rounded to 8 significant bits; else 4.
    batch_size : examples that `compute` is asked for at a time.
    console : where progress is shown; None: nowhere.

    Raises
    ------
    DataError
        When there is no example, or the file at `path` was written for others.
    ModelError
        When `compute` gives another number of rows than it was asked for, or another shape than before.
    ResourceError
        When the disk is full.
    """
    if n < 1:
        raise DataError("no example to compute activations of", expected="at least one")
    if not path.exists():
        progress = count_progress("activations", n, unit="examples", console=console)
        with atomic_path(path) as temporary, open(temporary, "wb") as file, progress as advance:
            shape: tuple[int, ...] = ()
            for first in range(0, n, batch_size):
                rows = range(first, min(first + batch_size, n))
                numbers = _as_array(compute(rows), is_bf16=is_bf16)
                if first == 0:
                    shape = numbers.shape[1:]
                    header = {"descr": numbers.dtype.str, "fortran_order": False, "shape": (n, *shape)}
                    np.lib.format.write_array_header_2_0(file, header)
                if numbers.shape != (len(rows), *shape):
                    raise ModelError(
                        f"activations of shape {numbers.shape} for examples {rows.start} to {rows.stop - 1}",
                        expected=f"{(len(rows), *shape)}: one of equal shape for each example",
                        fix="prepare all examples to one size",
                    )
                # Written, not mapped: on a full disk a write is an error, a touched map ends the process.
                file.write(numbers.data)
                advance(len(rows))
    store = ActivationStore(path)
    if len(store) != n or store.is_bf16 != is_bf16:
        raise DataError(
            f"{path} holds {len(store)} activations in {'bfloat16' if store.is_bf16 else 'float32'}",
            expected=f"{n} in {'bfloat16' if is_bf16 else 'float32'}",
            fix=f"delete {path}; it is computed again",
        )
    return store


class ActivationBatches:
    """Batches of stored activations, each example in one view drawn by chance: the same step gives the same batch.

    Parameters
    ----------
    views : stores of the same n examples: plain, mirrored, and so on.
    targets : (n,), class numbers; or (n, n_classes), 0 or 1, for several labels an example.
    rows : which of the n examples are drawn; None: all.
    batch_size : examples a batch.
    seed : of order and views.

    Raises
    ------
    DataError
        When the views and the targets are not of the same examples.
    """

    def __init__(
        self,
        views: Sequence[ActivationStore],
        targets: NDArray[np.integer[Any]],
        *,
        rows: NDArray[np.integer[Any]] | None = None,
        batch_size: int,
        seed: int,
    ) -> None:
        if not views or any(a.shape != b.shape or len(a) != len(b) for a, b in pairwise(views)):
            raise DataError(
                f"views of {[(len(view), *view.shape) for view in views]}",
                expected="at least one, all of one shape",
                fix="delete the stored activations; they are computed again",
            )
        if len(views[0]) != len(targets):
            raise DataError(f"{len(targets)} targets for {len(views[0])} examples", expected="one for each")
        self._rows = np.arange(len(targets)) if rows is None else np.array(rows, dtype=np.int64)
        self._order = ShuffledOrder(len(self._rows), batch_size=batch_size, seed=seed)
        self.batch_size, self._views, self._seed = batch_size, tuple(views), seed
        self._targets = torch.from_numpy(np.array(targets, dtype=np.int64))

    def batch(self, step: int, part: slice = slice(None)) -> dict[str, Tensor]:
        """Return ``pixel_values`` (n, *activation shape) float32 and ``labels`` (n,) of one step, n is `batch_size`.

        Parameters
        ----------
        part : which positions of the step's batch; the parts of a batch together are the batch.
        """
        views = generator(self._seed, "views", step).integers(len(self._views), size=self.batch_size)[part]
        rows = self._rows[self._order.indices(step)[part]]
        activations = torch.empty((len(rows), *self._views[0].shape))
        for number, view in enumerate(self._views):
            at = np.flatnonzero(views == number)
            activations[torch.from_numpy(at)] = view.read(rows[at]).float()
        return {"pixel_values": activations, "labels": self._targets[torch.from_numpy(rows)]}


def _as_array(activations: Tensor, *, is_bf16: bool) -> NDArray[Any]:
    numbers = activations.detach().to(torch.bfloat16 if is_bf16 else torch.float32).cpu().contiguous()
    array: NDArray[Any] = (numbers.view(torch.uint16) if is_bf16 else numbers).numpy()
    return array
