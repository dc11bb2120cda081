"""Losses equal transformers' own, padding changes nothing, and what cannot be learned is known before."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from graft.core.errors import ModelError, UsageError
from graft.tasks.speech_recognition import SpeechRecognition
from small_sounds import make_audio_checkpoint
from small_speech import CTC, make_ctc, make_whisper, spoken

TEXTS = ["ab ca", "a", "cc b a"]


def waves() -> list[np.ndarray]:
    return [spoken(text, seed=i) for i, text in enumerate(TEXTS)]


def ctc_task(folder: Path, name: str) -> SpeechRecognition:
    return SpeechRecognition.load(str(make_ctc(folder / "c", name, letters="abc")), texts=TEXTS)


def batch_of(task: SpeechRecognition, rows: list[int]) -> Any:
    all_waves = waves()
    return task.collate([all_waves[i] for i in rows], [task.target(TEXTS[i]) for i in rows])


@pytest.mark.parametrize("name", CTC)
def test_ctc_loss_is_that_of_transformers(tmp_path: Path, name: str) -> None:
    task = ctc_task(tmp_path, name)
    network: Any = task.build()
    alone = [
        float(network(batch_of(task, [i])["input_values"], labels=batch_of(task, [i])["labels"]).loss) for i in range(3)
    ]
    batch = batch_of(task, [0, 1, 2])
    total, count = task.loss(network, batch)
    assert float(total) == pytest.approx(sum(alone), rel=1e-5)
    assert int(count) == sum(len(text) for text in TEXTS)
    if "stable" in name:  # the others take no mask in transformers: there padding changes an utterance
        mask = (torch.arange(batch["input_values"].shape[1]) < batch["lengths"][:, None]).long()
        theirs = network(batch["input_values"], attention_mask=mask, labels=batch["labels"]).loss
        assert float(total) == pytest.approx(float(theirs), rel=1e-5)


@pytest.mark.parametrize("name", CTC)
def test_padding_changes_no_prediction(tmp_path: Path, name: str) -> None:
    task = ctc_task(tmp_path, name)
    network = task.build()
    together = task.predict(network, batch_of(task, [0, 1, 2])).numpy()
    for i in range(3):
        alone = task.predict(network, batch_of(task, [i])).numpy()[0]
        assert np.array_equal(alone, together[i][together[i] >= 0])


def test_what_ctc_cannot_spell_is_known_before(tmp_path: Path) -> None:
    task = ctc_task(tmp_path, "wav2vec2")
    frame = 320  # samples a frame of the small networks
    assert not task.can_learn(4 * frame, task.target("aaab"))  # four letters, two blanks between: six frames
    assert task.can_learn(8 * frame, task.target("aaab"))
    assert not task.can_learn(16_000, [])
    batch = task.collate([waves()[1][: 4 * frame]], [task.target("aaab")])
    assert not np.isfinite(float(task.loss(task.build(), batch)[0]))


def test_letters_of_the_transcripts_where_the_checkpoint_lacks_them(tmp_path: Path) -> None:
    folder = str(make_ctc(tmp_path / "c", letters="ab"))
    task = SpeechRecognition.load(folder, texts=["A b, c!"])
    assert task.model.is_new_head
    assert "c" in task.model.tokenizer.get_vocab()
    assert task.written(np.array(task.target("A b, c!"))) == "a b c"
    kept = SpeechRecognition.load(folder, texts=["a"])
    assert not kept.model.is_new_head
    encoder = str(make_ctc(tmp_path / "e"))
    assert SpeechRecognition.load(encoder, texts=["a"]).model.is_new_head
    with pytest.raises(UsageError, match="brings no letters"):
        SpeechRecognition.load(encoder, texts=["a"], vocabulary="checkpoint")


def test_new_letters_are_the_same_each_time(tmp_path: Path) -> None:
    folder = str(make_ctc(tmp_path / "e"))
    first, second = (SpeechRecognition.load(folder, texts=["abc"]).model.backbone for _ in range(2))
    assert first.weights_hash == second.weights_hash


def test_whisper_loss_is_that_of_transformers_and_padding_changes_nothing(tmp_path: Path) -> None:
    task = SpeechRecognition.load(str(make_whisper(tmp_path / "w")), language="german")
    network: Any = task.build()
    batch = batch_of(task, [0, 1, 2])
    theirs = network(input_features=batch["input_features"], labels=batch["labels"]).loss
    total, count = task.loss(network, batch)
    assert float(total / count) == pytest.approx(float(theirs), rel=1e-5)
    alone = [task.loss(network, batch_of(task, [i])) for i in range(3)]
    assert float(total) == pytest.approx(sum(float(t) for t, _ in alone), rel=1e-5)


def test_whisper_prompt_and_labels(tmp_path: Path) -> None:
    task = SpeechRecognition.load(str(make_whisper(tmp_path / "w")), language="de")
    tokens = task.model.tokenizer.convert_ids_to_tokens(task.target("ab"))
    assert tokens == ["<|de|>", "<|transcribe|>", "<|notimestamps|>", "a", "b", "<|endoftext|>"]
    labels = batch_of(task, [0, 1])["labels"]
    end = task.model.tokenizer.eos_token_id
    assert labels[1].tolist().count(end) == 1  # the end is learned; what fills up is not, though pad is the same token
    assert labels[1, -1] == -100
    assert not task.can_learn(16_000, task.target("a" * 30))
    with pytest.raises(UsageError, match="--language klingon"):
        SpeechRecognition.load(str(tmp_path / "w"), language="klingon")


def test_no_recogniser(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot be loaded as a speech recogniser"):
        SpeechRecognition.load(str(make_audio_checkpoint(tmp_path / "ast", "ast")), texts=["a"])
    with pytest.raises(ModelError, match="cannot be loaded as a speech recogniser"):
        SpeechRecognition.load(str(tmp_path / "nothing"), texts=["a"])
