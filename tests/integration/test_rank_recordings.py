"""Rankings of recordings: a network with a processor of its own beside one that needs the user's."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from graft.api.rank import rank
from small_sounds import make_audio_checkpoint, make_recordings

ROOT = Path(__file__).resolve().parents[2]
PLUGIN = f"{ROOT / 'examples' / 'yamnet_preprocessing.py'}:log_mel"
QUIET: dict[str, Any] = {"console": Console(quiet=True), "workers": 0, "device": "cpu", "offline": True}


def test_networks_of_two_families_are_ranked(tmp_path: Path) -> None:
    data = make_recordings(tmp_path / "tones", 10)
    for name in ("ast", "wav2vec2"):
        make_audio_checkpoint(tmp_path / "models" / name, name)
    found = rank(data, models=[tmp_path / "models"], cache=tmp_path / "cache", race="none", **QUIET)
    assert {Path(standing.name).name for standing in found.standings} == {"ast", "wav2vec2"}
    assert not found.left_out
    assert found.standings[0].pooling  # one of several layers


@pytest.mark.shared
def test_yamnet_with_a_users_preprocessing_beside_wav2vec2_on_spoken_digits(shared: Path, tmp_path: Path) -> None:
    lines = (shared / "data" / "fsdd" / "metadata.jsonl").read_text(encoding="utf-8").splitlines()
    by_label: dict[str, list[dict[str, Any]]] = {}
    for row in map(json.loads, lines):
        if row["speaker"] in ("george", "jackson", "lucas", "theo"):
            by_label.setdefault(row["label"], []).append(row)
    table = tmp_path / "digits.csv"
    with open(table, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["file", "label", "speaker"])
        for label, rows in by_label.items():
            writer.writerows(
                [str(shared / "data" / "fsdd" / row["audio"]), label, row["speaker"]] for row in rows[::14]
            )
    own = make_audio_checkpoint(tmp_path / "tiny", "wav2vec2")
    found = rank(
        table, models=[own, shared / "models" / "yamnet"], preprocessing=PLUGIN, group_column="speaker", race="none",
        cache=tmp_path / "cache", **QUIET,
    )  # fmt: skip
    assert Path(found.best).name == "yamnet"
    assert [Path(standing.name).name for standing in found.standings] == ["yamnet", "tiny"]
    assert found.standings[0].signals.accuracy.value > 0.2
