"""What every kind of recogniser must be able to do: wav2vec2, HuBERT, WavLM and Whisper, from random weights."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from graft.core.errors import ModelError
from graft.tasks.base import FeatureTask, Task
from graft.tasks.registry import TASKS
from graft.tasks.speech_recognition import SpeechRecognition
from graft.tasks.speech_saved import load_speech, save_speech
from small_sounds import RATE
from small_speech import CTC, make_ctc, make_whisper, sentences, spoken

TEXTS = sentences(6, seed=4)


@pytest.fixture(params=[*CTC, "whisper"])
def task(request: pytest.FixtureRequest, tmp_path: Path) -> SpeechRecognition:
    if request.param == "whisper":
        return SpeechRecognition.load(str(make_whisper(tmp_path / "m")), language="en")
    return SpeechRecognition.load(str(make_ctc(tmp_path / "m", request.param, letters="abc")), texts=TEXTS)


def batch_of(task: SpeechRecognition, rows: slice = slice(None)) -> Any:
    waves = [spoken(text, seed=i) for i, text in enumerate(TEXTS)][rows]
    return task.collate(waves, [task.target(text) for text in TEXTS[rows]])


def test_it_is_a_task_without_pooled_features(task: SpeechRecognition) -> None:
    assert isinstance(task, Task)
    assert not isinstance(task, FeatureTask)
    assert task.name in TASKS
    assert type(task).__bases__ == (object,)


def test_losses_are_sums_with_counts_however_a_batch_is_cut(task: SpeechRecognition) -> None:
    network = task.build().eval()
    whole, n = task.loss(network, batch_of(task))
    parts = [task.loss(network, batch_of(task, rows)) for rows in (slice(0, 1), slice(1, 6))]
    torch.testing.assert_close(sum(total for total, _ in parts), whole, rtol=1e-5, atol=1e-4)
    assert sum(int(count) for _, count in parts) == int(n)


def test_gradients_of_parts_add_up_to_that_of_the_whole(task: SpeechRecognition) -> None:
    network = task.build().eval()
    parameters = [p for name, p in network.named_parameters() if "lm_head" in name or "decoder.layers" in name]

    def gradient(slices: list[slice]) -> torch.Tensor:
        for parameter in parameters:
            parameter.requires_grad_(True).grad = None
        for rows in slices:
            task.loss(network, batch_of(task, rows))[0].backward()
        return torch.cat([p.grad.flatten() for p in parameters if p.grad is not None])

    whole, cut = gradient([slice(None)]), gradient([slice(0, 2), slice(2, 6)])
    torch.testing.assert_close(cut, whole, rtol=1e-4, atol=1e-4 * float(whole.abs().max()))


def test_a_row_that_fills_up_counts_nothing(task: SpeechRecognition) -> None:
    total, n = task.loss(task.build(), {**batch_of(task, slice(0, 1)), "is_counted": torch.zeros(1, dtype=torch.int64)})
    assert (float(total), int(n)) == (0.0, 0)


def test_saved_it_writes_the_same_and_a_changed_one_is_refused(task: SpeechRecognition, tmp_path: Path) -> None:
    file = io.BytesIO()
    soundfile.write(file, spoken(TEXTS[0]), RATE, format="WAV", subtype="FLOAT")
    found = save_speech(task, tmp_path / "saved", contents=[file.getvalue()])
    assert found["n_equal"] == 1  # to what transformers' pipeline writes
    again = load_speech(tmp_path / "saved")
    assert again.model.form == task.model.form
    expected, got = (t.predict(t.build().eval(), batch_of(t)) for t in (task, again))
    assert torch.equal(expected, got)
    assert task.target(TEXTS[0]) == again.target(TEXTS[0])
    other = again.model.network
    with torch.no_grad():
        next(other.parameters()).add_(1)
    other.save_pretrained(tmp_path / "saved")
    with pytest.raises(ModelError, match="not those that Graft saved"):
        load_speech(tmp_path / "saved")


def test_training_twice_masks_the_same_frames(task: SpeechRecognition) -> None:
    learner = SpeechRecognition(task.model, mask_share=0.3)
    network = task.build().train()
    losses = []
    for _ in range(2):
        torch.manual_seed(5)
        np.random.default_rng().random()
        losses.append(float(learner.loss(network, batch_of(task))[0]))
    network.eval()
    assert losses[0] == losses[1]
