"""Low-rank updates on a network in 4 bits, with bitsandbytes itself; skipped where the extra ``gpu`` is missing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from graft.backbones.four_bits import four_bit_loader
from graft.core.devices import Precision
from graft.core.errors import Interrupted, UsageError
from graft.core.optional import is_installed
from graft.data.conversation_forms import messages_of
from graft.data.conversations import Conversation
from graft.methods.generation import fine_tune_generation, judge_answers
from graft.methods.lora import adapted
from graft.methods.settings import FineTuning
from graft.methods.where import Where
from graft.tasks.text_generation import TextGeneration
from graft.training.conversations import ConversationExamples
from small_language import CHATML, make_language, questions

FP32 = Precision("fp32", "tested")
TRAIN, VALID = np.arange(24), np.arange(24, 30)
with_bitsandbytes = pytest.mark.skipif(
    not is_installed("bitsandbytes"), reason="no bitsandbytes: it comes with the extra gpu"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    place = tmp_path_factory.mktemp("m")
    return str(make_language(place, template=CHATML, eos="<|im_end|>", pad="<|im_end|>"))


def tuned(folder: str, place: Path | None = None, *, resume: bool = False) -> tuple[TextGeneration, Any, Any]:
    task = TextGeneration.load(folder)
    rows = [Conversation(str(i), f"row {i}", messages_of(r, "alpaca", place="")) for i, r in enumerate(questions(30))]
    examples = ConversationExamples([task.encode(row) for row in rows], task.collate, task.collate_packed)
    settings = FineTuning(
        epochs=4, fewest_steps=40, batch_size=8, evaluations=4, patience=None, learning_rate=2e-2,
        word_embeddings="frozen",
    )  # fmt: skip
    found = fine_tune_generation(
        task, examples, TRAIN, held_out_rows=VALID, adapter="qlora", four_bits=four_bit_loader(folder),
        settings=settings, where=Where("cpu", "fp32", folder=place, checkpoint_every_s=0.0, resume=resume),
    )  # fmt: skip
    return task, examples, found


@with_bitsandbytes
def test_updates_are_learned_on_four_bits_and_merged_into_the_whole_network(folder: str, tmp_path: Path) -> None:
    whole = TextGeneration.load(folder).build()
    four = four_bit_loader(folder)(torch.device("cpu"), FP32)
    layer = four.model.layers[0].self_attn.q_proj
    assert layer.weight.dtype == torch.uint8
    assert four.lm_head.weight.dtype == torch.float32
    tokens = torch.arange(8)[None]
    with torch.no_grad():
        gap = (four(tokens).logits - whole(tokens).logits).abs().max() / whole(tokens).logits.abs().max()
    assert 1e-4 < gap < 0.3  # NF4 of random weights
    task, examples, found = tuned(folder)
    before, after = (
        judge_answers(task, network, examples, VALID, precision=FP32).log_loss
        for network in (task.build(), found.network)
    )
    assert after < before - 0.1
    assert {parameter.dtype for parameter in found.network.parameters()} == {torch.float32}
    assert all(torch.equal(tensor, task.build().state_dict()[name]) for name, tensor in whole.state_dict().items())
    trained_on = min(line["log_loss"] for line in found.training.history)
    assert after == pytest.approx(trained_on, abs=0.1)  # of the network in 4 bits that the updates were learned on
    found.save_adapter(tmp_path / "a", kept=found.network, share=1.0)
    again = judge_answers(task, adapted(task.build(), tmp_path / "a"), examples, VALID, precision=FP32)
    assert again.log_loss == pytest.approx(after, rel=1e-5)


@with_bitsandbytes
def test_it_goes_on_where_it_was_stopped(folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = tuned(folder, tmp_path / "whole")[2].network.state_dict()
    own, calls = TextGeneration.loss, 0

    def stopping(self: Any, network: Any, batch: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 25:
            raise KeyboardInterrupt
        return own(self, network, batch)

    monkeypatch.setattr(TextGeneration, "loss", stopping)
    with pytest.raises((KeyboardInterrupt, Interrupted)):
        tuned(folder, tmp_path / "cut")
    monkeypatch.setattr(TextGeneration, "loss", own)
    found = tuned(folder, tmp_path / "cut", resume=True)[2].network.state_dict()
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())


def test_without_bitsandbytes_it_says_what_brings_it(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("graft.core.optional.is_installed", lambda package: False)
    with pytest.raises(UsageError, match=r"--adapter qlora .* needs the package 'bitsandbytes'") as raised:
        four_bit_loader(folder)
    assert "graft-finetune[gpu]" in str(raised.value)
