"""`graft fit` and `graft predict` on transcribed speech, from a table to a checkpoint that the pipeline loads."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

import graft
from graft.core.errors import DataError, UsageError
from graft.data.transcript_form import COMPARED
from graft.tasks.finding import find_task
from small_speech import make_ctc, make_utterances, make_whisper

OPTIONS: dict[str, Any] = {"epochs": 0.5, "fewest_steps": 4, "precision": "fp32", "batch_seconds": 8}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("speech")
    table = make_utterances(folder / "data", 24, n_speakers=6)
    graft.fit(table, model=str(make_ctc(folder / "m", "hubert", letters="abc")), out=folder / "run", **OPTIONS)
    return folder / "run"


def pipeline_texts(model: Path, files: list[Path]) -> list[str]:
    import transformers

    recogniser: Any = transformers.pipeline("automatic-speech-recognition", model=str(model), device="cpu")
    found = []
    for file in files:
        sound, rate = soundfile.read(file, dtype="float32")
        found.append(recogniser({"raw": sound, "sampling_rate": rate})["text"].strip())
    return found


def test_run_says_what_it_came_to(run: Path) -> None:
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["headline"] == "wer"
    assert "not estimable from 1 speaker" in metrics["test"]["wer"]["method"]
    assert metrics["baselines"]["zero-shot"]["words"]["n"] == metrics["test"]["words"]["n"]
    assert metrics["test_reads"] == 1
    page = (run / "report.html").read_text()
    assert "of words are wrong" in page
    assert "data:audio/wav;base64," in page
    assert "http://" not in page
    manifest = json.loads((run / "manifest.json").read_text())
    assert sum(part["n"] for part in manifest["splits"].values()) == 24
    assert not list((run / "training").glob("**/*.npy"))


def test_predictions_are_those_of_the_pipeline_in_all_forms(run: Path, tmp_path: Path) -> None:
    files = sorted((run.parent / "data").glob("*.wav"))[:4]
    said = [found.text for found in graft.predict(run, files, precision="fp32")]
    assert said == pipeline_texts(run / "model", files)


def test_folder_of_texts_is_found_and_run_again_is_refused(run: Path) -> None:
    assert find_task(run.parent / "data" / "table.csv", "m") == "automatic-speech-recognition"
    with pytest.raises(UsageError, match="holds a run already"):
        graft.fit(run.parent / "data" / "table.csv", model=str(run.parent / "m"), out=run, **OPTIONS)


def test_whisper_from_a_folder_with_texts_beside(tmp_path: Path) -> None:
    make_utterances(tmp_path / "data", 8)
    for line in (tmp_path / "data" / "table.csv").read_text().splitlines()[1:]:
        name, text, _ = line.split(",")
        (tmp_path / "data" / name).with_suffix(".txt").write_text(text)
    (tmp_path / "data" / "table.csv").unlink()
    assert find_task(tmp_path / "data", "m") == "automatic-speech-recognition"
    model = str(make_whisper(tmp_path / "m"))
    graft.fit(tmp_path / "data", model=model, out=tmp_path / "run", language="en", **{**OPTIONS, "fewest_steps": 2})
    files = sorted((tmp_path / "data").glob("*.wav"))[:2]
    assert [p.text for p in graft.predict(tmp_path / "run", files, precision="fp32")] == pipeline_texts(
        tmp_path / "run" / "model", files
    )


def test_what_cannot_be_learned_is_left_out_and_counted(tmp_path: Path) -> None:
    table = make_utterances(tmp_path / "data", 12)
    soundfile.write(tmp_path / "data" / "silent.wav", np.zeros(16_000), 16_000)
    soundfile.write(tmp_path / "data" / "short.wav", np.random.default_rng(0).normal(0, 0.1, 1000), 16_000)
    with open(table, "a") as file:
        file.write("silent.wav,a b,s1\nshort.wav,abc abc abc abc abc,s1\n")
    test = make_utterances(tmp_path / "test", 3, seed=5)
    valid = make_utterances(tmp_path / "valid", 3, seed=6)
    out = tmp_path / "run"
    graft.fit(table, model=str(make_ctc(tmp_path / "m")), out=out, test=test, valid=valid, strategy="head", **OPTIONS)
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["splits"]["train"]["n_left_out"] == 2
    told = " ".join(manifest["notes"])
    assert "silent, for example silent.wav" in told
    assert "more text than the network can write in their time, for example short.wav" in told


def test_one_speaker_and_wrong_options_are_refused(tmp_path: Path) -> None:
    table = make_utterances(tmp_path / "data", 4, n_speakers=1)
    model = str(make_ctc(tmp_path / "m"))
    with pytest.raises(DataError, match="4 utterances are of one speaker"):
        graft.fit(table, model=model, out=tmp_path / "run", **OPTIONS)
    with pytest.raises(UsageError, match="--strategy gradual for speech"):
        graft.fit(table, model=model, out=tmp_path / "run2", strategy="gradual", **OPTIONS)


def test_subtitles_and_json_of_the_command(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from graft.cli.predict import predict

    file = sorted((run.parent / "data").glob("*.wav"))[0]
    for ending in ("srt", "vtt", "jsonl", "txt"):
        predict(run, [file], out=tmp_path / f"o.{ending}")
    row = json.loads((tmp_path / "o.jsonl").read_text())
    assert row["id"].endswith(file.name)
    assert " ".join(part["text"] for part in row["segments"]) == row["text"]
    assert (tmp_path / "o.vtt").read_text().startswith("WEBVTT\n")
    assert (tmp_path / "o.txt").read_text().strip() == row["text"]
    if row["segments"]:
        assert (tmp_path / "o.srt").read_text().startswith("1\n00:00:0")
    with pytest.raises(UsageError, match="subtitles of a folder"):
        predict(run, [file.parent], out=tmp_path / "all.srt")
    with pytest.raises(UsageError, match="--format csv for a speech recogniser"):
        predict(run, [file], format="csv")


def test_long_recording_is_heard_in_windows_in_flat_memory(run: Path, tmp_path: Path) -> None:
    import tracemalloc

    random = np.random.default_rng(0)
    peaks, texts = [], []
    for minutes in (2, 6):
        file = tmp_path / f"{minutes}.wav"
        soundfile.write(file, random.normal(0, 0.1, minutes * 60 * 16_000).astype(np.float32), 16_000)
        tracemalloc.start()
        (found,) = graft.predict(run, file, precision="fp32")
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        texts.append(found)
    assert [round(found.duration_s) for found in texts] == [120, 360]
    assert peaks[1] < 1.2 * peaks[0]


def test_a_run_is_judged_on_other_speech(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from graft.cli.evaluate import evaluate

    table = make_utterances(tmp_path / "other", 12, seed=9, n_speakers=12)
    metrics = graft.evaluate(run, table)
    said = [line.split(",")[1] for line in table.read_text().splitlines()[1:]]
    files = sorted((tmp_path / "other").glob("*.wav"))
    heard = [COMPARED(p.text) for p in graft.predict(run, files, precision="fp32")]
    import jiwer

    assert metrics["test"]["wer"]["value"] == pytest.approx(jiwer.wer(said, heard))
    assert metrics["test"]["wer"]["low"] is not None
    assert "test_reads" not in metrics
    evaluate(run, str(table), decoding="beam", json=tmp_path / "f.json")
    told = capsys.readouterr().out
    assert all(words in told for words in ("words wrong", "beam decoding"))
    assert json.loads((tmp_path / "f.json").read_text())["test"]["n_clusters"] == 12
    with pytest.raises(DataError, match="has no split valid"):
        graft.evaluate(run, table, split="valid")
    assert graft.evaluate(run, run.parent / "data" / "table.csv")["n_learned"] > 10 > metrics.get("n_learned", 0)


def test_data_are_checked_and_a_wrong_transcript_is_found(tmp_path: Path) -> None:
    """A recogniser of tones cannot be had in a second: what it would hear is told by hand in the unit tests."""
    table = make_utterances(tmp_path / "data", 24, n_speakers=4)
    soundfile.write(tmp_path / "data" / "silent.wav", np.zeros(16_000), 16_000)
    first, rate = soundfile.read(tmp_path / "data" / "000.wav", dtype="float32")
    soundfile.write(tmp_path / "data" / "again.wav", first, rate)
    loud = np.clip(first * 50, -1, 1)
    soundfile.write(tmp_path / "data" / "loud.wav", loud, rate)
    (tmp_path / "data" / "broken.wav").write_bytes(b"no sound")
    with open(table, "a") as file:
        file.write(f"silent.wav,a b,s1\nagain.wav,bbb,s2\nloud.wav,{'a b c ' * 40},s3\nbroken.wav,a,s3\n")
    test = make_utterances(tmp_path / "test", 4, seed=5, n_speakers=2)
    soundfile.write(tmp_path / "test" / "003.wav", first, rate)
    found = graft.check(table, test=test, out=tmp_path / "checks")
    named = {finding.check: [suspect.id for suspect in finding.suspects] for finding in found.findings}
    assert named["copies_across_splits"] == ["003.wav"]
    assert "again.wav" in named["conflicting_labels"]
    assert named["groups"] == ["s0", "s1"]
    assert named["silent"] == ["silent.wav"]
    assert named["clipped"] == ["loud.wav"]
    assert named["unreadable"] == ["broken.wav"]
    assert named["speaking_rate"][0] == "loud.wav"
    assert found["label_errors"].severity == "not checked"
    kept = json.loads((tmp_path / "checks" / "checks.json").read_text())
    assert kept["splits"] == {"train": 28, "test": 4}
    with_model = graft.check(table, test=test, model=str(make_ctc(tmp_path / "m", letters="abc")), out=tmp_path / "two")
    assert with_model["label_errors"].severity != "not checked"


def test_plan_says_what_each_strategy_takes(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from rich.console import Console

    table = run.parent / "data" / "table.csv"
    plan = graft.plan(
        table, model=str(run.parent / "m"), json=tmp_path / "plan.json", console=Console(width=120), **OPTIONS
    )
    assert plan.data["splits"].keys() == {"train", "valid", "test"}
    full, head = plan.method("full"), plan.method("head")
    assert full.n_steps == 4
    assert full.n_trainable > head.n_trainable > 0
    assert full.seconds["total"] > full.seconds["steps"] > 0
    assert json.loads((tmp_path / "plan.json").read_text())["methods"][0]["name"] == "head"
    told = capsys.readouterr().out
    assert "24 utterances" in told
    assert "graft fit" in told


def test_language_model_is_chosen_on_valid_saved_and_used_again(tmp_path: Path) -> None:
    table = make_utterances(tmp_path / "data", 24, n_speakers=6)
    model = str(make_ctc(tmp_path / "m", letters="abc"))
    metrics = graft.fit(table, model=model, out=tmp_path / "run", language_model="train", **OPTIONS).metrics
    chosen = metrics["decoding"]
    assert chosen["decoding"] == "beam"
    assert chosen["chosen_on"] > 0
    wers = {(line["weight"], line["bonus"]): line["wer"] for line in chosen["wer_by_weights"]}
    assert wers[chosen["weight"], chosen["bonus"]] == min(wers.values())
    assert "greedy decoding" in metrics["baselines"]
    files = sorted((tmp_path / "data").glob("*.wav"))[:4]
    greedy = [p.text for p in graft.predict(tmp_path / "run", files, precision="fp32", decoding="greedy")]
    assert greedy == pipeline_texts(tmp_path / "run" / "model", files)
    as_fitted = [p.text for p in graft.predict(tmp_path / "run", files, precision="fp32")]
    assert as_fitted == [
        p.text for p in graft.predict(tmp_path / "run", files, precision="fp32", language_model="train")
    ]
    (tmp_path / "words.txt").write_text("abc abc\n")
    other = graft.predict(tmp_path / "run", files, precision="fp32", language_model=tmp_path / "words.txt")
    assert all(isinstance(found.text, str) for found in other)
    with pytest.raises(UsageError, match="--decoding greedy with --language-model"):
        list(graft.predict(tmp_path / "run", files, decoding="greedy", language_model="train"))


def test_language_models_that_cannot_be_used_are_refused(run: Path, tmp_path: Path) -> None:
    file = sorted((run.parent / "data").glob("*.wav"))[0]
    with pytest.raises(UsageError, match="keeps none"):
        list(graft.predict(run, file, language_model="train"))
    with pytest.raises(DataError, match="cannot be read"):
        list(graft.predict(run, file, language_model=tmp_path / "none.txt"))


def test_the_report_is_made_anew_without_the_data_and_runs_are_compared(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from graft.cli.report import report

    shutil.copytree(run, tmp_path / "copy")
    old = (tmp_path / "copy" / "report.html").read_text()
    (tmp_path / "copy" / "report.html").unlink()
    report(tmp_path / "copy")
    assert (tmp_path / "copy" / "report.html").read_text() == old
    (tmp_path / "copy" / "previews.parquet").unlink()
    report(tmp_path / "copy")
    assert "no previews.parquet" in capsys.readouterr().out
    assert "data:audio/wav" not in (tmp_path / "copy" / "report.html").read_text()
    report(compare=(run, tmp_path / "copy"), out=tmp_path / "page.html")
    told = " ".join(capsys.readouterr().out.split())
    assert "not estimable from 1 speaker" in told
    assert "two recognisers beside each other" in (tmp_path / "page.html").read_text()
    (tmp_path / "copy" / "predictions.parquet").unlink()
    with pytest.raises(DataError, match=r"predictions\.parquet cannot be read"):
        report(tmp_path / "copy")


def test_more_data_trains_on_parts_and_says_whether_more_would_help(tmp_path: Path) -> None:
    table, test = make_utterances(tmp_path / "data", 40, n_speakers=10), make_utterances(tmp_path / "test", 50, seed=3)
    options: dict[str, Any] = {**OPTIONS, "fewest_steps": 2, "corruptions": "none", "more_data": True, "test": test}
    model = str(make_ctc(tmp_path / "m", letters="abc"))
    metrics = graft.fit(table, model=model, out=tmp_path / "run", **options).metrics
    found = metrics["more_data"]
    sizes = [line["n"] for line in found["evidence"]["observed"]]
    n = json.loads((tmp_path / "run" / "manifest.json").read_text())["splits"]["train"]["n"]
    assert sizes == [n // 16, n // 8, n // 4, n // 2, n]
    page = (tmp_path / "run" / "report.html").read_text()
    assert "Would more hours of speech help?" in page
    assert "With less speech" in page
    few = graft.fit(table, model=model, out=tmp_path / "few", **{**options, "test": None})
    assert few.metrics["more_data"] is None


def test_pretraining_goes_on_from_an_earlier_encoder(tmp_path: Path) -> None:
    from safetensors.numpy import load_file

    from graft.api.pretrain_speech import pretrain_speech
    from graft.cli.pretrain import pretrain

    table = make_utterances(tmp_path / "data", 12, n_speakers=6, rate=8_000)
    options: dict[str, Any] = {"epochs": 0.5, "batch_seconds": 2.0, "augmentation": "light"}
    first = pretrain_speech(table, out=tmp_path / "first", max_seconds=2.0, **options)
    again = pretrain_speech(table, out=tmp_path / "again", init=first, max_seconds=1.0, learning_rate=1e-12, **options)
    old, new = load_file(first / "model.safetensors"), load_file(again / "model.safetensors")
    assert all(np.allclose(old[name], new[name], atol=1e-6) for name in old)
    assert json.loads((again / "pretrain.json").read_text())["init"] == "first"
    with pytest.raises(UsageError, match="--init with --arch resnet18"):
        pretrain(str(table), out=tmp_path / "x", init=first)
