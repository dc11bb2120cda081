"""Recordings and texts are called what they are: in the terminal, in the report and in every file of the run."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

import graft
from small_sounds import make_audio_checkpoint, make_recordings
from small_texts import make_text_checkpoint
from small_things import make_checkpoint

ROOT = Path(__file__).resolve().parents[2]
SPECTROGRAM = f"{ROOT / 'examples' / 'words_preprocessing.py'}:spectrogram"
FORMS = ("*.json", "*.toml", "*.txt", "*.html", "model/graft.json")


def told_by(data: Path, base: Path, folder: Path, **more: Any) -> dict[str, str]:
    """Return all that a run says, by file."""
    terminal = io.StringIO()
    chosen = {"epochs": 1, "fewest_steps": 3, "batch_size": 8, "workers": 0, "folds": 2, **more}
    console = Console(file=terminal, width=200)
    result = graft.fit(data, model=str(base), out=folder / "run", cache=folder / "cache", console=console, **chosen)
    files = [path for form in FORMS for path in result.out.glob(form)]
    return {"terminal": terminal.getvalue()} | {path.name: path.read_text(encoding="utf-8") for path in files}


def assert_no_picture(told: dict[str, str]) -> None:
    assert {"terminal", "report.html", "metrics.json", "manifest.json", "log.txt", "graft.json"} <= set(told)
    for name, text in told.items():
        at = text.lower().find("picture")
        assert at < 0, f"{name}: ...{text[max(0, at - 100) : at + 100]}..."


@pytest.mark.parametrize("strategy", ["head", "lp-ft"])
def test_a_run_of_recordings_tells_of_no_picture(strategy: str, tmp_path: Path) -> None:
    data = make_recordings(tmp_path / "data", 8)
    base = make_checkpoint(tmp_path / "base")
    told = told_by(data, base, tmp_path, preprocessing=SPECTROGRAM, strategy=strategy)
    assert_no_picture(told)
    assert "recordings" in told["terminal"]
    assert "recordings" in told["report.html"]


def test_a_run_of_recordings_through_a_checkpoints_own_extractor_tells_of_no_picture(tmp_path: Path) -> None:
    base = make_audio_checkpoint(tmp_path / "base", "wav2vec2 stable")
    assert_no_picture(told_by(make_recordings(tmp_path / "data", 8), base, tmp_path, strategy="head"))


@pytest.mark.parametrize("strategy", ["head", "lp-ft"])
def test_a_run_of_texts_tells_of_no_picture(strategy: str, tmp_path: Path) -> None:
    said = {"red": "the rose is {} red", "green": "a leaf is {} green", "blue": "the sky is {} blue"}
    fillers = ("", "very", "very very", "like a", "like the sea", "a", "like blood", "like grass")
    rows = [f"{text.format(filler)},{label}" for label, text in said.items() for filler in fillers]
    (tmp_path / "said.csv").write_text("\n".join(["text,label", *rows]), encoding="utf-8")
    told = told_by(tmp_path / "said.csv", make_text_checkpoint(tmp_path / "base"), tmp_path, strategy=strategy)
    assert_no_picture(told)
    assert "texts" in told["report.html"]
