from __future__ import annotations

import io
import struct
from typing import Any

import numpy as np
import pytest
import soundfile

from graft.core.errors import DataError
from graft.data import audio
from graft.data.audio import decode_recording, spectral_hash

RATE = 16_000
TIME = np.arange(RATE) / RATE
TONE = (0.3 * np.sin(2 * np.pi * 440 * TIME) * np.hanning(RATE)).astype(np.float32)
NOISE = np.random.default_rng(0).normal(0, 0.1, RATE).astype(np.float32)


def encoded(samples: Any, kind: str = "WAV", *, rate: int = RATE, depth: str | None = None) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format=kind, subtype=depth)
    return file.getvalue()


def decoded(content: bytes, *, rate: int = RATE) -> audio.Recording:
    return decode_recording(content, name="a.wav", sampling_rate_hz=rate)


def chirp(*, seed: int) -> np.ndarray:
    """Return a second of gliding tones, each seed another melody."""
    random = np.random.default_rng(seed)
    frequency = np.interp(TIME, np.linspace(0, 1, 12), random.uniform(150, 3200, 12))
    loudness = np.interp(TIME, np.linspace(0, 1, 12), random.uniform(0.02, 0.3, 12))
    noise = random.normal(0, 0.003, RATE)
    return (loudness * np.sin(2 * np.pi * np.cumsum(frequency) / RATE) + noise).astype(np.float32)


@pytest.mark.parametrize(
    ("kind", "depth", "tolerance"),
    [
        ("WAV", "PCM_U8", 1e-2),
        ("WAV", "PCM_16", 1e-4),
        ("WAV", "PCM_24", 1e-6),
        ("WAV", "PCM_32", 1e-6),
        ("WAV", "FLOAT", 0),
        ("WAV", "DOUBLE", 0),
        ("WAV", "ULAW", 2e-2),
        ("FLAC", "PCM_24", 1e-6),
        ("OGG", "VORBIS", 5e-2),
        ("OGG", "OPUS", 5e-2),
        ("MP3", None, 5e-2),
        ("AIFF", "PCM_16", 1e-4),
    ],
)
def test_every_kind_gives_the_same_samples(kind: str, depth: str | None, tolerance: float) -> None:
    sound = decoded(encoded(TONE, kind, depth=depth))
    assert sound.waveform.dtype == np.float32
    assert sound.waveform.shape == (RATE,)
    assert (sound.file_rate_hz, sound.n_channels, sound.duration_s) == (RATE, 1, 1.0)
    assert np.abs(sound.waveform - TONE).max() <= tolerance


def test_channels_are_averaged() -> None:
    both = decoded(encoded(np.stack([TONE, 0 * TONE], axis=1), depth="FLOAT"))
    assert both.n_channels == 2
    np.testing.assert_array_equal(both.waveform, TONE / 2)


@pytest.mark.parametrize("rate", [8_000, 11_025, 44_100, 48_000])
def test_any_rate_becomes_the_wanted_one(rate: int, monkeypatch: pytest.MonkeyPatch) -> None:
    time = np.arange(rate) / rate
    content = encoded(0.3 * np.sin(2 * np.pi * 440 * time) * np.hanning(rate), rate=rate, depth="FLOAT")
    sound = decoded(content)
    assert (sound.file_rate_hz, sound.duration_s) == (rate, 1.0)
    assert abs(len(sound.waveform) - RATE) <= 1
    assert np.abs(sound.waveform[:RATE] - TONE[: len(sound.waveform)]).max() < 1e-3
    monkeypatch.setattr(audio, "_BLOCK", 1000)
    np.testing.assert_allclose(decoded(content).waveform, sound.waveform, atol=1e-6)


@pytest.mark.parametrize(
    ("content", "cause"),
    [
        (b"", "it is empty"),
        (b"<html>not found</html>" * 9, "of no known sound format"),
        (encoded(TONE)[:-2000], "it ends after 30,000 of 32,000 bytes"),
        (encoded(TONE)[:30], ""),
        (encoded(TONE, "FLAC")[:-2000], ""),
        (encoded(NOISE, "MP3")[:-2000], "it ends after"),
        (encoded(TONE[:0]), "it holds no sample"),
        (encoded(np.where(TIME < 0.5, TONE, np.nan), depth="FLOAT"), "no numbers"),
    ],
)
def test_damaged_files_are_named_with_cause_and_remedy(content: bytes, cause: str) -> None:
    with pytest.raises(DataError) as error:
        decode_recording(content, name="yes/7.wav", sampling_rate_hz=RATE)
    text = str(error.value)
    assert text.startswith("yes/7.wav cannot be read as a recording: ")
    assert cause in text
    assert "--skip-unreadable" in text
    assert "ffmpeg" in text


def test_no_cut_of_a_file_escapes_as_another_error() -> None:
    for kind in ("WAV", "FLAC", "OGG", "MP3"):
        content = encoded(NOISE, kind)
        for end in range(0, len(content), max(1, len(content) // 30)):
            try:
                decoded(content[:end])
            except DataError:
                continue


def test_a_wav_written_to_a_pipe_has_no_known_end_and_is_read() -> None:
    content = bytearray(encoded(TONE))
    at = content.index(b"data") + 4
    content[at : at + 4] = struct.pack("<I", 0xFFFFFFFF)
    assert len(decoded(bytes(content)).waveform) == RATE


def test_a_recording_of_many_hours_is_refused_before_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audio, "LONGEST_S", 0.5)
    with pytest.raises(DataError, match="cut it into shorter files"):
        decoded(encoded(TONE))


def test_silence_is_no_error_but_known() -> None:
    assert decoded(encoded(0 * TONE)).is_silent
    assert decoded(encoded(0 * TONE + 0.2)).is_silent, "a constant cannot be heard"
    assert not decoded(encoded(TONE)).is_silent
    assert spectral_hash(decoded(encoded(0 * TONE))).tolist() == [0, 0, 0, 0]


def test_the_hash_survives_encoding_and_tells_melodies_apart() -> None:
    originals = [spectral_hash(decoded(encoded(chirp(seed=seed)))) for seed in range(12)]
    for seed, original in enumerate(originals):
        for kind, gain in (("FLAC", 0.4), ("OGG", 1.0), ("MP3", 0.7)):
            copy = spectral_hash(decoded(encoded(gain * chirp(seed=seed), kind)))
            assert np.bitwise_count(copy ^ original).sum() <= 64
        others = [np.bitwise_count(other ^ original).sum() for i, other in enumerate(originals) if i != seed]
        assert min(others) > 80


@pytest.mark.parametrize("n_samples", [160, 200, 3000])
def test_the_shortest_recordings_have_a_hash(n_samples: int) -> None:
    assert spectral_hash(decoded(encoded(NOISE[:n_samples]), rate=8_000)).any()


@pytest.mark.parametrize(("n_samples", "cause"), [(1, r"0\.062 ms \(1 sample\)"), (159, r"9\.9 ms \(159 samples\)")])
def test_less_than_a_hundredth_of_a_second_is_no_recording(n_samples: int, cause: str) -> None:
    with pytest.raises(DataError, match=cause):
        decoded(encoded(NOISE[:n_samples]))


@pytest.mark.filterwarnings("error")
def test_sound_that_the_hash_does_not_hear_is_not_silence() -> None:
    """A click at the very end: no frame of the hash sees it, and it is no silence."""
    click = np.zeros(400)
    click[-1] = 0.5
    assert spectral_hash(decoded(encoded(click, "FLAC"))).any()
