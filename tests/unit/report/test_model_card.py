from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from graft.report.model_card import card_metadata, write_model_card

from .conftest import Run, make_run
from .hostile import HOSTILE

MANIFEST = {
    "task": "image-classification",
    "labels": ["ant", "bee", "cat", "dog"],
    "splits": {"train": {"n": 40}, "test": {"n": 240}},
    "backbone": {"id": "owner/net", "revision": "abc", "weights_hash": "0" * 32, "licence": "apache-2.0"},
    "weights_hash": "1" * 32,
    "seed": 0,
    "versions": {"graft": "0.1.0"},
    "command": "graft fit /home/somebody/insects --model owner/net",
    "title": "insects: net",
    "noun": "pictures",
}
CONFIG = {"data": "/home/somebody/insects", "model": "owner/net"}


def card(tmp_path: Path, run: Run, **changes: Any) -> tuple[dict[str, Any], str]:
    path = tmp_path / "README.md"
    given = {"metrics": run.metrics, "manifest": MANIFEST, "config": CONFIG} | changes
    write_model_card(path, **given)
    _, front, body = path.read_text(encoding="utf-8").split("---\n", 2)
    return yaml.safe_load(front), body


def test_front_matter_is_what_the_hub_reads(tmp_path: Path, run: Run) -> None:
    front, body = card(tmp_path, run)
    assert front["license"] == "apache-2.0"
    assert front["base_model"] == "owner/net"
    assert front["pipeline_tag"] == "image-classification"
    assert "datasets" not in front
    found = front["model-index"][0]["results"][0]
    accuracy = run.metrics["test"]["accuracy"]["value"]
    assert found["metrics"][0] == {"type": "accuracy", "name": "Accuracy", "value": pytest.approx(accuracy, abs=1e-4)}
    assert found["dataset"] == {"name": "insects", "type": "other", "split": "test"}
    for words in ("The graft took.", "240 test pictures", "| Accuracy |", 'pipeline("image-'):
        assert words in body


def test_the_hubs_own_reader_takes_it(tmp_path: Path, run: Run) -> None:
    import huggingface_hub as hub

    card(tmp_path, run)
    data = hub.ModelCard.load(tmp_path / "README.md").data
    assert data.base_model == "owner/net"
    assert data.eval_results[0].metric_type == "accuracy"


def test_data_of_a_hub_are_named_and_folders_of_this_machine_are_not(tmp_path: Path, run: Run) -> None:
    front, body = card(tmp_path, run, config={"data": "owner/insects", "model": str(tmp_path)})
    assert front["datasets"] == ["owner/insects"]
    assert "base_model" not in front
    assert str(tmp_path.parent) not in body
    assert "somebody" not in body


def test_an_unknown_licence_is_said_not_guessed(tmp_path: Path, run: Run) -> None:
    backbone = {k: v for k, v in MANIFEST["backbone"].items() if k != "licence"}  # type: ignore[attr-defined]
    front, body = card(tmp_path, run, manifest=MANIFEST | {"backbone": backbone})
    assert "license" not in front
    assert "look it up" in body


def test_hostile_names_stay_text(tmp_path: Path) -> None:
    changes = {"labels": list(HOSTILE), "title": HOSTILE[0], "noun": HOSTILE[1], "command": HOSTILE[5]}
    config = {"data": "---\n# title", "model": HOSTILE[4]}
    front, body = card(tmp_path, make_run(HOSTILE, signal=1.0), manifest=MANIFEST | changes, config=config)
    assert "<" not in re.sub(r"`[^`]*`", "", body)
    assert "\u202e" not in body
    assert front["model-index"][0]["results"][0]["dataset"]["name"]
    assert card_metadata({}, {}, {})["tags"] == ["graft", "fine-tuned"]
