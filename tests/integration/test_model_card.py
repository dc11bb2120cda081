"""The code in a model card runs as it stands, beside the model, whatever the model was made of."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as parquet
import pytest
import soundfile
from rich.console import Console

import graft
from graft.report.use import FOLDER
from small_sounds import PITCHES, RATE, make_audio_checkpoint, make_recordings, tone
from small_texts import make_text_checkpoint
from small_things import make_checkpoint, make_picture

ROOT = Path(__file__).resolve().parents[2]
SPECTROGRAM = f"{ROOT / 'examples' / 'words_preprocessing.py'}:spectrogram"
WORDS = {"red": "rose", "green": "leaf", "blue": "sky"}


def write_table(path: Path, rows: list[list[str]]) -> Path:
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)
    return path


def ran(data: Path, model: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, **more: Any) -> tuple[Any, str, str]:
    """Fit, run the card's code in `folder`; return what its last line gave, the card, and what the terminal said."""
    console = Console(file=open(folder / "told.txt", "w", encoding="utf-8"), width=400)  # noqa: SIM115
    chosen: dict[str, Any] = {"strategy": "head", "workers": 0, "folds": 2, "precision": "fp32", "corruptions": "none"}
    result = graft.fit(
        data, model=str(model), out=folder / "run", cache=folder / "cache", console=console, **chosen, **more
    )
    console.file.close()
    (folder / FOLDER).parent.mkdir(parents=True)
    result.model.rename(folder / FOLDER)
    monkeypatch.chdir(folder)
    card = (folder / FOLDER / "README.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)\n```", card, flags=re.DOTALL)
    *before, last = code.split("\n")
    known: dict[str, Any] = {}
    if last.startswith(" "):  # the body of a loop
        exec(code, known)
        return known["said"], card, (folder / "told.txt").read_text(encoding="utf-8")
    exec("\n".join([*before, f"found = {last}"]), known)
    return known["found"], card, (folder / "told.txt").read_text(encoding="utf-8")


def test_a_picture(checkpoint: Path, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_picture((200, 60, 60), seed=1).save(tmp_path / "picture.jpg")
    found, _, told = ran(pictures, checkpoint, tmp_path, monkeypatch)
    assert sum(one["score"] for one in found) == pytest.approx(1, abs=1e-3)
    assert "loads in transformers.pipeline('image-classification', ...)" in told


def test_a_text_that_is_longer_than_the_model_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [[f"the {word} is {'very ' * i}{label}", label] for label, word in WORDS.items() for i in range(8)]
    data = write_table(tmp_path / "said.csv", [["text", "label"], *rows])
    found, card, _ = ran(data, make_text_checkpoint(tmp_path / "base"), tmp_path, monkeypatch, max_tokens=8)
    assert found[0]["label"] in WORDS
    (code,) = re.findall(r"```python\n(.*?)\n```", card, flags=re.DOTALL)
    exec(code.replace('"a text"', '"a rose is red " * 90'), {})  # raises where nothing is cut


def test_a_pair_of_texts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    rows = []
    for _ in range(40):
        first, second = rng.choice(list(WORDS), 2)
        rows.append([f"a {WORDS[first]} is {first}", f"the {second}", "same" if first == second else "other"])
    data = write_table(tmp_path / "pairs.csv", [["sentence1", "sentence2", "label"], *rows])
    found, card, told = ran(data, make_text_checkpoint(tmp_path / "base"), tmp_path, monkeypatch)
    assert found["label"] in ("same", "other")
    assert '"text_pair"' in card
    assert "'text_pair'" in told


def test_label_sets_give_a_score_for_each_label(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    rows = []
    for _ in range(60):
        own = [label for label in WORDS if rng.random() < 0.5]
        rows.append([" ".join(["the", *(WORDS[label] for label in own)]), "|".join(own)])
    data = write_table(tmp_path / "sets.csv", [["text", "labels"], *rows])
    found, card, told = ran(data, make_text_checkpoint(tmp_path / "base"), tmp_path, monkeypatch, multi_label=True)
    assert {one["label"] for one in np.ravel(found)} == set(WORDS)
    assert "threshold" in card
    assert "top_k=None" in told


def test_a_recording(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = make_recordings(tmp_path / "data", 8)
    soundfile.write(tmp_path / "recording.wav", tone(220, seed=1), RATE)
    found, _, _ = ran(data, make_audio_checkpoint(tmp_path / "base", "ast"), tmp_path, monkeypatch)
    assert {one["label"] for one in found} == set(PITCHES)


def test_a_recording_through_a_preprocessing_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = make_recordings(tmp_path / "data", 8)
    soundfile.write(tmp_path / "recording.wav", tone(220, seed=1), RATE)
    monkeypatch.setenv("GRAFT_CACHE", str(tmp_path / "cache"))
    base = make_checkpoint(tmp_path / "base")
    said, card, told = ran(data, base, tmp_path, monkeypatch, preprocessing=SPECTROGRAM)
    assert said.label in PITCHES
    assert 'pipeline("' not in card
    assert "transformers.pipeline cannot load it" in card
    assert "graft predict --preprocessing" in told
    rows = parquet.read_table(tmp_path / "run" / "predictions.parquet").to_pylist()
    assert any(row["split"] == "test" for row in rows)
