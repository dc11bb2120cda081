"""Traits of examples on the same road as features: read in workers, shared by processes, kept in the cache.

They depend on an example alone, so one cache entry serves every network. The network here does nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from graft.backbones.engines import Engine, EngineChoice
from graft.backbones.source import Readable
from graft.backbones.views import View
from graft.core.devices import Precision
from graft.data.alignment import SIDE
from graft.data.kinds import PICTURE, ExampleKind
from graft.data.traits import read_traits, trait_columns

__all__ = ["TraitSource"]

_FORM = 1  # of `read_traits`; a change makes a new space in the cache
_BATCH = 256
_NO_HASH = np.zeros(4, np.uint64)


class TraitSource:
    """Reads the traits of one kind of example.

    Parameters
    ----------
    kind : of the examples.
    """

    blocks = ("traits",)
    scalings = ("none",)

    def __init__(self, kind: ExampleKind) -> None:
        self._kind = kind

    @property
    def noun(self) -> str:
        """What an example is called."""
        return self._kind.noun

    @property
    def description(self) -> Mapping[str, Any]:
        """The columns and their form."""
        return {"traits": list(trait_columns(self._kind)), "thumbnail": SIDE, "traits form": _FORM}

    def n_cut(self, data: Readable) -> int:
        """Return 0."""
        return 0

    def told_cut(self, n_cut: int, n: int) -> str:
        """Return nothing."""
        return ""

    def n_workers(self, wanted: int) -> int:
        """Return 0: examples are read in this process, as processes must not be forked once OpenVINO has run."""
        return 0

    def batch_size(self, wanted: int) -> int:
        """Return 256."""
        return _BATCH

    def arrange(self, data: Readable, positions: Sequence[int]) -> Sequence[int]:
        """Return the order as it is."""
        return positions

    def read(self, content: bytes, *, name: str, key: str, view: View) -> tuple[NDArray[Any], NDArray[np.uint64]]:
        """Return the traits of an example, and no hash."""
        return read_traits(content, self._kind, name=name), _NO_HASH

    def blank(self) -> NDArray[Any]:
        """Return zeros."""
        return np.zeros(len(trait_columns(self._kind)) + SIDE * SIDE * (self._kind is PICTURE), np.float32)

    def collate(self, examples: list[NDArray[Any]]) -> NDArray[Any]:
        """Return (n, n_columns)."""
        return np.stack(examples)

    def filled(self, batch: NDArray[Any], size: int) -> NDArray[Any]:
        """Return the batch as it is."""
        return batch

    def candidates(
        self, wanted: str, *, device: torch.device, precision: Precision, n_examples: int, is_strict_precision: bool
    ) -> list[EngineChoice]:
        """Return the one engine there is."""
        return [EngineChoice("none", Precision("fp32", "nothing is computed"), "nothing is computed")]

    def start(
        self,
        choices: list[EngineChoice],
        *,
        sample: NDArray[Any],
        batch_size: int,
        device: torch.device,
        say: Callable[[str], None],
    ) -> tuple[Engine, EngineChoice, float]:
        """Return the engine that gives back what it gets."""
        return np.asarray, choices[0], 1.0
