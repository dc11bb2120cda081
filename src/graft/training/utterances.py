"""Utterances as the loop eats them: batches by duration, changed in speed, loudness and noise by the step's seed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from graft.core.seeds import derive_seed
from graft.training.acoustics import Acoustics, heard_elsewhere
from graft.training.duration_order import DurationOrder
from graft.training.recordings import Waveforms
from graft.training.sounds import SoundAugmentation, distort_waveform, draw_sound_distortions

__all__ = ["Collate", "SpeechDistortion", "UtteranceBatches", "UtteranceExamples", "changed_speed"]

Collate = Callable[[Sequence[NDArray[np.float32]], Sequence[Sequence[int]]], Mapping[str, Tensor]]


@dataclass(frozen=True)
class SpeechDistortion:
    """How far an utterance may be distorted; nothing that is said is cut off.

    Parameters
    ----------
    speed : largest change of speed (and pitch) either way, as a share.
    sound : loudness.
    mask_share : share of CTC's frames that are masked, see `graft.backbones.ctc.encoder_states`.
    acoustics : another microphone, room and background.

    References
    ----------
    Ko et al., Audio Augmentation for Speech Recognition, 2015: speeds of 0.9 and 1.1.
    """

    speed: float = 0.0
    sound: SoundAugmentation = field(default_factory=SoundAugmentation)
    mask_share: float = 0.0
    acoustics: Acoustics = field(default_factory=Acoustics)

    @classmethod
    def for_strength(cls, strength: str) -> SpeechDistortion:
        """Return distortions by a word: none, light, medium or strong; as `SoundAugmentation.for_strength`."""
        plain = SoundAugmentation.for_strength(strength)
        if strength == "none":
            return cls()
        speed, mask_share, acoustics = {
            "light": (0.1, 0.05, Acoustics(4.0, band=0.2, echo=0.2, noise=0.3, snr_db=(10.0, 40.0))),
            "medium": (0.12, 0.1, Acoustics(5.0, band=0.3, echo=0.3, noise=0.5)),
            "strong": (0.15, 0.15, Acoustics(6.0, band=0.5, echo=0.4, noise=0.7)),
        }[strength]
        return cls(speed, SoundAugmentation(gain_db=plain.gain_db), mask_share, acoustics)


@dataclass(frozen=True)
class UtteranceExamples:
    """Utterances with the tokens of their transcripts.

    Parameters
    ----------
    waveforms : at the model's rate.
    targets : tokens of each.
    collate : from waveforms and targets to a batch, see `graft.tasks.speech_recognition.SpeechRecognition.collate`.
    can_learn : whether a transcript fits so many samples.
    rate_hz : samples a second.
    """

    waveforms: Waveforms
    targets: Sequence[Sequence[int]]
    collate: Collate
    can_learn: Callable[[int, Sequence[int]], bool]
    rate_hz: int = 16_000

    def __len__(self) -> int:
        return len(self.targets)

    def plain(
        self, rows: NDArray[np.integer[Any]], *, most: int
    ) -> Iterator[tuple[NDArray[np.int64], Mapping[str, Tensor]]]:
        """Yield rows with their batch, the longest first, each filled up to at most `most` samples, undistorted."""
        rows = np.asarray(rows, np.int64)
        lengths = self.waveforms.lengths
        ordered = rows[np.argsort(-lengths[rows], kind="stable")]
        first = 0
        while first < len(ordered):
            n = max(1, most // max(1, int(lengths[ordered[first]])))
            own = np.asarray(ordered[first : first + n], np.int64)
            first += n
            yield own, self.collate([self.waveforms[int(i)] for i in own], [self.targets[int(i)] for i in own])


class UtteranceBatches:
    """Batches of distorted utterances: the same step gives the same tensors, whole or in parts.

    Parameters
    ----------
    examples : all utterances.
    rows : which of them are trained on.
    most : samples of a batch, filled up.
    how : the distortions.
    seed : of order and distortions.

    Notes
    -----
    Batches differ in their number of utterances. To the loop each has `batch_size`, the mean; a part of it is that
    share of the utterances, and where a share holds none, an utterance stands in with ``is_counted`` 0.
    """

    def __init__(
        self,
        examples: UtteranceExamples,
        rows: NDArray[np.integer[Any]],
        *,
        most: int,
        how: SpeechDistortion,
        seed: int,
    ) -> None:
        self._examples, self._rows, self._how, self._seed = examples, np.asarray(rows, np.int64), how, seed
        self.order = DurationOrder(examples.waveforms.lengths[self._rows], most=most, seed=seed)
        self.batch_size = max(1, round(len(rows) / self.order.n_batches))

    def batch(self, step: int, part: slice = slice(None)) -> Mapping[str, Tensor]:
        """Return one step's batch, or the share of it that `part` names.

        Parameters
        ----------
        step : counted from 0.
        part : positions in a batch of `batch_size`.
        """
        rows = self._rows[self.order.rows(step)]
        start, stop, _ = part.indices(self.batch_size)
        places = np.arange(start * len(rows) // self.batch_size, stop * len(rows) // self.batch_size)
        is_stand_in = not len(places)
        places = places if len(places) else np.array([0])
        source = torch.Generator().manual_seed(derive_seed(self._seed, "augment", step))
        drawn = draw_sound_distortions(self._how.sound, len(rows), generator=source)
        factors = 1 + self._how.speed * (2 * torch.rand(len(rows), generator=source) - 1)
        waveforms, targets = [], []
        for place in places.tolist():
            row = int(rows[place])
            waveform, target, factor = self._examples.waveforms[row], self._examples.targets[row], float(factors[place])
            if factor != 1 and self._examples.can_learn(int(len(waveform) / factor) - 1, target):
                waveform = changed_speed(waveform, factor)
            random = np.random.default_rng(derive_seed(self._seed, "acoustics", step, place))
            waveform = heard_elsewhere(waveform, self._how.acoustics, rate_hz=self._examples.rate_hz, random=random)
            waveforms.append(distort_waveform(waveform, drawn, place))
            targets.append(target)
        batch = dict(self._examples.collate(waveforms, targets))
        if is_stand_in:
            batch["is_counted"] = torch.zeros(1, dtype=torch.int64)
        return batch


def changed_speed(waveform: NDArray[np.float32], factor: float) -> NDArray[np.float32]:
    """Return a waveform played faster by `factor`, by linear interpolation: (n_samples / factor,).

    Examples
    --------
    >>> changed_speed(np.arange(6, dtype=np.float32), 2.0).tolist()
    [0.0, 2.0, 4.0]
    """
    places = np.arange(max(1, int(len(waveform) / factor))) * factor
    return np.interp(places, np.arange(len(waveform)), waveform).astype(np.float32)
