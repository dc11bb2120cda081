"""From the bytes of a sound file to samples of one channel at one sampling rate, and a short hash of how it sounds."""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from graft.core.errors import DataError
from graft.core.text import counted

__all__ = ["Recording", "channels_cancel", "decode_recording", "duration_s", "spectral_hash"]

SILENCE_PEAK: Final = 1e-4  # of full scale, -80 dB: three steps of 16 bits
SHORTEST_S: Final = 0.01  # less than a frame of any spectrum
LONGEST_S: Final = 3 * 3600.0
_BLOCK = 1 << 18  # samples a channel that are decoded at a time
_OPEN_END = 0x7FFF_0000  # a data chunk that claims as much was written to a pipe, its length not known
_BANDS, _SLICES = 17, 17  # of the hash: 16 x 16 differences
_HASH_RATE_HZ, _HASH_FRAME = 8000, 256
_UNCHANGING: Final = (1, 0, 0, 0)  # the hash of sound in which nothing moves, a frame or less for example
_WORDS = np.ascontiguousarray(np.arange(256).reshape(-1, 4).T)


@dataclass(frozen=True, eq=False)
class Recording:
    """A decoded sound file.

    Parameters
    ----------
    waveform : (n_samples,), float32, one channel, full scale is -1 to 1.
    sampling_rate_hz : of `waveform`.
    file_rate_hz : sampling rate of the file.
    n_channels : of the file.
    duration_s : of the file.
    """

    waveform: NDArray[np.float32]
    sampling_rate_hz: int
    file_rate_hz: int
    n_channels: int
    duration_s: float

    @property
    def is_silent(self) -> bool:
        """Whether there is nothing to hear: no sample is more than 1e-4 of full scale off the middle."""
        return bool(np.ptp(self.waveform) <= 2 * SILENCE_PEAK)


def decode_recording(content: bytes, *, name: str, sampling_rate_hz: int) -> Recording:
    """Return the sound of a file in one channel, at the sampling rate that is asked for.

    Parameters
    ----------
    content : the bytes of the file: WAV, FLAC, OGG (Vorbis, Opus), MP3, AIFF and what else libsndfile reads, of any
        bit depth, sampling rate and number of channels.
    name : the file or row, for messages.
    sampling_rate_hz : wanted rate.

    Raises
    ------
    DataError
        When the bytes are no sound, end too early, hold no sample or samples that are no numbers, or last for less
        than a hundredth of a second or more than 3 hours.

    Notes
    -----
    Channels are averaged, as ``ffmpeg -ac 1`` does for `transformers.pipeline`. Resampling is soxr's high quality.
    A file is decoded and resampled block by block: memory holds one channel at the wanted rate, nothing more.

    Examples
    --------
    >>> import io, soundfile
    >>> file = io.BytesIO()
    >>> soundfile.write(file, np.zeros((800, 2)), 8000, format="WAV")
    >>> sound = decode_recording(file.getvalue(), name="a.wav", sampling_rate_hz=16_000)
    >>> sound.waveform.shape, sound.n_channels, sound.duration_s, sound.is_silent
    ((1600,), 2, 0.1, True)
    """
    import soundfile

    cause = _missing_end(content)
    if not cause:
        try:
            with soundfile.SoundFile(io.BytesIO(content)) as file:
                cause = _refusal(file)
                if not cause:
                    waveform, n_frames = _read(file, sampling_rate_hz)
                    claimed = int(file.frames)
                    if 0.99 * claimed > n_frames and claimed < 1 << 60:
                        cause = f"it ends after {n_frames:,} of {claimed:,} samples"
                    elif not n_frames:
                        cause = "it holds no sample"
                    elif n_frames < SHORTEST_S * file.samplerate:
                        cause = f"it lasts {1000 * n_frames / file.samplerate:.2g} ms ({counted(n_frames, 'sample')})"
                    elif not np.isfinite(waveform).all():
                        cause = "it holds samples that are no numbers"
                    else:
                        rate = int(file.samplerate)
                        return Recording(waveform, sampling_rate_hz, rate, int(file.channels), n_frames / rate)
        except (soundfile.SoundFileError, RuntimeError, ValueError) as error:
            cause = _in_words(error) if content else "it is empty"
    raise DataError(
        f"{name} cannot be read as a recording: {cause}",
        expected="a whole WAV, FLAC, OGG or MP3 file of 10 ms to 3 hours",
        fix="replace or remove it (other formats: ffmpeg -i FILE FILE.wav), or leave unreadable recordings out and have"
        " them counted: --skip-unreadable (Python: skip_unreadable=True)",
    )


def duration_s(content: bytes) -> float:
    """Return how long a sound file lasts by its header, in seconds; 0 where it says nothing that can be read.

    Examples
    --------
    >>> import io, soundfile
    >>> file = io.BytesIO()
    >>> soundfile.write(file, np.zeros(800), 8000, format="WAV")
    >>> duration_s(file.getvalue()), duration_s(b"no sound")
    (0.1, 0.0)
    """
    import soundfile

    try:
        with soundfile.SoundFile(io.BytesIO(content)) as file:
            return file.frames / file.samplerate if 0 < file.frames < 1 << 60 else 0.0
    except (soundfile.SoundFileError, RuntimeError, ValueError):
        return 0.0


def channels_cancel(content: bytes) -> bool:
    """Return whether a sound file holds sound in its channels, and none once they are mixed to one.

    Examples
    --------
    >>> import io, soundfile
    >>> file, wave = io.BytesIO(), np.sin(np.arange(800))
    >>> soundfile.write(file, np.stack([wave, -wave], axis=1), 8000, format="WAV")
    >>> channels_cancel(file.getvalue()), channels_cancel(b"no sound")
    (True, False)
    """
    import soundfile

    try:
        sound, _ = soundfile.read(io.BytesIO(content), dtype="float32", always_2d=True)
    except (soundfile.SoundFileError, RuntimeError, ValueError):
        return False
    heard = float(np.ptp(sound, axis=0).max(initial=0.0)) if len(sound) else 0.0
    return sound.shape[1] > 1 and heard > 0 and float(np.ptp(sound.mean(axis=1))) < 0.01 * heard


def spectral_hash(recording: Recording) -> NDArray[np.uint64]:
    """Return a 256-bit hash of how energy moves over bands and time; all zero for silence alone.

    Copies that were encoded, resampled or made louder differ in few bits.

    Returns
    -------
    (4,) uint64. The distance of two recordings is ``np.bitwise_count(a ^ b).sum()``, 0 to 256.

    Notes
    -----
    The recording, at 8 kHz, is cut into 17 slices of equal length and 17 bands of equal width on the mel scale; bit
    (t, b) is set where the difference of log energy between bands b and b + 1 grows from slice t to t + 1.

    References
    ----------
    Haitsma & Kalker, A Highly Robust Audio Fingerprinting System, 2002, equation 1.
    """
    if recording.is_silent:
        return np.zeros(4, np.uint64)
    import soxr

    waveform = soxr.resample(recording.waveform, recording.sampling_rate_hz, _HASH_RATE_HZ)
    n_frames = max(_SLICES, len(waveform) * 2 // _HASH_FRAME)
    waveform = np.pad(waveform, (0, max(0, _HASH_FRAME - len(waveform))))
    starts = np.linspace(0, len(waveform) - _HASH_FRAME, n_frames).astype(np.int64)
    window = np.hanning(_HASH_FRAME).astype(np.float32)
    energy = np.zeros((_SLICES, _BANDS))
    edges = _mel_edges()
    for t, part in enumerate(np.array_split(starts, _SLICES)):
        frames = waveform[part[:, None] + np.arange(_HASH_FRAME)] * window
        power = np.square(np.abs(np.fft.rfft(frames, axis=1))).sum(axis=0)
        energy[t] = np.add.reduceat(power, edges[:-1])
    if not energy.any():  # sound above what the hash hears, or at the very edge of a frame
        return np.array(_UNCHANGING, np.uint64)
    level = np.log(energy + 1e-6 * energy.max())
    slope = level[:, :-1] - level[:, 1:]
    bits = (np.diff(slope, axis=0) > 0).ravel()[_WORDS]
    found = np.packbits(bits, axis=1).view(np.uint64).ravel()
    return found if found.any() else np.array(_UNCHANGING, np.uint64)


def _mel_edges() -> NDArray[np.int64]:
    """Return the first bins of the bands and, last, the end: (n_bands + 1,), ascending, each band at least a bin."""
    top = 2595 * np.log10(1 + 3400 / 700)
    low = 2595 * np.log10(1 + 100 / 700)
    hertz = 700 * (10 ** (np.linspace(low, top, _BANDS + 1) / 2595) - 1)
    return np.round(hertz * _HASH_FRAME / _HASH_RATE_HZ).astype(np.int64)


def _refusal(file: Any) -> str:
    if file.frames > LONGEST_S * file.samplerate and file.frames < 1 << 60:
        return f"it lasts {file.frames / file.samplerate / 3600:.1f} hours; cut it into shorter files"
    return ""


def _read(file: Any, rate_hz: int) -> tuple[NDArray[np.float32], int]:
    """Return the averaged channels at the wanted rate, and how many samples the file gave."""
    import soxr

    stream = None
    if file.samplerate != rate_hz:
        stream = soxr.ResampleStream(file.samplerate, rate_hz, 1, dtype="float32")
    parts: list[NDArray[np.float32]] = []
    n_frames = 0
    while True:
        block = file.read(_BLOCK, dtype="float32", always_2d=True)
        n_frames += len(block)
        mono = np.ascontiguousarray(block[:, 0] if block.shape[1] == 1 else block.mean(axis=1))
        is_last = len(block) < _BLOCK
        parts.append(mono if stream is None else stream.resample_chunk(mono, last=is_last))
        if is_last:
            return np.concatenate(parts), n_frames


def _missing_end(content: bytes) -> str:
    """Return what is said of a WAV file whose data chunk claims more bytes than there are; libsndfile is silent."""
    if content[:4] != b"RIFF" or content[8:12] != b"WAVE":
        return ""
    at = 12
    while at + 8 <= len(content):
        kind, size = struct.unpack_from("<4sI", content, at)
        if kind == b"data":
            left = len(content) - at - 8
            is_cut = left < size < _OPEN_END
            return f"it ends after {left:,} of {size:,} bytes of sound" if is_cut else ""
        at += 8 + size + size % 2
    return ""


def _in_words(error: Exception) -> str:
    text = str(getattr(error, "error_string", "") or error).strip().rstrip(".")
    return "its bytes are of no known sound format" if "not recognised" in text else text or type(error).__name__
