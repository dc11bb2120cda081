from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from rich.console import Console

import graft
from graft.core.errors import DataError, UsageError
from graft.core.text import percent
from small_sounds import PITCHES, RATE, make_audio_checkpoint, make_recordings, tone

QUIET: dict[str, Any] = {"console": Console(quiet=True), "workers": 0, "strategy": "head"}
ROOT = Path(__file__).resolve().parents[2]
PLUGIN = f"{ROOT / 'examples' / 'yamnet_preprocessing.py'}:log_mel"


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_audio_checkpoint(tmp_path_factory.mktemp("base"), "ast")


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_recordings(tmp_path_factory.mktemp("recordings"), 12)


def options(folder: Path) -> dict[str, Any]:
    return {**QUIET, "out": folder / "run", "cache": folder / "cache"}


def speakers_table(folder: Path, *, n_each: int = 8) -> Path:
    """Write tones of four speakers, each with a hum of its own that says which class it mostly speaks, and a table."""
    rows = []
    for s in range(4):
        for c, (name, pitch) in enumerate(PITCHES.items()):
            for i in range(n_each):
                number = 1000 * s + 100 * c + i
                path = folder / f"{name}-{s}-{i}.wav"
                hum = tone(90.0 + 40 * s, seed=number, duration_s=0.5)
                soundfile.write(path, tone(pitch, seed=number, duration_s=0.5) + hum, RATE)
                rows.append([path.name, name, f"s{s}"])
    with open(folder / "table.csv", "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["file", "label", "speaker"], *rows])
    return folder / "table.csv"


def test_a_folder_of_classes_becomes_a_model_that_the_pipeline_loads(
    base: Path, recordings: Path, tmp_path: Path
) -> None:
    result = graft.fit(recordings, model=str(base), **options(tmp_path))
    assert result.metrics["test"]["accuracy"]["value"] > 0.6
    from transformers import pipeline

    classify: Any = pipeline("audio-classification", model=str(result.model), device="cpu")
    files = sorted(recordings.glob("*/*.wav"))[::9]
    for prediction in graft.predict(result.out, files, workers=0, precision="fp32"):
        wave, _ = soundfile.read(prediction.id, dtype="float32")
        scores = {row["label"]: row["score"] for row in classify(wave)}
        assert scores[prediction.label] == pytest.approx(prediction.probability, abs=1e-4)
    judged = graft.evaluate(result.out, recordings)
    assert judged["test"]["accuracy"]["n"] == 36
    manifest = json.loads((result.out / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["task"] == "audio-classification"
    assert manifest["backbone"]["modality"] == "audio"


@pytest.mark.parametrize("strategy", ["lp-ft", "lora", "partial"])
def test_every_way_of_fine_tuning_takes_recordings(strategy: str, recordings: Path, tmp_path: Path) -> None:
    base = make_audio_checkpoint(tmp_path / "base", "wav2vec2 stable")
    chosen = {
        **options(tmp_path),
        "strategy": strategy,
        "epochs": 1,
        "fewest_steps": 3,
        "batch_size": 8,
        "last_k_blocks": 1,
    }
    result = graft.fit(recordings, model=str(base), **chosen)
    assert result.metrics["strategy"]["kept"] != "head"
    assert (result.model / "model.safetensors").is_file()
    assert not list(result.out.glob("training/**/*.npy"))


def test_speakers_are_never_torn_and_the_difference_is_shown(base: Path, tmp_path: Path) -> None:
    table = speakers_table(tmp_path)
    result = graft.fit(table, model=str(base), group_column="speaker", **options(tmp_path))
    groups = result.metrics["groups"]
    assert (groups["column"], groups["is_used"], groups["n_groups"]) == ("speaker", True, 3)
    import pyarrow.parquet as parquet

    rows = parquet.read_table(result.out / "predictions.parquet").to_pylist()
    split_of: dict[str, set[str]] = {}
    for row in rows:
        split_of.setdefault(row["id"].split("-")[1], set()).add(row["split"])
    assert all(len(splits) == 1 for splits in split_of.values()), split_of
    assert len(split_of) == 4
    report = result.report.read_text(encoding="utf-8")
    assert "no speaker stands on both sides" in report
    judged = groups["test"]
    assert (judged["n_groups"], judged["over_groups"]["low"]) == (1, None)
    assert f"are of 1 speaker, {percent(judged['shares'][0])} right; too few" in report


def test_a_recording_may_have_several_labels(base: Path, tmp_path: Path) -> None:
    rows = []
    for i in range(24):
        pitches = [name for k, name in enumerate(PITCHES) if (i + 1) >> k & 1]
        wave = sum(tone(PITCHES[name], seed=i, duration_s=0.5) for name in pitches) + tone(90, seed=i, duration_s=0.5)
        soundfile.write(tmp_path / f"{i}.wav", wave, RATE)
        rows.append([f"{i}.wav", "|".join(pitches), f"s{i % 4}"])
    with open(tmp_path / "table.csv", "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["file", "label", "speaker"], *rows])
    result = graft.fit(tmp_path / "table.csv", model=str(base), multi_label=True, **options(tmp_path))
    assert result.metrics["groups"]["text"].count("label sets") == 1
    config = json.loads((result.model / "config.json").read_text(encoding="utf-8"))
    assert config["problem_type"] == "multi_label_classification"


def test_a_column_of_speakers_that_is_not_used_is_warned_of(base: Path, tmp_path: Path) -> None:
    table = speakers_table(tmp_path)
    terminal = io.StringIO()
    chosen = {**options(tmp_path), "console": Console(file=terminal, width=400)}
    result = graft.fit(table, model=str(base), **chosen)
    assert result.metrics["groups"]["is_used"] is False
    assert "--group-column speaker" in terminal.getvalue()
    report = result.report.read_text(encoding="utf-8")
    assert "looks as if it held groups" in report
    assert "--group-column speaker" in report


def test_mistakes_can_be_heard_in_the_report(tmp_path: Path) -> None:
    folder = make_recordings(tmp_path / "data", 8)
    for i, path in enumerate(sorted(folder.glob("*/*.wav"))):  # labels that mean nothing: mistakes are sure
        path.write_bytes(wave_bytes(tone(440, seed=i)))
    base = make_audio_checkpoint(tmp_path / "base", "ast")
    result = graft.fit(folder, model=str(base), **options(tmp_path))
    report = result.report.read_text(encoding="utf-8")
    assert len(re.findall(r'<audio class="sound" controls[^>]* src="data:audio/wav;base64,', report)) >= 1
    assert "media-src data:" in report
    assert result.report.stat().st_size < 4_000_000


def test_yamnet_through_a_users_preprocessing(shared: Path, recordings: Path, tmp_path: Path) -> None:
    model = str(shared / "models" / "yamnet")
    result = graft.fit(recordings, model=model, preprocessing=PLUGIN, **options(tmp_path))
    assert result.metrics["test"]["accuracy"]["value"] > 0.6
    kept = json.loads((result.model / "graft.json").read_text(encoding="utf-8"))["preprocessing"]
    assert kept["file"] == "yamnet_preprocessing.py"
    assert (result.model / kept["file"]).is_file()
    file = next(recordings.glob("*/*.wav"))
    with pytest.raises(UsageError, match="--preprocessing"):
        next(graft.predict(result.out, [file]))
    again = next(graft.predict(result.out, [file], preprocessing=f"{result.model / kept['file']}:log_mel"))
    assert sum(again.probabilities) == pytest.approx(1, abs=1e-5)


def wave_bytes(samples: np.ndarray, *, rate: int = RATE, depth: str = "PCM_16") -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format="WAV", subtype=depth)
    return file.getvalue()


def test_rates_channels_depths_and_silence_are_taken_and_silence_is_counted(base: Path, tmp_path: Path) -> None:
    folder = make_recordings(tmp_path / "data", 8)
    low = tone(220, seed=5, rate=8_000)
    (folder / "low" / "8khz.wav").write_bytes(wave_bytes(low, rate=8_000))
    (folder / "low" / "stereo.wav").write_bytes(wave_bytes(np.stack([tone(220, seed=6)] * 2, axis=1)))
    (folder / "low" / "deep.wav").write_bytes(wave_bytes(tone(220, seed=7), depth="PCM_24"))
    (folder / "low" / "silent.wav").write_bytes(wave_bytes(np.zeros(8000)))
    result = graft.fit(folder, model=str(base), **options(tmp_path))
    assert "1 recording of train is silent" in result.report.read_text(encoding="utf-8")
    told: list[str] = []
    graft.evaluate(result.out, folder, say=told.append)
    assert "1 recording of the data is silent, for example low/silent.wav" in told


@pytest.mark.parametrize(
    "content", [b"", b"no sound at all", wave_bytes(np.zeros(0)), wave_bytes(tone(220, seed=1))[:-900]]
)
def test_a_damaged_recording_is_named_or_skipped_and_counted(content: bytes, base: Path, tmp_path: Path) -> None:
    folder = make_recordings(tmp_path / "data", 6)
    (folder / "low" / "damaged.wav").write_bytes(content)
    with pytest.raises(DataError, match=r"damaged\.wav cannot be read as a recording[\s\S]*--skip-unreadable"):
        graft.fit(folder, model=str(base), **options(tmp_path))
    result = graft.fit(folder, model=str(base), overwrite=True, skip_unreadable=True, **options(tmp_path))
    assert "1 unreadable recording of train skipped" in result.report.read_text(encoding="utf-8")


def test_preprocessing_is_for_recordings_alone(tmp_path: Path) -> None:
    from small_things import make_checkpoint, make_folders

    pictures = make_folders(tmp_path / "pictures", 4)
    with pytest.raises(UsageError, match="for pictures"):
        graft.fit(pictures, model=str(make_checkpoint(tmp_path / "m")), preprocessing=PLUGIN, **options(tmp_path))


@pytest.mark.parametrize("name", ["ast", "wav2vec2"])
def test_recordings_that_the_pipeline_hears_otherwise_are_counted_and_told(name: str, tmp_path: Path) -> None:
    folder = make_recordings(tmp_path / "data", 8)
    window_s = 10.0 if name == "wav2vec2" else 0.655
    for i, pitch in enumerate(PITCHES):
        long = np.concatenate([tone(hertz, seed=i, duration_s=window_s) for hertz in (PITCHES[pitch], 90.0)])
        soundfile.write(folder / pitch / "long.wav", long, RATE)
    base = make_audio_checkpoint(tmp_path / "base", name)
    terminal = io.StringIO()
    chosen = {**options(tmp_path), "console": Console(file=terminal, width=400)}
    result = graft.fit(folder, model=str(base), **chosen)
    windows = result.metrics["windows"]
    n_long = sum(len(soundfile.read(path)[0]) > windows["window_s"] * RATE for path in folder.glob("*/*.wav"))
    assert windows["n"] == 27
    assert windows["n_long"] == n_long >= 3
    told = f"{n_long} of 27 recordings are longer than a window of {windows['window_s']:.3g} s"
    assert told in terminal.getvalue()
    assert told in result.report.read_text(encoding="utf-8")
    record = json.loads((result.model / "graft.json").read_text(encoding="utf-8"))
    assert record["window_s"] == windows["window_s"]

    from transformers import pipeline

    classify: Any = pipeline("audio-classification", model=str(result.model), device="cpu")
    file = folder / "high" / "long.wav"
    wave, _ = soundfile.read(file, dtype="float32")
    theirs = {row["label"]: row["score"] for row in classify(wave)}
    ours = next(iter(graft.predict(result.out, [file], workers=0, precision="fp32")))
    assert abs(theirs[ours.label] - ours.probability) > 1e-4
    first = {row["label"]: row["score"] for row in classify(wave[: round(windows["window_s"] * RATE)])}
    assert (theirs == pytest.approx(first, abs=1e-4)) is (record["pipeline_hears"] == "its beginning alone")


def test_where_all_fit_into_a_window_the_run_says_nothing_of_it(base: Path, recordings: Path, tmp_path: Path) -> None:
    short = [path for path in recordings.glob("*/*.wav") if soundfile.info(path).duration < 0.6]
    rows = [[str(path), path.parent.name] for path in short]
    with open(tmp_path / "table.csv", "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["file", "label"], *rows])
    result = graft.fit(tmp_path / "table.csv", model=str(base), **options(tmp_path))
    assert result.metrics["windows"]["n_long"] == 0
    assert "longer than a window" not in result.report.read_text(encoding="utf-8")
