"""Examples passed once through a network, without the cache: features, as far as they are read and time allows."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import closing
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graft.backbones.extraction import Extractor
from graft.backbones.pretrained import PretrainedModel
from graft.backbones.source import Readable
from graft.core.errors import DataError

__all__ = ["Joined", "head_weights", "pass_through"]


class Joined:
    """Several lists of examples as one, so that batches stay full across them."""

    def __init__(self, parts: Sequence[Readable]) -> None:
        self._parts = list(parts)
        self._starts = np.concatenate([[0], np.cumsum([len(part) for part in self._parts])])

    def __len__(self) -> int:
        return int(self._starts[-1])

    def _at(self, index: int) -> tuple[Readable, int]:
        part = int(np.searchsorted(self._starts, index, side="right")) - 1
        return self._parts[part], index - int(self._starts[part])

    def read(self, index: int) -> bytes:
        """Return the bytes of an example."""
        part, inner = self._at(index)
        return part.read(inner)

    def place(self, index: int) -> str:
        """Return where the example comes from, for messages."""
        part, inner = self._at(index)
        return part.place(inner)


def pass_through(
    extractor: Extractor,
    data: Readable,
    *,
    skip_unreadable: bool = False,
    until: float | None = None,
    seconds: float | None = None,
    n_examples: int | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return positions and features (n, n_features) of the examples that were reached and could be read, in order.

    Parameters
    ----------
    until : reading of ``time.monotonic`` after which no further batch is begun; None: all are passed.
    seconds : the same, counted from the end of the first batch: an engine may take its time to start.
    n_examples : examples of the whole job, which the engine is chosen for; None: those of `data`.

    Raises
    ------
    DataError
        When an example cannot be read (unless `skip_unreadable`), or there is none.
    """
    rows: list[int] = []
    found: list[NDArray[np.float32]] = []
    with closing(extractor.stream(data, n_examples=n_examples)) as stream:  # its threads end where it is left early
        for first, features, errors in stream:
            for error in filter(None, errors):
                if not skip_unreadable:
                    raise DataError.from_text(error)
                say(f"skipped: {error.splitlines()[0]}")
            good = [i for i, error in enumerate(errors) if not error]
            rows += [first + i for i in good]
            found.append(np.asarray(features[good], dtype=np.float32))
            if seconds is not None and first == 0:
                until = time.monotonic() + seconds
            if until is not None and time.monotonic() > until:
                break
    if not rows:
        raise DataError("no example could be read", expected="at least one")
    return np.array(rows, dtype=np.int64), np.concatenate(found)


def head_weights(model: PretrainedModel) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return weights (n_classes, n_features) and bias of the head that a model carries."""
    layer = model.head.layer
    return layer.weight.detach().cpu().numpy(), layer.bias.detach().cpu().numpy()
