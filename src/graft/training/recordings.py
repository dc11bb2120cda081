"""Recordings as the loop eats them: decoded once into a memory-mapped file, then cut, distorted and made into inputs.

Samples of all recordings lie one after the other in one file of float32, so memory stays flat in their number.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from graft.backbones.recording_batches import collate_windows
from graft.core.files import atomic_path
from graft.core.seeds import derive_seed
from graft.data.windows import cut_windows
from graft.training.batches import Batches, ShuffledOrder
from graft.training.length_order import LengthOrder
from graft.training.mixing import Mixing, refuse_mixing, with_soft_labels
from graft.training.sounds import SoundAugmentation, distort_waveform, draw_sound_distortions, mask_spectrogram

__all__ = ["RecordingBatches", "RecordingExamples", "Waveforms", "WindowInput", "open_waveforms", "store_waveforms"]

Rows = NDArray[np.integer[Any]]


class WindowInput(Protocol):
    """What these batches need of a frontend, see `graft.backbones.frontends.Frontend`."""

    @property
    def window(self) -> int:
        """Most samples of a window."""
        ...

    @property
    def hop(self) -> int:
        """Largest distance of two windows."""
        ...

    @property
    def shape(self) -> tuple[int, ...] | None:
        """Shape of every input; None: as long as the window."""
        ...

    def __call__(self, waveform: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the input for a window."""
        ...


@dataclass(frozen=True)
class Waveforms:
    """Samples of many recordings.

    Parameters
    ----------
    samples : (n_samples of all,), float32, an array or a map of a file.
    ends : (n_recordings,), where each recording ends.
    """

    samples: NDArray[np.float32]
    ends: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.ends)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """(n_recordings,), samples of each."""
        return np.diff(self.ends, prepend=0)

    def __getitem__(self, index: int) -> NDArray[np.float32]:
        first = int(self.ends[index - 1]) if index else 0
        return np.asarray(self.samples[first : int(self.ends[index])])


def store_waveforms(path: Path, waveforms: Iterable[NDArray[np.float32]]) -> None:
    """Write all waveforms one after the other to `path`, a .npy file, and their ends to ``path`` with ``-ends``.

    The first file appears last, whole or not at all.

    Raises
    ------
    ResourceError
        When the disk is full.
    """
    header = {"descr": np.lib.format.dtype_to_descr(np.dtype(np.float32)), "fortran_order": False}
    ends: list[int] = []
    with atomic_path(path) as temporary:
        with open(temporary, "wb") as file:
            np.lib.format.write_array_header_1_0(file, {**header, "shape": (0,)})
            for waveform in waveforms:
                file.write(np.ascontiguousarray(waveform, np.float32).data)
                ends.append((ends[-1] if ends else 0) + len(waveform))
            file.seek(0)  # numpy leaves room in the header for any number of rows
            np.lib.format.write_array_header_1_0(file, {**header, "shape": (ends[-1] if ends else 0,)})
        with atomic_path(_ends_path(path)) as other, open(other, "wb") as file:
            np.save(file, np.array(ends, np.int64))


def open_waveforms(path: Path) -> Waveforms:
    """Return what `store_waveforms` wrote, mapped, not read."""
    return Waveforms(np.load(path, mmap_mode="r"), np.load(_ends_path(path)))


def _ends_path(path: Path) -> Path:
    return path.with_name(f"{path.stem}-ends.npy")


@dataclass(frozen=True)
class RecordingExamples:
    """Recordings of one task with their classes.

    Parameters
    ----------
    waveforms : at the frontend's sampling rate.
    targets : (n_recordings,) class numbers.
    n_classes : number of classes.
    frontend : from window to input.
    input_name : of the network's input.
    can_pad : whether shorter inputs may stand beside longer ones in predictions.
    """

    waveforms: Waveforms
    targets: NDArray[Any]
    n_classes: int
    frontend: WindowInput
    input_name: str
    can_pad: bool

    def __len__(self) -> int:
        return len(self.waveforms)

    def batches(
        self,
        rows: Rows,
        *,
        batch_size: int,
        augmentation: str,
        mixing: Mixing | None,
        label_smoothing: float,
        seed: int,
    ) -> Batches:
        """Return endless shuffled batches of some rows, a window of each recording, distorted.

        Raises
        ------
        UsageError
            When recordings are to be mixed.
        """
        refuse_mixing(mixing, noun="recording")
        how = SoundAugmentation.for_strength(augmentation)
        own = np.asarray(rows)
        order: ShuffledOrder | LengthOrder = ShuffledOrder(len(own), batch_size=batch_size, seed=seed)
        if self.frontend.shape is None:
            lengths = np.minimum(self.waveforms.lengths[own], self.frontend.window)
            order = LengthOrder(lengths, batch_size=batch_size, seed=seed)
        return RecordingBatches(self, own, order, how, label_smoothing=label_smoothing, seed=seed)

    def cheapest_order(self, rows: Rows) -> NDArray[np.int64]:
        """Return positions in `rows`, the longest recordings first, so that like lengths come together."""
        return np.argsort(-self.waveforms.lengths[np.asarray(rows)], kind="stable")

    def plain(self, rows: Rows, *, batch_size: int) -> Iterable[Mapping[str, Tensor]]:
        """Return batches of some rows in their order, all windows of each, undistorted.

        Where inputs of different length must not stand together, a batch ends where the length changes.
        """
        batch: list[list[NDArray[np.float32]]] = []
        targets: list[Any] = []
        for row in np.asarray(rows).tolist():
            parts = cut_windows(self.waveforms[row], window=self.frontend.window, hop=self.frontend.hop)
            inputs = [self.frontend(part) for part in parts]
            is_other = bool(batch) and not self.can_pad and batch[-1][0].shape != inputs[0].shape
            if len(batch) == batch_size or is_other:
                yield collate_windows(batch, targets, input_name=self.input_name)
                batch, targets = [], []
            batch.append(inputs)
            targets.append(self.targets[row])
        if batch:
            yield collate_windows(batch, targets, input_name=self.input_name)


class RecordingBatches:
    """Batches of distorted windows: the same step gives the same inputs, whole or in parts.

    Raw samples come in batches of like length: filled up to the longest and masked where the network takes that
    exactly, else cut to the shortest at a drawn place, so that padding never enters the network's statistics.

    Parameters
    ----------
    examples : the recordings.
    rows : which of them are trained on.
    order : of the rows.
    how : the distortions.
    seed : of the distortions.
    label_smoothing : share of a label's mass that is spread evenly over all classes, 0 to 1.
    """

    def __init__(
        self,
        examples: RecordingExamples,
        rows: Rows,
        order: ShuffledOrder | LengthOrder,
        how: SoundAugmentation,
        *,
        label_smoothing: float,
        seed: int,
    ) -> None:
        self._examples, self._rows, self._order, self._how = examples, rows, order, how
        self._label_smoothing, self._seed = label_smoothing, seed
        self._lengths = np.minimum(examples.waveforms.lengths, examples.frontend.window)
        self.batch_size = order.batch_size

    def batch(self, step: int, part: slice = slice(None)) -> Mapping[str, Tensor]:
        """Return one step's batch, or the rows of it that `part` names, equal to the bit.

        Parameters
        ----------
        step : counted from 0.
        part : positions in the whole batch.

        Returns
        -------
        dict
            The inputs, ``attention_mask`` where they were filled up to the longest of the whole batch, ``labels``, and
            where labels are smoothed ``soft_labels`` (n, n_classes) float32.
        """
        examples, frontend = self._examples, self._examples.frontend
        indices = self._rows[self._order.indices(step)]
        source = torch.Generator().manual_seed(derive_seed(self._seed, "augment", step))
        drawn = draw_sound_distortions(self._how, self.batch_size, generator=source)
        lengths = self._lengths[indices]
        window = int(lengths.min()) if frontend.shape is None and not examples.can_pad else frontend.window
        inputs = []
        places = np.arange(self.batch_size)[part].tolist()
        for place in places:
            waveform = examples.waveforms[int(indices[place])]
            first = round(float(drawn.places[place]) * max(0, len(waveform) - window))
            part_of_it = distort_waveform(waveform[first : first + window], drawn, place)
            inputs.append([mask_spectrogram(frontend(part_of_it), drawn, place)])
        targets = examples.targets[indices[places]]
        longest = int(min(lengths.max(), window)) if frontend.shape is None else None
        batch = collate_windows(inputs, targets, input_name=examples.input_name, longest=longest)
        if longest is not None and not (lengths >= longest).all():  # some rows alone may not have needed it
            batch.setdefault("attention_mask", torch.ones_like(batch[examples.input_name], dtype=torch.int64))
        return with_soft_labels(batch, examples.n_classes, smoothing=self._label_smoothing)
