"""The task that a data set is for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from graft.core.errors import UsageError
from graft.tasks.finding import find_task
from small_sounds import make_audio_checkpoint
from small_texts import make_text_checkpoint


def test_by_the_files_in_folders(pictures: Path, tmp_path: Path) -> None:
    assert find_task(pictures, "any") == "image-classification"
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "one.txt").write_text("a text")
    assert find_task(tmp_path, "any") == "text-classification"


def test_notes_beside_recordings_are_no_texts_to_classify(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "README.md").write_text("a note")
    assert find_task(tmp_path, "any") == "text-classification"
    base = make_audio_checkpoint(tmp_path.with_name("audio"), "ast")
    assert find_task(tmp_path, str(base)) == "audio-classification"
    (tmp_path / "b" / "one.wav").write_bytes(b"")
    assert find_task(tmp_path, "any") == "audio-classification"


def test_an_old_image_checkpoint_is_one_of_pictures(tmp_path: Path) -> None:
    (tmp_path / "preprocessor_config.json").write_text(json.dumps({"feature_extractor_type": "ViTFeatureExtractor"}))
    assert find_task("someone/data", str(tmp_path)) == "image-classification"


def test_by_what_a_table_holds(pictures: Path, tmp_path: Path) -> None:
    file = next(pictures.glob("*/*.png"))
    (tmp_path / "pictures.jsonl").write_text(json.dumps({"what": str(file), "label": "a"}) + "\n")
    (tmp_path / "texts.csv").write_text("utterance,label\nhello,a\n")
    assert find_task(tmp_path / "pictures.jsonl", "any") == "image-classification"
    assert find_task(tmp_path / "texts.csv", "any") == "text-classification"


def test_by_the_model_where_the_data_is_elsewhere(tmp_path: Path, checkpoint: Path) -> None:
    assert find_task("someone/data", str(make_text_checkpoint(tmp_path))) == "text-classification"
    assert find_task("someone/data", str(checkpoint)) == "image-classification"


def test_by_name() -> None:
    assert find_task("nowhere", "any", wanted="text-classification") == "text-classification"
    with pytest.raises(UsageError, match="Did you mean 'text-classification'"):
        find_task("nowhere", "any", wanted="text-clasification")


def test_conversations_are_to_be_answered_unless_they_have_labels(tmp_path: Path) -> None:
    rows = {
        "messages": {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]},
        "alpaca": {"instruction": "a", "input": "", "output": "b"},
        "prompts": {"prompt": "a", "completion": "b"},
        "sharegpt": {"conversations": [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}]},
    }
    for name, row in rows.items():
        (tmp_path / f"{name}.jsonl").write_text(json.dumps(row))
        assert find_task(tmp_path / f"{name}.jsonl", "any") == "text-generation"
    (tmp_path / "labelled.jsonl").write_text(json.dumps({**rows["prompts"], "label": "c"}))
    assert find_task(tmp_path / "labelled.jsonl", "any") == "text-classification"
