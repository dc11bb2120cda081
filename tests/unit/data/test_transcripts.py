"""Manifests, folders with the text beside the sound, parts of recordings, and the form of transcripts."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from graft.core.errors import DataError, UsageError
from graft.data.manifests import ManifestColumns
from graft.data.transcript_form import TranscriptForm, form_of
from graft.data.transcripts import read_transcribed
from graft.data.utterances import decode_utterances

RATE = 8000


def sound(path: Path, *, seconds: float = 0.5, pitch: float = 200) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    t = np.arange(round(seconds * RATE)) / RATE
    soundfile.write(path, 0.3 * np.sin(2 * np.pi * pitch * t), RATE)
    return path


def test_table_with_speakers_and_split_column(tmp_path: Path) -> None:
    for name in "abc":
        sound(tmp_path / "clips" / f"{name}.wav")
    rows = ["path\tsentence\tclient_id\tsplit", "a.wav\tOne.\ts1\ttrain", "b.wav\tTwo\ts1\ttrain", "c\tThree\ts2\ttest"]
    (tmp_path / "all.tsv").write_text("\n".join(rows))
    found = read_transcribed(tmp_path / "all.tsv", columns=ManifestColumns())
    assert found.train.texts == ["One.", "Two"]
    assert found.test is not None
    assert found.test[0].place.endswith("clips/c.wav")
    assert found.train.n_groups == 1
    assert found.train.group_name == "speaker"


def test_segments_of_one_recording_stay_together_and_are_cut(tmp_path: Path) -> None:
    sound(tmp_path / "long.wav", seconds=3)
    lines = [
        {"audio_filepath": "long.wav", "text": t, "offset": o, "duration": 1.0} for t, o in (("a", 0.5), ("b", 1.5))
    ]
    (tmp_path / "m.jsonl").write_text("\n".join(map(json.dumps, lines)))
    part = read_transcribed(tmp_path / "m.jsonl", columns=ManifestColumns()).train
    assert part.n_groups == 1
    assert len(set(part.ids)) == 2
    sounds = list(decode_utterances(part, sampling_rate_hz=RATE))
    assert [len(s.waveform) for s in sounds] == [RATE, RATE]
    whole = soundfile.read(tmp_path / "long.wav", dtype="float32")[0]
    assert np.array_equal(sounds[1].waveform, whole[12_000:20_000])


def test_part_outside_of_its_recording_is_an_error(tmp_path: Path) -> None:
    sound(tmp_path / "a.wav", seconds=1)
    (tmp_path / "m.csv").write_text("path,text,start_s,end_s\na.wav,x,5,6\n")
    part = read_transcribed(tmp_path / "m.csv", columns=ManifestColumns()).train
    with pytest.raises(DataError, match=r"lasts 1\.00 s"):
        list(decode_utterances(part, sampling_rate_hz=RATE))


@pytest.mark.parametrize("ending", [".txt", ".lab"])
def test_text_beside_the_sound(tmp_path: Path, ending: str) -> None:
    for speaker in ("ann", "bob"):
        file = sound(tmp_path / "train" / speaker / "1.wav")
        file.with_suffix(ending).write_text(f"hello {speaker}\n")
        file = sound(tmp_path / "test" / f"t{speaker}" / "1.wav")
        file.with_suffix(ending).write_text("bye")
    sound(tmp_path / "train" / "ann" / "2.wav")  # without a text
    found = read_transcribed(tmp_path, columns=ManifestColumns())
    assert [t.strip() for t in found.train.texts] == ["hello ann", "hello bob"]
    assert found.train.n_groups == 2
    assert found.test is not None
    assert len(found.test) == 2
    assert "1 recordings without a transcript" in found.notes[0]


def test_librispeech(tmp_path: Path) -> None:
    sound(tmp_path / "84" / "121" / "84-121-0000.wav")
    sound(tmp_path / "85" / "7" / "85-7-0000.wav")
    (tmp_path / "84" / "121" / "84-121.trans.txt").write_text("84-121-0000 GO ON\n")
    (tmp_path / "85" / "7" / "85-7.trans.txt").write_text("85-7-0000 AND ON\n")
    part = read_transcribed(tmp_path, columns=ManifestColumns()).train
    assert part.texts == ["GO ON", "AND ON"]
    assert [item.group for item in part] == ["84", "85"]


def test_missing_file_and_missing_text_are_named(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text("path,text\nno.wav,x\n")
    with pytest.raises(DataError, match=r"line 2.*no\.wav"):
        read_transcribed(tmp_path / "m.csv", columns=ManifestColumns())
    sound(tmp_path / "only" / "a.wav")
    with pytest.raises(DataError, match="0 transcripts"):
        read_transcribed(tmp_path / "only", columns=ManifestColumns())
    (tmp_path / "n.csv").write_text("path,words_said\nonly/a.wav,x\n")
    with pytest.raises(DataError, match="holds the text"):
        read_transcribed(tmp_path / "n.csv", columns=ManifestColumns())


def test_forms() -> None:
    assert TranscriptForm("upper", has_punctuation=True)("straße, e\u0301 ") == "STRASSE, É"
    assert form_of("plain")("It's 10 o’clock -- OK?") == "it's 10 o’clock ok"
    with pytest.raises(UsageError, match="--transcripts no"):
        form_of("no")
