"""A sound file as a stream of blocks of one channel at one rate: memory does not grow with its length."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from graft.core.errors import DataError

__all__ = ["stream_sound"]

_BLOCK = 1 << 18  # samples a channel that are decoded at a time


def stream_sound(source: str | Path | bytes, *, name: str, sampling_rate_hz: int) -> Iterator[NDArray[np.float32]]:
    """Yield the samples of a sound file, channels averaged, at the wanted rate.

    Parameters
    ----------
    source : path of the file, or its bytes.
    name : for messages.

    Raises
    ------
    DataError
        When it cannot be read, or holds no sample.

    Notes
    -----
    The samples are those of `graft.data.audio.decode_recording`.
    """
    import soundfile
    import soxr

    n_read = 0
    try:
        with soundfile.SoundFile(io.BytesIO(source) if isinstance(source, bytes) else str(source)) as file:
            stream = None
            if file.samplerate != sampling_rate_hz:
                stream = soxr.ResampleStream(file.samplerate, sampling_rate_hz, 1, dtype="float32")
            is_last = False
            while not is_last:
                block = file.read(_BLOCK, dtype="float32", always_2d=True)
                n_read += len(block)
                is_last = len(block) < _BLOCK
                mono = np.ascontiguousarray(block[:, 0] if block.shape[1] == 1 else block.mean(axis=1))
                found = mono if stream is None else stream.resample_chunk(mono, last=is_last)
                if not np.isfinite(found).all():
                    raise _unreadable(name, "it holds samples that are no numbers")
                yield np.asarray(found, np.float32)
    except (soundfile.SoundFileError, RuntimeError, ValueError, OSError) as error:
        raise _unreadable(name, str(getattr(error, "error_string", "") or error).strip().rstrip(".")) from error
    if not n_read:
        raise _unreadable(name, "it holds no sample")


def _unreadable(name: str, why: str) -> DataError:
    return DataError(
        f"{name} cannot be read as a recording: {why}",
        expected="a whole WAV, FLAC, OGG or MP3 file",
        fix="replace or remove it (other formats: ffmpeg -i FILE FILE.wav), or leave unreadable recordings out:"
        " --skip-unreadable (Python: skip_unreadable=True)",
    )
