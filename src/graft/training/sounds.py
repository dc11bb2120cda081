"""Distortions of recordings: shift, gain and noise on the waveform, then masked bands and spans of the spectrogram."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from graft.core.errors import UsageError, did_you_mean

__all__ = ["SoundAugmentation", "SoundDistortions", "distort_waveform", "draw_sound_distortions", "mask_spectrogram"]

Strength = Literal["none", "light", "medium", "strong"]


@dataclass(frozen=True)
class SoundAugmentation:
    """How far a recording may be distorted; every amount is drawn evenly from its range.

    Parameters
    ----------
    shift : largest shift either way, as a share of the window; what is moved in is silence.
    gain_db : largest change of loudness, either way.
    noise : share of recordings that get white noise.
    snr_db : (low, high), power of the recording over that of the noise.
    n_bands, band : masked frequency bands of a spectrogram, and the largest width of one as a share of all bands.
    n_spans, span : masked spans of time, and the largest length of one as a share of the window.

    Raises
    ------
    UsageError
        When an amount is out of bounds.

    References
    ----------
    Park et al., SpecAugment, 2019, https://arxiv.org/abs/1904.08779, section 2: masks, without its time warping, which
    the paper found to matter least. Masked values become the spectrogram's mean.
    """

    shift: float = 0.0
    gain_db: float = 0.0
    noise: float = 0.0
    snr_db: tuple[float, float] = (10.0, 40.0)
    n_bands: int = 0
    band: float = 0.0
    n_spans: int = 0
    span: float = 0.0

    def __post_init__(self) -> None:
        for name in ("shift", "noise", "band", "span"):
            if not 0 <= getattr(self, name) <= 1:
                raise UsageError(f"{name} {getattr(self, name)}", expected="a share from 0 to 1")
        if min(self.gain_db, self.n_bands, self.n_spans) < 0 or self.snr_db[0] > self.snr_db[1]:
            raise UsageError(
                f"gain_db {self.gain_db}, n_bands {self.n_bands}, n_spans {self.n_spans}, snr_db {self.snr_db}",
                expected="0 or more, and a range from low to high",
            )

    @classmethod
    def for_strength(cls, strength: str) -> SoundAugmentation:
        """Return distortions by a word: none, light, medium or strong.

        Raises
        ------
        UsageError
            When there is no such strength.

        Examples
        --------
        >>> SoundAugmentation.for_strength("light").gain_db
        3.0
        """
        if strength not in get_args(Strength):
            raise UsageError(
                f"augmentation strength {strength!r}.{did_you_mean(strength, get_args(Strength))}",
                expected="one of " + ", ".join(get_args(Strength)),
            )
        if strength == "none":
            return cls()
        if strength == "light":
            masks: dict[str, Any] = {"n_bands": 1, "band": 0.1, "n_spans": 1, "span": 0.05}
            return cls(shift=0.05, gain_db=3.0, noise=0.25, snr_db=(20.0, 40.0), **masks)
        if strength == "medium":
            return cls(shift=0.1, gain_db=6.0, noise=0.5, n_bands=2, band=0.15, n_spans=2, span=0.1)
        masks = {"n_bands": 2, "band": 0.3, "n_spans": 2, "span": 0.2}
        return cls(shift=0.2, gain_db=10.0, noise=0.7, snr_db=(0.0, 30.0), **masks)


@dataclass(frozen=True)
class SoundDistortions:
    """What was drawn for n recordings; what is done to one depends on its own row alone.

    Parameters
    ----------
    places : (n,), where in a longer recording the window lies, 0 to 1.
    shifts : (n,), shares of the window.
    gains : (n,), factors.
    snr_db : (n,), infinite where no noise is added.
    noise_seeds : (n,) int64.
    bands, spans : (n, k, 2), start of each mask as a share of what the mask leaves, and its width as a share of all.
    """

    places: Tensor
    shifts: Tensor
    gains: Tensor
    snr_db: Tensor
    noise_seeds: Tensor
    bands: Tensor
    spans: Tensor

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, rows: Tensor) -> SoundDistortions:
        return SoundDistortions(*(getattr(self, field.name)[rows] for field in fields(self)))


def draw_sound_distortions(
    how: SoundAugmentation, n_recordings: int, *, generator: torch.Generator
) -> SoundDistortions:
    """Return the distortions of a whole batch; `generator` is the only source of randomness."""

    def uniform(low: float, high: float, *more: int) -> Tensor:
        return low + (high - low) * torch.rand(n_recordings, *more, generator=generator)

    places, shifts = uniform(0, 1), uniform(-how.shift, how.shift)
    gains = 10 ** (uniform(-how.gain_db, how.gain_db) / 20)
    is_noisy, snr_db = uniform(0, 1) < how.noise, uniform(*how.snr_db)
    return SoundDistortions(
        places,
        shifts,
        gains,
        torch.where(is_noisy, snr_db, torch.tensor(torch.inf)),
        torch.randint(1 << 62, (n_recordings,), generator=generator),
        torch.stack([uniform(0, 1, how.n_bands), uniform(0, how.band, how.n_bands)], dim=-1),
        torch.stack([uniform(0, 1, how.n_spans), uniform(0, how.span, how.n_spans)], dim=-1),
    )


def distort_waveform(waveform: NDArray[np.float32], drawn: SoundDistortions, row: int) -> NDArray[np.float32]:
    """Return a window shifted, made louder or softer, and noisy, as drawn for one row: (n_samples,) float32.

    Examples
    --------
    >>> how = SoundAugmentation(gain_db=6.0)
    >>> drawn = draw_sound_distortions(how, 1, generator=torch.Generator().manual_seed(0))
    >>> loud = distort_waveform(np.ones(4, np.float32), drawn, 0)
    >>> bool(np.allclose(loud, float(drawn.gains[0])))
    True
    """
    n = len(waveform)
    shift = round(float(drawn.shifts[row]) * n)
    moved = np.zeros_like(waveform)
    if shift >= 0:
        moved[shift:] = waveform[: n - shift]
    else:
        moved[:shift] = waveform[-shift:]
    moved *= np.float32(drawn.gains[row])
    snr_db = float(drawn.snr_db[row])
    if snr_db != np.inf:
        random = np.random.default_rng(int(drawn.noise_seeds[row]))
        level = np.sqrt(np.mean(np.square(moved, dtype=np.float64))) * 10 ** (-snr_db / 20)
        moved += random.normal(0, 1, n).astype(np.float32) * np.float32(level)
    return moved


def mask_spectrogram(values: NDArray[np.float32], drawn: SoundDistortions, row: int) -> NDArray[np.float32]:
    """Return a spectrogram whose bands and spans are masked as drawn for one row; what has one dimension stays.

    Parameters
    ----------
    values : (..., a, b); the longer of the last two dimensions is time. Masked values become the mean of all.
    """
    if values.ndim < 2:
        return values
    masked, mean = values.copy(), values.mean(dtype=np.float64)
    time = -1 if values.shape[-1] >= values.shape[-2] else -2
    for axis, masks in ((time, drawn.spans[row]), (-3 - time, drawn.bands[row])):
        along = np.moveaxis(masked, axis, -1)
        size = along.shape[-1]
        for start, width in masks.tolist():
            n_masked = round(width * size)
            first = round(start * (size - n_masked))
            along[..., first : first + n_masked] = mean
    return masked
