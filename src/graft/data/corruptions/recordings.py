"""Recordings made worse: noise, a narrow band, another loudness and an echoing room, each in five strengths."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from graft.data.audio import decode_recording

__all__ = ["RECORDING_CORRUPTIONS", "corrupt_recording"]

_SNR_DB = (25.0, 18.0, 12.0, 6.0, 0.0)
_BAND = (0.7, 0.5, 0.35, 0.24, 0.16)  # of half the sampling rate
_GAIN_DB = (4.0, 8.0, 14.0, 20.0, 26.0)  # quieter, or louder and clipped
_ECHO_S = (0.2, 0.35, 0.6, 0.9, 1.4)  # until the echo has died down by 60 dB
_ECHO_SHARE = (0.3, 0.5, 0.8, 1.2, 1.8)  # all echoes together, beside what comes straight

RecordingCorruption = Callable[[NDArray[np.float32], int, int, np.random.Generator], NDArray[np.floating]]


def corrupt_recording(content: bytes, corruption: str, severity: int, *, name: str, rng: np.random.Generator) -> bytes:
    """Return the recording made worse, one channel of its own rate and length, as the bytes of a WAV file of floats.

    Parameters
    ----------
    content : bytes of a sound file.
    corruption : a key of `RECORDING_CORRUPTIONS`.
    severity : 1 to 5.
    name : for messages.
    rng : the same for all severities of an example, so that they have noise, sign and room in common.

    Raises
    ------
    DataError
        When the content is no recording.
    """
    import soundfile

    from graft.core.errors import DataError

    try:
        rate = int(soundfile.info(io.BytesIO(content)).samplerate)
    except (soundfile.SoundFileError, RuntimeError) as error:
        raise DataError(f"{name} cannot be read as a recording: {error}", expected="a sound file") from error
    sound = decode_recording(content, name=name, sampling_rate_hz=rate).waveform
    worse = np.asarray(RECORDING_CORRUPTIONS[corruption](sound, rate, severity, rng), dtype=np.float32)
    file = io.BytesIO()
    soundfile.write(file, worse, rate, format="WAV", subtype="FLOAT")
    return file.getvalue()


def _rms(sound: NDArray[np.floating]) -> float:
    return float(np.sqrt(np.mean(np.square(sound, dtype=np.float64)))) if sound.size else 0.0


def _noise(sound: NDArray[np.float32], rate: int, severity: int, rng: np.random.Generator) -> NDArray[np.floating]:
    level = _rms(sound) * 10 ** (-_SNR_DB[severity - 1] / 20)
    return sound + level * rng.standard_normal(sound.shape)


def _band(sound: NDArray[np.float32], rate: int, severity: int, rng: np.random.Generator) -> NDArray[np.floating]:
    from scipy import signal  # dear to import, and of no use for pictures and texts

    sections = signal.butter(6, _BAND[severity - 1], output="sos")
    return np.asarray(signal.sosfilt(sections, sound))


def _gain(sound: NDArray[np.float32], rate: int, severity: int, rng: np.random.Generator) -> NDArray[np.floating]:
    decibels = _GAIN_DB[severity - 1] * rng.choice([-1, 1])
    return np.clip(sound * 10 ** (decibels / 20), -1.0, 1.0)


def _echo(sound: NDArray[np.float32], rate: int, severity: int, rng: np.random.Generator) -> NDArray[np.floating]:
    """Return the sound convolved with noise that dies down exponentially, as loud as before.

    References
    ----------
    Polack 1988, La transmission de l'énergie sonore dans les salles: late echoes as decaying noise.
    """
    room = rng.standard_normal(round(_ECHO_S[-1] * rate))
    seconds = np.arange(round(_ECHO_S[severity - 1] * rate)) / rate
    response = room[: len(seconds)] * 10 ** (-3 * seconds / _ECHO_S[severity - 1])
    response *= _ECHO_SHARE[severity - 1] / max(float(np.sqrt(np.square(response).sum())), 1e-12)
    response[0] = 1.0
    from scipy import signal

    wet = signal.fftconvolve(sound, response)[: len(sound)]
    return np.asarray(wet * (_rms(sound) / max(_rms(wet), 1e-12)))


RECORDING_CORRUPTIONS: Final[Mapping[str, RecordingCorruption]] = {
    "noise": _noise,
    "narrow band": _band,
    "loudness": _gain,
    "echo": _echo,
}
