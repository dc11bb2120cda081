"""Fine-tuning of small recognisers: learns, is chosen by word errors, is the same again and after a resume."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from graft.core.devices import Precision
from graft.core.errors import UsageError
from graft.methods.settings import FineTuning
from graft.methods.speech import fine_tune_speech, hear
from graft.methods.where import Where
from graft.tasks.speech_recognition import SpeechRecognition
from graft.training.held_out import best_line
from graft.training.recordings import Waveforms
from graft.training.utterances import UtteranceExamples
from small_speech import make_ctc, make_whisper, sentences, spoken

MOST = 16_000 * 8
FP32 = Precision("fp32", "a test")


def examples_of(task: SpeechRecognition, texts: list[str]) -> UtteranceExamples:
    sounds = [spoken(text, seed=i) for i, text in enumerate(texts)]
    waveforms = Waveforms(np.concatenate(sounds), np.cumsum([len(s) for s in sounds]))
    return UtteranceExamples(waveforms, [task.target(t) for t in texts], task.collate, task.can_learn)


def made(folder: Path, name: str, n: int = 12) -> tuple[SpeechRecognition, UtteranceExamples, list[str]]:
    texts = sentences(n, seed=2)
    checkpoint = make_whisper(folder / "m") if name == "whisper" else make_ctc(folder / "m", name)
    options: dict[str, Any] = {"language": "en"} if name == "whisper" else {"texts": texts}
    task = SpeechRecognition.load(str(checkpoint), **options)
    return task, examples_of(task, texts), texts


@pytest.mark.parametrize(("name", "strategy"), [("hubert", "full"), ("wavlm stable", "full"), ("whisper", "lora")])
def test_loss_falls_and_the_convolutions_stay(tmp_path: Path, name: str, strategy: str) -> None:
    task, examples, texts = made(tmp_path, name)
    rows = np.arange(12)
    before = hear(task, task.build(), examples, rows, most=MOST, precision=FP32)
    settings = FineTuning(learning_rate=3e-3, fewest_steps=12, epochs=0.5, augmentation="light", evaluations=2)
    found = fine_tune_speech(
        task, examples, rows[:9], held_out_rows=rows[9:], held_out_texts=texts[9:], strategy=strategy,
        settings=settings, most=MOST, where=Where(precision="fp32"),
    )  # fmt: skip
    tuned = SpeechRecognition(task.model.with_network(found.network))
    after = hear(tuned, tuned.build(), examples, rows, most=MOST, precision=FP32)
    assert after.log_loss < before.log_loss
    assert found.training is not None
    assert {"wer", "cer", "log_loss"} <= set(found.training.history[0])
    assert found.training.decided_by == "wer"
    if strategy == "full":
        kept = {k: v for k, v in task.model.network.state_dict().items() if "feature_extractor" in k}
        assert kept
        assert all(torch.equal(v, found.network.state_dict()[k]) for k, v in kept.items())
    names = set(task.model.network.state_dict())
    assert set(found.network.state_dict()) == names  # of the original architecture, LoRA merged


def test_resumed_run_is_the_same(tmp_path: Path) -> None:
    task, examples, _ = made(tmp_path, "wav2vec2")
    settings = FineTuning(learning_rate=1e-3, fewest_steps=6, epochs=0.5)

    def run(where: Where, given: UtteranceExamples = examples) -> Any:
        return fine_tune_speech(
            task, given, np.arange(12), held_out_rows=None, settings=settings, most=MOST, where=where
        )

    whole = run(Where(precision="fp32")).network.state_dict()
    folder = tmp_path / "run"
    calls, n_before = 0, sum(1 for _ in examples.plain(np.arange(12), most=MOST))  # of the pass for the new head

    def breaks(*given: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == n_before + 4:
            raise RuntimeError("the power fails")
        return task.collate(*given)

    with pytest.raises(RuntimeError, match="the power fails"):
        run(Where(precision="fp32", folder=folder, checkpoint_every_s=0.0), replace(examples, collate=breaks))
    resumed = run(Where(precision="fp32", folder=folder, resume=True))
    assert resumed.training.n_steps == 6
    assert all(torch.equal(whole[k], v) for k, v in resumed.network.state_dict().items())


def test_weights_are_chosen_by_word_errors_and_ties_by_loss() -> None:
    history = [
        {"step": 1, "log_loss": 0.31, "wer": 0.346},
        {"step": 2, "log_loss": 0.45, "wer": 0.320},
        {"step": 3, "log_loss": 0.44, "wer": 0.320},
    ]
    assert (best_line(history, decided_by="wer") or {})["step"] == 3
    assert (best_line(history) or {})["step"] == 1


def test_head_alone_and_what_is_refused(tmp_path: Path) -> None:
    task, examples, _ = made(tmp_path, "wav2vec2")
    found = fine_tune_speech(
        task, examples, np.arange(12), held_out_rows=None, strategy="head", most=MOST, where=Where(precision="fp32")
    )
    before, after = task.model.network.state_dict(), found.network.state_dict()
    moved = {key for key in before if not torch.equal(before[key], after[key])}
    assert moved == {"lm_head.weight", "lm_head.bias"}
    with pytest.raises(UsageError, match="--strategy gradual"):
        fine_tune_speech(task, examples, np.arange(12), held_out_rows=None, strategy="gradual", most=MOST)
