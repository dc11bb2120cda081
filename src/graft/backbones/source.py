"""How one kind of example passes through a frozen network: the one thing that an extractor does not know."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from graft.backbones.engines import Engine, EngineChoice
from graft.backbones.views import View
from graft.core.devices import Precision

__all__ = ["FeatureSource", "Readable"]


class Readable(Protocol):
    """What an extractor needs of its examples."""

    def __len__(self) -> int: ...

    def read(self, index: int, /) -> bytes:
        """Return the bytes of an example: a file's, or a text in UTF-8."""
        ...

    def place(self, index: int, /) -> str:
        """Return where the example comes from, for messages."""
        ...


class FeatureSource(Protocol):
    """Examples of one kind, on their way through one frozen network; picklable but for the network.

    A *batch* is what `collate` returns: it has a length, and slices of it are batches.
    """

    @property
    def noun(self) -> str:
        """What an example is called: ``"picture"``, ``"text"``, ``"recording"``."""
        ...

    @property
    def description(self) -> Mapping[str, Any]:
        """What the features depend on besides engine, precision and view: a JSON value, part of the cache's key."""
        ...

    @property
    def blocks(self) -> tuple[str, ...]:
        """Names of the equally wide blocks of columns of the features, one a way of pooling; at least one."""
        ...

    @property
    def scalings(self) -> tuple[str, ...]:
        """Feature scalings that the head may choose from, see `graft.solver.scaling`."""
        ...

    def n_cut(self, data: Readable) -> int:
        """Return how many examples are not read to their end."""
        ...

    def told_cut(self, n_cut: int, n: int) -> str:
        """Return a sentence that says so of `n_cut` out of `n`."""
        ...

    def n_workers(self, wanted: int) -> int:
        """Return the processes that `read` is worth."""
        ...

    def batch_size(self, wanted: int) -> int:
        """Return the examples of a batch."""
        ...

    def arrange(self, data: Readable, positions: Sequence[int]) -> Sequence[int]:
        """Return `positions` in the order in which they are best computed."""
        ...

    def read(self, content: bytes, *, name: str, key: str, view: View) -> tuple[Any, NDArray[np.uint64]]:
        """Return an example, not yet in a batch, and its 256-bit hash for near copies, (4,), zeros where there is none.

        Raises
        ------
        DataError
            When the content cannot be read; `name` is for the message.
        """
        ...

    def blank(self) -> Any:
        """Return what stands in for an example that could not be read."""
        ...

    def collate(self, examples: list[Any]) -> Any:
        """Return a batch."""
        ...

    def filled(self, batch: Any, size: int) -> Any:
        """Return `batch` brought to `size` examples, where engines want full batches; else as it is."""
        ...

    def candidates(
        self, wanted: str, *, device: torch.device, precision: Precision, n_examples: int, is_strict_precision: bool
    ) -> list[EngineChoice]:
        """Return engines in the order in which they are to be tried."""
        ...

    def start(
        self,
        choices: list[EngineChoice],
        *,
        sample: Any,
        batch_size: int,
        device: torch.device,
        say: Callable[[str], None],
    ) -> tuple[Engine, EngineChoice, float]:
        """Return the first engine that agrees with eager fp32 on the batch `sample`, its choice, and the cosine."""
        ...
