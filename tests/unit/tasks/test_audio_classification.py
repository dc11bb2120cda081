from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from transformers import pipeline

from graft.core.errors import DataError, UsageError
from graft.tasks.audio_classification import AudioClassification
from graft.tasks.fine_tuned import load_fine_tuned, save_fine_tuned
from small_sounds import AUDIO, make_audio_checkpoint, recording_bytes

LABELS = ("high", "low", "middle")
ROOT = Path(__file__).resolve().parents[3]
PLUGIN = f"{ROOT / 'examples' / 'yamnet_preprocessing.py'}:log_mel"


def made(folder: Path, name: str, *, block: str = "layer 2") -> AudioClassification:
    task = AudioClassification.load(str(make_audio_checkpoint(folder / "base", name)), label_names=LABELS)
    chosen = AudioClassification(task.model.choose(block))
    generator = torch.Generator().manual_seed(0)
    layer = chosen.model.head.layer
    chosen.model.head.set(torch.randn(layer.weight.shape, generator=generator), torch.zeros(3))
    return chosen


def with_yamnet(shared: Path) -> AudioClassification:
    return AudioClassification.load(str(shared / "models" / "yamnet"), label_names=LABELS, preprocessing=PLUGIN)


def probabilities(task: AudioClassification, content: bytes) -> np.ndarray:
    batch = task.collate([task.encode(content, name="x")], [0])
    with torch.inference_mode():
        return task.predict(task.build(), batch).softmax(-1)[0].numpy()


@pytest.mark.parametrize("name", sorted(AUDIO))
def test_the_pipeline_gives_the_scores_of_the_model_that_was_saved(name: str, tmp_path: Path) -> None:
    task = made(tmp_path, name)
    contents = [recording_bytes(i) for i in range(3)]
    check = save_fine_tuned(task, tmp_path / "model", label_names=LABELS, contents=contents)
    assert check.largest_difference < 1e-6
    classify: Any = pipeline("audio-classification", model=str(tmp_path / "model"), device="cpu")
    again = load_fine_tuned(tmp_path / "model").task
    for content in contents:
        wave, _ = soundfile.read(io.BytesIO(content), dtype="float32")
        scores = {row["label"]: row["score"] for row in classify(wave)}
        expected = probabilities(task, content)
        np.testing.assert_allclose([scores[label] for label in LABELS], expected, atol=1e-5)
        np.testing.assert_allclose(probabilities(again, content), expected, atol=1e-6)  # type: ignore[arg-type]


def test_a_long_recording_has_the_mean_logits_of_its_windows(tmp_path: Path) -> None:
    task = made(tmp_path, "ast")
    content = recording_bytes(1, duration_s=2.0)
    windows = task.encode(content, name="x")
    assert len(windows) == 4
    batch = task.collate([windows, task.encode(recording_bytes(0), name="y")], [1, 0])
    with torch.inference_mode():
        logits = task.predict(task.build(), batch)
        each = torch.cat([task.predict(task.build(), task.collate([[window]], [0])) for window in windows])
        features = task.features(task.build(), batch)
    assert logits.shape == (2, 3)
    torch.testing.assert_close(logits[0], each.mean(dim=0), rtol=1e-4, atol=1e-5)
    head = task.model.head.layer
    torch.testing.assert_close(features @ head.weight.T + head.bias, logits, rtol=1e-4, atol=1e-5)
    total, n = task.loss(task.build(), batch)
    assert int(n) == 2
    assert float(total) > 0


def test_a_preview_is_a_short_wav(tmp_path: Path) -> None:
    shown = AudioClassification.preview(recording_bytes(0, duration_s=9.0), name="x")
    wave, rate = soundfile.read(io.BytesIO(shown.sound))
    assert (len(wave), rate) == (12_000, 8_000)
    assert not shown.picture
    assert not shown.text


def test_a_model_with_a_users_preprocessing_carries_the_file_and_asks_for_it(shared: Path, tmp_path: Path) -> None:
    task = with_yamnet(shared)
    content = recording_bytes(0, duration_s=1.7)
    folder = tmp_path / "model"
    check = save_fine_tuned(task, folder, label_names=LABELS, contents=[content])
    assert check.largest_difference < 1e-6
    copied = folder / "yamnet_preprocessing.py"
    assert copied.read_bytes() == Path(PLUGIN.rpartition(":")[0]).read_bytes()
    with pytest.raises(UsageError, match=r"which is code[\s\S]*--preprocessing .*yamnet_preprocessing\.py:log_mel"):
        load_fine_tuned(folder)
    again = load_fine_tuned(folder, preprocessing=f"{copied}:log_mel").task
    np.testing.assert_allclose(
        probabilities(again, content),  # type: ignore[arg-type]
        probabilities(task, content),
        atol=1e-6,
    )
    copied.write_text(copied.read_text(encoding="utf-8") + "\n# changed\n", encoding="utf-8")
    with pytest.raises(UsageError, match="is not what"):
        load_fine_tuned(folder, preprocessing=f"{copied}:log_mel")


def test_a_file_that_is_no_sound_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"^clips/7\.wav cannot be read as a recording"):
        made(tmp_path, "hubert").encode(b"no sound", name="clips/7.wav")
