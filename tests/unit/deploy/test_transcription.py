"""Words with their times, windows that write everything once, and sound that streams as it decodes."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import soundfile

from graft.backbones.ctc_decoding import timed_words
from graft.core.errors import DataError
from graft.data.audio import decode_recording
from graft.data.sound_stream import stream_sound
from graft.deploy.transcript_writers import time_code
from graft.deploy.transcription import windows_of

TOKENS = ["<pad>", "<s>", "</s>", "<unk>", "|", "a", "b"]


def test_words_have_the_times_of_their_letters() -> None:
    path = np.array([0, 5, 5, 0, 6, 4, 4, 0, 6, 0, 6, 0])
    words = timed_words(path, TOKENS, blank=0, delimiter="|", frame_s=0.02)
    assert [w.word for w in words] == ["ab", "bb"]
    assert [(round(w.start_s, 2), round(w.end_s, 2)) for w in words] == [(0.02, 0.1), (0.16, 0.22)]


@pytest.mark.parametrize("n", [1, 50, 51, 64, 65, 333])
@pytest.mark.parametrize("cut", [(30, 40), (45, 45)])
def test_all_of_a_stream_is_written_once(n: int, cut: tuple[int, int]) -> None:
    stream = np.arange(n, dtype=np.float32)
    blocks = [stream[i : i + 17] for i in range(0, n, 17)]
    found = list(windows_of(blocks, window=50, cut=lambda part: cut))
    written = np.concatenate([part[a:b] for part, _, (a, b) in found])
    assert np.array_equal(written, stream)
    assert all(part[0] == first for part, first, _ in found)
    assert max(len(part) for part, _, _ in found) <= 50


@pytest.mark.parametrize("rate", [8_000, 44_100])
def test_a_stream_is_what_decoding_gives(tmp_path: Path, rate: int) -> None:
    wave = np.random.default_rng(0).normal(0, 0.1, (rate * 7, 2))
    file = io.BytesIO()
    soundfile.write(file, wave, rate, format="WAV")
    whole = decode_recording(file.getvalue(), name="a", sampling_rate_hz=16_000).waveform
    parts = np.concatenate(list(stream_sound(file.getvalue(), name="a", sampling_rate_hz=16_000)))
    assert np.array_equal(parts, whole)
    (tmp_path / "no.wav").write_bytes(b"no sound")
    with pytest.raises(DataError, match=r"no\.wav cannot be read"):
        list(stream_sound(tmp_path / "no.wav", name="no.wav", sampling_rate_hz=16_000))


def test_time_codes_carry() -> None:
    assert time_code(59.9996, mark=".") == "00:01:00.000"
