"""Another microphone, room and background for a recording: an equaliser, echoes, a masked band and coloured noise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from graft.core.errors import UsageError

__all__ = ["Acoustics", "heard_elsewhere"]

_KNOTS = 10  # of a drawn curve over frequency, evenly placed on a scale near that of the ear
_BEND_HZ = 700.0  # below this the scale is linear, above logarithmic
_DEEPEST_DB = -40.0
_LONGEST_ECHO_S = 0.5


@dataclass(frozen=True)
class Acoustics:
    """How far microphone, room and background may differ; all amounts are drawn for each recording.

    Parameters
    ----------
    curve_db : standard deviation of the equaliser's gain at each of ten places of the spectrum.
    band : share of recordings that lose a drawn band, by 40 dB.
    echo : share of recordings that get the echoes of a small room (0.05 to 0.5 s until they are 60 dB down).
    noise : share of recordings that get noise of a drawn colour.
    snr_db : (low, high), power of the recording over that of the noise.

    Raises
    ------
    UsageError
        When an amount is out of bounds.

    References
    ----------
    Park et al., SpecAugment, 2019, https://arxiv.org/abs/1904.08779: masked bands; here the waveform loses them, as
    networks that read waveforms have no spectrogram to mask.
    """

    curve_db: float = 0.0
    band: float = 0.0
    echo: float = 0.0
    noise: float = 0.0
    snr_db: tuple[float, float] = (5.0, 40.0)

    def __post_init__(self) -> None:
        if not all(0 <= share <= 1 for share in (self.band, self.echo, self.noise)) or self.curve_db < 0:
            raise UsageError(
                f"band {self.band}, echo {self.echo}, noise {self.noise}, curve_db {self.curve_db}",
                expected="shares from 0 to 1, and decibels of 0 or more",
            )

    @property
    def is_nothing(self) -> bool:
        """Whether a recording stays as it is."""
        return not (self.curve_db or self.band or self.echo or self.noise)


def heard_elsewhere(
    waveform: NDArray[np.float32], how: Acoustics, *, rate_hz: int, random: np.random.Generator
) -> NDArray[np.float32]:
    """Return a recording as another microphone in another room would have it: (n_samples,), as long as it was.

    Parameters
    ----------
    waveform : (n_samples,).
    rate_hz : its sampling rate.
    random : all draws; the same number of them whatever they come to.

    Examples
    --------
    >>> wave = np.ones(8, np.float32)
    >>> bool((heard_elsewhere(wave, Acoustics(), rate_hz=8000, random=np.random.default_rng(0)) == wave).all())
    True
    """
    if how.is_nothing or len(waveform) < 2:
        return waveform
    has_band, has_echo, has_noise = random.random(3) < (how.band, how.echo, how.noise)
    n = len(waveform)
    n_all = _good_length(n + round(_LONGEST_ECHO_S * rate_hz))
    place = _place(np.fft.rfftfreq(n_all, 1 / rate_hz).astype(np.float64), rate_hz)
    gain_db = how.curve_db * _curve(place, random)
    if has_band:
        middle, width = random.uniform(0, 1), random.uniform(0.03, 0.12)
        gain_db = np.where(np.abs(place - middle) < width / 2, _DEEPEST_DB, gain_db)
    spectrum = np.fft.rfft(waveform, n_all) * (10 ** (gain_db / 20)).astype(np.float32)
    if has_echo:
        spectrum = spectrum * np.fft.rfft(_room(rate_hz, random), n_all)
    heard = np.fft.irfft(spectrum, n_all)[:n]
    if has_noise:
        colour = 10 ** ((6.0 * _curve(place, random) - random.uniform(0, 25) * place) / 20)
        noise = np.fft.irfft(np.fft.rfft(random.standard_normal(n_all, np.float32)) * colour, n_all)[:n]
        loud = 10 ** (-random.uniform(*how.snr_db) / 20) * _level(heard) / max(_level(noise), 1e-12)
        heard = heard + loud * noise
    return heard.astype(np.float32)


def _curve(place: NDArray[np.floating], random: np.random.Generator) -> NDArray[np.float64]:
    """Return a smooth curve of standard normal height at each place."""
    return np.interp(place, np.linspace(0, 1, _KNOTS), random.standard_normal(_KNOTS))


def _place(hertz: NDArray[np.floating], rate_hz: int) -> NDArray[np.floating]:
    """Return where frequencies lie on the ear's scale (O'Shaughnessy's mel), 0 to 1 at half the sampling rate."""
    return np.log1p(hertz / _BEND_HZ) / np.log1p(rate_hz / 2 / _BEND_HZ)


def _room(rate_hz: int, random: np.random.Generator) -> NDArray[np.float64]:
    """Return a drawn room's answer to a click: the click, then noise that dies down exponentially (Polack, 1988)."""
    until, share = random.uniform(0.05, _LONGEST_ECHO_S), random.uniform(0.1, 0.8)
    seconds = np.arange(round(until * rate_hz)) / rate_hz
    echoes = random.standard_normal(len(seconds)) * 10 ** (-3 * seconds / until)
    echoes *= share / max(float(np.sqrt(np.square(echoes).sum())), 1e-12)
    echoes[0] = 1.0
    return echoes


def _level(wave: NDArray[np.floating]) -> float:
    return float(np.sqrt(np.mean(np.square(wave))))


def _good_length(n: int) -> int:
    """Return the next length with small factors: a transform of a prime length is slow."""
    step = 1 << max(0, n.bit_length() - 4)
    return -(-n // step) * step
