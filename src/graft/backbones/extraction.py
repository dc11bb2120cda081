"""One pass of the frozen network over the examples that the cache does not hold yet."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console

from graft.backbones.cache import FeatureCache, FeatureSpace
from graft.backbones.engines import Engine, EngineChoice, candidates, start_engine
from graft.backbones.loading import ImageModel
from graft.backbones.preprocessing import Preprocessing
from graft.backbones.views import PLAIN, View
from graft.core.devices import Precision
from graft.core.errors import DataError, ResourceError
from graft.core.memory import is_out_of_memory
from graft.core.processes import Processes
from graft.core.progress import count_progress
from graft.core.seeds import generator
from graft.data.dataset import LabeledDataset
from graft.data.images import decode_image, perceptual_hash

__all__ = ["Extractor", "Features", "Readable"]

_SHARD_ROWS: Final = 1024
_SHARD_S: Final = 5.0


@dataclass(frozen=True)
class Features:
    """Pooled features of some examples.

    Parameters
    ----------
    matrix : (n_examples, n_features), float32.
    perceptual : (n_examples, 4), uint64, a 256-bit perceptual hash a picture.
    keys : n_examples content hashes.
    is_readable : (n_examples,), False where a picture could not be read and was to be skipped; its row is zero.
    n_computed : how many were computed now by all processes, not read from the cache.
    """

    matrix: NDArray[np.float32]
    perceptual: NDArray[np.uint64]
    keys: tuple[str, ...]
    is_readable: NDArray[np.bool_]
    n_computed: int


class Readable(Protocol):
    """What an extractor needs of its pictures."""

    def __len__(self) -> int: ...

    def read(self, index: int, /) -> bytes:
        """Return the bytes of a picture file."""
        ...

    def place(self, index: int, /) -> str:
        """Return where the picture comes from, for messages."""
        ...


class _Pictures(torch.utils.data.Dataset[Any]):
    """Decodes, hashes and preprocesses in worker processes."""

    def __init__(
        self, data: Readable, positions: Sequence[int], preprocessing: Preprocessing, view: View, keys: Sequence[str]
    ) -> None:
        self._data, self._positions, self._preprocessing = data, positions, preprocessing
        self._view, self._keys = view, keys

    def __len__(self) -> int:
        return len(self._positions)

    def __getitem__(self, item: int) -> tuple[NDArray[Any], NDArray[np.uint64], str]:
        position = self._positions[item]
        try:
            picture = decode_image(self._data.read(position), name=self._data.place(position))
            pixels = self._preprocessing(self._view.apply(picture, self._keys[position]))
            return pixels, perceptual_hash(picture), ""
        except DataError as error:
            blank = np.zeros(self._preprocessing.shape, np.uint8 if self._preprocessing.is_split else np.float32)
            return blank, np.zeros(4, np.uint64), str(error)


def _collate(rows: list[tuple[NDArray[Any], NDArray[np.uint64], str]]) -> tuple[torch.Tensor, torch.Tensor, list[str]]:
    pixels = torch.from_numpy(np.stack([row[0] for row in rows]))
    hashes = torch.from_numpy(np.stack([row[1] for row in rows]).view(np.int64))
    return pixels, hashes, [row[2] for row in rows]


class Extractor:
    """Computes features of examples with one frozen model, through the cache.

    Parameters
    ----------
    model : the pretrained model.
    cache : where features are kept.
    device, precision, engine : how the network is run; see `graft.backbones.engines`.
    batch_size : pictures a batch; halved, and said, when memory runs out.
    n_workers : processes that decode and resize; 0 does it in this process.
    skip_unreadable : leave out pictures that cannot be decoded, and count them, where an error is the default.
    say : told one sentence at a time.
    console : for the progress bar; None shows none.
    processes : those of the job; each computes its share, through the cache that they have in common.
    """

    def __init__(
        self,
        model: ImageModel,
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
        self._model, self._cache = model, cache
        self._device, self._precision, self._wanted = device, precision, engine
        self._is_strict = is_strict_precision
        self._batch_size, self._n_workers = batch_size, n_workers
        self._skip_unreadable, self._say, self._console = skip_unreadable, say, console
        self._running: tuple[Engine, EngineChoice] | None = None
        self._refused: set[str] = set()
        self.n_unreached = 0
        self.engine_label = ""
        self.seconds_engine = 0.0
        self.seconds_forward = 0.0

    def run(self, data: LabeledDataset, *, n_pictures: int, view: View = PLAIN, until: float | None = None) -> Features:
        """Return the features of every example of `data` under one view.

        Parameters
        ----------
        n_pictures : pictures of the whole job, all splits and views, cached or not: the engine is chosen for these.
        until : reading of ``time.monotonic`` after which no further batch is begun; pictures not reached, a random
            part, count as not readable, and `n_unreached` tells how many. None: all are computed.

        Raises
        ------
        DataError
            When a picture cannot be read (unless `skip_unreadable`).
        ResourceError
            When a single picture does not fit into memory, or the disk is full.
        """
        keys = data.content_hashes()
        choices = candidates(
            self._wanted,
            device=self._device,
            precision=self._precision,
            n_pictures=n_pictures,
            is_strict_precision=self._is_strict,
        )
        choices = [choice for choice in choices if choice.label not in self._refused]
        # The main process decides: another may already see rows that a third one has just written.
        complete = self._processes.from_main(next((c for c in choices if not self._space(c, view).missing(keys)), None))
        unreadable: dict[str, str] = {}
        n_computed = 0
        if complete is not None:
            space = self._space(complete, view)
            self.engine_label = complete.label
            self._say(f"features of {len(data):,} pictures: all in the cache, nothing to compute")
        else:
            space, n_computed = self._compute(data, keys, choices, view, unreadable, until)
        is_readable = np.array([key not in unreadable for key in keys])
        matrix, perceptual = space.read([key for key in keys if key not in unreadable])
        if unreadable:
            matrix, perceptual = _spread(matrix, is_readable), _spread(perceptual, is_readable)
        return Features(matrix, perceptual, tuple(keys), is_readable, n_computed)

    def stream(self, data: Readable) -> Iterator[tuple[int, NDArray[np.float32], list[str]]]:
        """Yield first position, features (n, n_features) and error texts of batch after batch, without the cache.

        An error text is empty where the picture could be read; the features of an unreadable one mean nothing.
        """
        keys = [""] * len(data)
        if self._running is None:
            choices = candidates(
                self._wanted,
                device=self._device,
                precision=self._precision,
                n_pictures=len(data),
                is_strict_precision=self._is_strict,
            )
            self._running = self._start(data, keys, choices, PLAIN)
        for first, pixels, _, errors in self._batches(
            _Pictures(data, range(len(data)), self._model.preprocessing, PLAIN, keys)
        ):
            yield first, self._forward(pixels), errors

    def pixels(self, data: Readable) -> Iterator[NDArray[np.uint8]]:
        """Yield preprocessed pixels, (n, n_channels, height, width) uint8, of batch after batch, in order.

        Raises
        ------
        DataError
            When a picture cannot be read.
        """
        pictures = _Pictures(data, range(len(data)), self._model.preprocessing, PLAIN, [""] * len(data))
        with count_progress("pictures", len(data), unit="pictures", console=self._console) as advance:
            for _, pixels, _, errors in self._batches(pictures):
                for error in filter(None, errors):
                    raise DataError(*error.split("\nTo fix: ")[:1], fix=error.partition("\nTo fix: ")[2])
                yield pixels
                advance(len(errors))

    def _space(self, choice: EngineChoice, view: View) -> FeatureSpace:
        return self._cache.space(
            {
                "weights": self._model.backbone.weights_hash,
                "preprocessing": self._model.preprocessing.fingerprint,
                "engine": choice.name,
                "precision": choice.precision.name,
                "layer": "head input",
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
        if self._running is None:
            # Before its own batches, the pass shows the engine a few real pictures, always the same ones.
            self._running = self._start(data, keys, choices, view)
        choice = self._processes.from_main(self._running[1])
        if choice.label != self._running[1].label:
            self._running = self._start(data, keys, [choice], view)
        space = self._space(choice, view)
        todo = self._processes.from_main(space.missing(keys))
        if len(todo) < len(set(keys)):
            self._say(f"features of {len(set(keys)) - len(todo):,} pictures are in the cache, {len(todo):,} to compute")
        if until is not None:
            todo = generator(0, "in case time runs out", len(todo)).permutation(np.array(todo, dtype=np.int64)).tolist()
        n_computed = self._fill(space, data, keys, todo[self._processes.share(len(todo))], view, unreadable, until)
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
        pictures = _Pictures(data, todo, self._model.preprocessing, view, keys)
        n_done, n_bad = 0, 0
        buffer = _ShardBuffer(space)
        try:
            with count_progress("features", len(todo), unit="pictures", console=self._console) as advance:
                for first, pixels, hashes, errors in self._batches(pictures):
                    for offset, error in enumerate(errors):
                        if error:
                            if not self._skip_unreadable:
                                raise DataError(*error.split("\nTo fix: ")[:1], fix=error.partition("\nTo fix: ")[2])
                            unreadable[keys[todo[first + offset]]] = error
                            n_bad += 1
                    features = self._forward(pixels)
                    batch_keys = [keys[todo[first + i]] for i in range(len(errors))]
                    buffer.add(batch_keys, features, hashes, [not error for error in errors])
                    n_done += len(errors)
                    advance(len(errors))
                    if until is not None and time.monotonic() > until:
                        break
        finally:
            buffer.flush()
        return n_done - n_bad

    def _start(
        self, data: Readable, keys: Sequence[str], choices: list[EngineChoice], view: View
    ) -> tuple[Engine, EngineChoice]:
        started = time.perf_counter()
        pictures = _Pictures(data, range(min(len(data), 8)), self._model.preprocessing, view, keys)
        rows = [pictures[i] for i in range(len(pictures))]
        sample = np.stack([row[0] for row in rows if not row[2]] or [rows[0][0]])
        while True:
            try:
                engine, choice, cosine = start_engine(
                    self._model.feature_network(),
                    choices,
                    sample=sample,
                    batch_size=self._batch_size,
                    device=self._device,
                    say=self._say,
                )
                break
            except Exception as error:
                self._halve(error)
        refused = choices[: choices.index(choice)]
        self._refused.update(c.label for c in refused)
        self.engine_label = choice.label
        self.seconds_engine += time.perf_counter() - started
        self._say(
            f"engine {choice.label} on {self._device}: {choice.reason}; {choice.precision.name}:"
            f" {choice.precision.reason}; cosine to eager fp32 at least {cosine:.6f}"
        )
        return engine, choice

    def _batches(self, pictures: _Pictures) -> Iterator[tuple[int, NDArray[Any], NDArray[np.uint64], list[str]]]:
        n_workers = min(self._n_workers, max(0, len(pictures) // (2 * self._batch_size)))
        loader = torch.utils.data.DataLoader(
            pictures,
            batch_size=self._batch_size,
            num_workers=n_workers,
            collate_fn=_collate,
            prefetch_factor=2 if n_workers else None,
        )
        first = 0
        for pixels, hashes, errors in loader:
            yield first, pixels.numpy(), hashes.numpy().view(np.uint64), errors
            first += len(errors)

    def _forward(self, pixels: NDArray[Any]) -> NDArray[np.float32]:
        """Return features of a batch, in pieces of the engine's size; a batch that does not fit is halved."""
        started = time.perf_counter()
        assert self._running is not None
        pieces, at = [], 0
        while at < len(pixels):
            piece = pixels[at : at + self._batch_size]
            full = piece if len(piece) == self._batch_size else np.resize(piece, (self._batch_size, *piece.shape[1:]))
            try:
                pieces.append(self._running[0](full)[: len(piece)])
            except Exception as error:
                self._halve(error)
                choice = self._running[1]
                engine, _, _ = start_engine(
                    self._model.feature_network(),
                    [choice],
                    sample=piece[: self._batch_size],
                    batch_size=self._batch_size,
                    device=self._device,
                    say=self._say,
                )
                self._running = (engine, choice)
                continue
            at += len(piece)
        self.seconds_forward += time.perf_counter() - started
        return np.concatenate(pieces)

    def _halve(self, error: Exception) -> None:
        """Halve the batch if memory ran out and it can be halved; else raise."""
        if not is_out_of_memory(error):
            raise error
        if self._batch_size == 1:
            raise ResourceError(
                f"out of memory on {self._device} with a single picture",
                fix="choose a smaller model, or --device cpu (Python: device='cpu')",
            ) from error
        self._batch_size //= 2
        self._say(f"out of memory: going on with batches of {self._batch_size}")
        if self._device.type == "cuda":
            torch.cuda.empty_cache()


class _ShardBuffer:
    """Rows on their way to a shard; written at batch boundaries, so that a resumed pass makes the same batches."""

    def __init__(self, space: FeatureSpace) -> None:
        self._space, self._since = space, time.perf_counter()
        self._keys: list[str] = []
        self._rows: list[NDArray[np.float32]] = []
        self._hashes: list[NDArray[np.uint64]] = []

    def add(
        self, keys: Sequence[str], features: NDArray[np.float32], hashes: NDArray[np.uint64], is_good: Sequence[bool]
    ) -> None:
        good = np.asarray(is_good, dtype=bool)
        self._keys += [key for key, is_kept in zip(keys, good, strict=True) if is_kept]
        self._rows.append(features[good])
        self._hashes.append(hashes[good])
        if len(self._keys) >= _SHARD_ROWS or time.perf_counter() - self._since > _SHARD_S:
            self.flush()

    def flush(self) -> None:
        if self._keys:
            self._space.write(self._keys, np.concatenate(self._rows), np.concatenate(self._hashes))
        self._keys, self._rows, self._hashes, self._since = [], [], [], time.perf_counter()


def _spread(rows: NDArray[Any], is_present: NDArray[np.bool_]) -> NDArray[Any]:
    """Return rows at the True places and zeros elsewhere."""
    out = np.zeros((len(is_present), *rows.shape[1:]), rows.dtype)
    out[is_present] = rows
    return out
