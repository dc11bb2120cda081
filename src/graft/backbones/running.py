"""A frozen network that runs: an engine that was started, and batches as large as memory allows."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from graft.backbones.engines import Engine, EngineChoice
from graft.backbones.reading import Reading
from graft.backbones.source import FeatureSource
from graft.core.errors import ResourceError
from graft.core.memory import is_out_of_memory

__all__ = ["RunningNetwork"]


class RunningNetwork:
    """The network of a source, once started.

    Parameters
    ----------
    source : runs the network.
    device : where.
    batch_size : examples a batch; halved, and said, when memory runs out.
    say : told one sentence at a time.

    Attributes
    ----------
    choice : the engine that runs; None before the start.
    refused : labels of engines that could not be started, or did not compute what they should.
    seconds_start, seconds_forward : spent in starts and in passes.
    """

    def __init__(
        self, source: FeatureSource, *, device: torch.device, batch_size: int, say: Callable[[str], None]
    ) -> None:
        self._source, self._device, self._say = source, device, say
        self._engine: Engine | None = None
        self.batch_size = batch_size
        self.choice: EngineChoice | None = None
        self.refused: set[str] = set()
        self.seconds_start = 0.0
        self.seconds_forward = 0.0

    def start(self, choices: Sequence[EngineChoice], reading: Reading) -> EngineChoice:
        """Start the first engine that does it, and say which and why.

        Parameters
        ----------
        reading : of a few real examples, which it is shown.

        Raises
        ------
        ResourceError
            When a single example does not fit into memory.
        """
        started = time.perf_counter()
        choices, sample = list(choices), reading.sample()
        while True:
            try:
                engine, choice, cosine = self._started(choices, sample)
                break
            except Exception as error:
                self._halve(error)
        self._engine, self.choice = engine, choice
        self.refused.update(c.label for c in choices[: choices.index(choice)])
        self.seconds_start += time.perf_counter() - started
        self._say(
            f"engine {choice.label} on {self._device}: {choice.reason}; {choice.precision.name}:"
            f" {choice.precision.reason}; cosine to eager fp32 at least {cosine:.6f}"
        )
        return choice

    def features(self, batch: Any) -> NDArray[np.float32]:
        """Return features of a batch, in pieces of the engine's size; a batch that does not fit is halved.

        Raises
        ------
        ResourceError
            When a single example does not fit into memory.
        """
        started = time.perf_counter()
        assert self._engine is not None
        assert self.choice is not None
        pieces, at = [], 0
        while at < len(batch):
            piece = batch[at : at + self.batch_size]
            try:
                pieces.append(self._engine(self._source.filled(piece, self.batch_size))[: len(piece)])
            except Exception as error:
                self._halve(error)
                self._engine, _, _ = self._started([self.choice], piece[: self.batch_size])
                continue
            at += len(piece)
        self.seconds_forward += time.perf_counter() - started
        return np.concatenate(pieces)

    def _started(self, choices: list[EngineChoice], sample: Any) -> tuple[Engine, EngineChoice, float]:
        return self._source.start(
            choices, sample=sample, batch_size=self.batch_size, device=self._device, say=self._say
        )

    def _halve(self, error: Exception) -> None:
        """Halve the batch if memory ran out and it can be halved; else raise."""
        if not is_out_of_memory(error):
            raise error
        if self.batch_size == 1:
            raise ResourceError(
                f"out of memory on {self._device} with a single {self._source.noun}",
                fix="choose a smaller model, or --device cpu (Python: device='cpu')",
            ) from error
        self.batch_size //= 2
        self._say(f"out of memory: going on with batches of {self.batch_size}")
        if self._device.type == "cuda":
            torch.cuda.empty_cache()
