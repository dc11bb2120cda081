"""One pass of the frozen network over the examples that the cache does not hold yet."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console

from graft.backbones.cache import FeatureCache, FeatureSpace, ShardBuffer
from graft.backbones.engines import EngineChoice
from graft.backbones.reading import Reading, read_batches
from graft.backbones.running import RunningNetwork
from graft.backbones.source import FeatureSource, Readable
from graft.backbones.views import PLAIN, View
from graft.core.devices import Precision
from graft.core.errors import DataError
from graft.core.processes import Processes
from graft.core.progress import count_progress
from graft.core.seeds import generator
from graft.core.text import counted
from graft.data.dataset import LabeledDataset

__all__ = ["Extractor", "Features"]


@dataclass(frozen=True)
class Features:
    """Pooled features of some examples.

    Parameters
    ----------
    matrix : (n_examples, n_features), float32.
    perceptual : (n_examples, 4), uint64, a 256-bit hash for near copies an example, zeros where its kind has none.
    keys : n_examples content hashes.
    is_readable : (n_examples,), False where an example could not be read and was to be skipped; its row is zero.
    n_computed : how many were computed now by all processes, not read from the cache.
    """

    matrix: NDArray[np.float32]
    perceptual: NDArray[np.uint64]
    keys: tuple[str, ...]
    is_readable: NDArray[np.bool_]
    n_computed: int

    def select(self, rows: NDArray[np.int64]) -> Features:
        """Return the features of some examples."""
        return Features(
            self.matrix[rows],
            self.perceptual[rows],
            tuple(self.keys[i] for i in rows),
            self.is_readable[rows],
            0,
        )


class Extractor:
    """Computes features of examples with one frozen model, through the cache.

    Parameters
    ----------
    source : reads the examples and runs the network.
    cache : where features are kept.
    device, precision, engine : how the network is run; see `graft.backbones.engines`.
    batch_size : examples a batch; halved, and said, when memory runs out.
    n_workers : processes that read; 0 does it in this process.
    skip_unreadable : leave out examples that cannot be read, and count them, where an error is the default.
    say : told one sentence at a time.
    console : for the progress bar; None shows none.
    processes : those of the job; each computes its share, through the cache that they have in common.
    """

    def __init__(
        self,
        source: FeatureSource,
        cache: FeatureCache,
        *,
        device: torch.device,
        precision: Precision,
        engine: str = "auto",
        is_strict_precision: bool = False,
        batch_size: int = 32,
        n_workers: int = 2,
        skip_unreadable: bool = False,
        say: Callable[[str], None] = lambda text: None,
        console: Console | None = None,
        processes: Processes | None = None,
    ) -> None:
        self._processes = processes or Processes()
        self._source, self._cache = source, cache
        self._device, self._precision, self._wanted = device, precision, engine
        self._is_strict = is_strict_precision
        self._network = RunningNetwork(source, device=device, batch_size=source.batch_size(batch_size), say=say)
        self._n_workers = source.n_workers(n_workers)
        self._skip_unreadable, self._say, self._console = skip_unreadable, say, console
        self.n_cut, self.told_cut = source.n_cut, source.told_cut
        self.n_unreached = 0
        self.engine_label = ""

    @property
    def seconds_engine(self) -> float:
        """Spent in starting engines."""
        return self._network.seconds_start

    @property
    def seconds_forward(self) -> float:
        """Spent in forward passes."""
        return self._network.seconds_forward

    def run(self, data: LabeledDataset, *, n_examples: int, view: View = PLAIN, until: float | None = None) -> Features:
        """Return the features of every example of `data` under one view.

        Parameters
        ----------
        n_examples : examples of the whole job, all splits and views, cached or not: the engine is chosen for these.
        until : reading of ``time.monotonic`` after which no further batch is begun; examples not reached, a random
            part, count as not readable, and `n_unreached` tells how many. None: all are computed.

        Raises
        ------
        DataError
            When an example cannot be read (unless `skip_unreadable`).
        ResourceError
            When a single example does not fit into memory, or the disk is full.
        """
        keys = data.content_hashes()
        choices = self._candidates(n_examples)
        choices = [choice for choice in choices if choice.label not in self._network.refused]
        # The main process decides: another may already see rows that a third one has just written.
        complete = self._processes.from_main(next((c for c in choices if not self._space(c, view).missing(keys)), None))
        unreadable: dict[str, str] = {}
        n_computed = 0
        if complete is not None:
            space = self._space(complete, view)
            self.engine_label = complete.label
            self._say(f"features of {counted(len(data), self._source.noun)}: all in the cache, nothing to compute")
        else:
            space, n_computed = self._compute(data, keys, choices, view, unreadable, until)
        is_readable = np.array([key not in unreadable for key in keys])
        matrix, perceptual = space.read([key for key in keys if key not in unreadable])
        if unreadable:
            matrix, perceptual = _spread(matrix, is_readable), _spread(perceptual, is_readable)
        return Features(matrix, perceptual, tuple(keys), is_readable, n_computed)

    def stream(
        self, data: Readable, *, n_examples: int | None = None
    ) -> Generator[tuple[int, NDArray[np.float32], list[str]]]:
        """Yield first position, features (n, n_features) and error texts of batch after batch, without the cache.

        Parameters
        ----------
        n_examples : examples of the whole job: the engine is chosen for these. None: those of `data`.

        An error text is empty where the example could be read; the features of an unreadable one mean nothing.
        """
        keys = [""] * len(data)
        if self._network.choice is None:
            self._start(data, keys, self._candidates(n_examples or len(data)), PLAIN)
        for first, batch, _, errors in self._batches(Reading(self._source, data, range(len(data)), PLAIN, keys)):
            yield first, self._forward(batch), errors

    def examples(self, data: Readable) -> Iterator[Any]:
        """Yield examples as the network reads them, batch after batch, in order.

        Raises
        ------
        DataError
            When an example cannot be read.
        """
        reading = Reading(self._source, data, range(len(data)), PLAIN, [""] * len(data))
        with count_progress(self._nouns, len(data), unit=self._nouns, console=self._console) as advance:
            for _, batch, _, errors in self._batches(reading):
                for error in filter(None, errors):
                    raise DataError.from_text(error)
                yield batch
                advance(len(errors))

    @property
    def _nouns(self) -> str:
        return f"{self._source.noun}s"

    def _candidates(self, n_examples: int) -> list[EngineChoice]:
        return self._source.candidates(
            self._wanted,
            device=self._device,
            precision=self._precision,
            n_examples=n_examples,
            is_strict_precision=self._is_strict,
        )

    def _space(self, choice: EngineChoice, view: View) -> FeatureSpace:
        return self._cache.space(
            {
                **self._source.description,
                "engine": choice.name,
                "precision": choice.precision.name,
                "view": view.description,
            }
        )

    def _compute(
        self,
        data: LabeledDataset,
        keys: Sequence[str],
        choices: list[EngineChoice],
        view: View,
        unreadable: dict[str, str],
        until: float | None,
    ) -> tuple[FeatureSpace, int]:
        own = self._network.choice or self._start(data, keys, choices, view)
        choice = self._processes.from_main(own)
        if choice.label != own.label:
            self._start(data, keys, [choice], view)
        space = self._space(choice, view)
        todo = self._processes.from_main(space.missing(keys))
        if len(todo) < len(set(keys)):
            n_kept = len(set(keys)) - len(todo)
            self._say(f"features of {counted(n_kept, self._source.noun)} are in the cache, {len(todo):,} to compute")
        if until is not None:
            todo = generator(0, "in case time runs out", len(todo)).permutation(np.array(todo, dtype=np.int64)).tolist()
        else:
            todo = list(self._source.arrange(data, todo))
        share = todo[self._processes.rank :: self._processes.n]
        n_computed = self._fill(space, data, keys, share, view, unreadable, until)
        for of_another in self._processes.gathered(unreadable):  # where all wait for all
            unreadable.update(of_another)
        space.refresh()
        left = [i for i in space.missing(keys) if keys[i] not in unreadable]
        if until is None:
            if left:  # other processes wrote them to a disk that is not shared
                self._fill(space, data, keys, left, view, unreadable, None)
            self.n_unreached = 0
        else:  # each had its own clock, and now all leave out the same
            left = sorted(set().union(*self._processes.gathered(left)))
            unreadable.update({keys[i]: "not reached in time" for i in left})
            self.n_unreached = len(left)
        return space, sum(self._processes.gathered(n_computed))

    def _fill(
        self,
        space: FeatureSpace,
        data: LabeledDataset,
        keys: Sequence[str],
        todo: Sequence[int],
        view: View,
        unreadable: dict[str, str],
        until: float | None,
    ) -> int:
        """Compute the features of some examples into the cache, and return of how many."""
        reading = Reading(self._source, data, todo, view, keys)
        n_done, n_bad = 0, 0
        buffer = ShardBuffer(space)
        try:
            with count_progress("features", len(todo), unit=self._nouns, console=self._console) as advance:
                for first, batch, hashes, errors in self._batches(reading):
                    for offset, error in enumerate(errors):
                        if error:
                            if not self._skip_unreadable:
                                raise DataError.from_text(error)
                            unreadable[keys[todo[first + offset]]] = error
                            n_bad += 1
                    features = self._forward(batch)
                    batch_keys = [keys[todo[first + i]] for i in range(len(errors))]
                    buffer.add(batch_keys, features, hashes, [not error for error in errors])
                    n_done += len(errors)
                    advance(len(errors))
                    if until is not None and time.monotonic() > until:
                        break
        finally:
            buffer.flush()
        return n_done - n_bad

    def _start(self, data: Readable, keys: Sequence[str], choices: list[EngineChoice], view: View) -> EngineChoice:
        """Start an engine: before its own batches, it is shown a few real examples, always the same ones."""
        choice = self._network.start(choices, Reading(self._source, data, range(min(len(data), 8)), view, keys))
        self.engine_label = choice.label
        return choice

    def _batches(self, reading: Reading) -> Iterator[tuple[int, Any, NDArray[np.uint64], list[str]]]:
        return read_batches(reading, batch_size=self._network.batch_size, n_workers=self._n_workers)

    def _forward(self, batch: Any) -> NDArray[np.float32]:
        """Return features of a batch."""
        return self._network.features(batch)


def _spread(rows: NDArray[Any], is_present: NDArray[np.bool_]) -> NDArray[Any]:
    """Return rows at the True places and zeros elsewhere."""
    out = np.zeros((len(is_present), *rows.shape[1:]), rows.dtype)
    out[is_present] = rows
    return out
