"""Fine-tuning of small language models: what moves, what does not, and that it goes on where it stopped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from graft.core.devices import Precision
from graft.core.errors import Interrupted, UsageError
from graft.data.conversation_forms import messages_of
from graft.data.conversations import Conversation
from graft.methods import generation
from graft.methods.generation import fine_tune_generation, generation_rate, judge_answers
from graft.methods.lora import adapted
from graft.methods.settings import FineTuning
from graft.methods.where import Where
from graft.tasks.text_generation import TextGeneration
from graft.training.conversations import ConversationExamples
from small_language import CHATML, make_language, questions

FP32 = Precision("fp32", "tested")
SETTINGS = FineTuning(epochs=2, fewest_steps=12, batch_size=8, evaluations=3, patience=None)
TRAIN, VALID = np.arange(24), np.arange(24, 30)


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> TextGeneration:
    folder = make_language(tmp_path_factory.mktemp("m"), template=CHATML, eos="<|im_end|>", pad="<|im_end|>")
    return TextGeneration.load(str(folder))


@pytest.fixture(scope="module")
def examples(task: TextGeneration) -> ConversationExamples:
    rows = [Conversation(str(i), f"row {i}", messages_of(r, "alpaca", place="")) for i, r in enumerate(questions(30))]
    return ConversationExamples([task.encode(row) for row in rows], task.collate, task.collate_packed)


def tuned(task: TextGeneration, examples: ConversationExamples, **more: Any) -> Any:
    options: dict[str, Any] = {"settings": SETTINGS, "where": Where(device="cpu", precision="fp32"), **more}
    return fine_tune_generation(task, examples, TRAIN, held_out_rows=VALID, **options)


@pytest.mark.parametrize("how", [{"strategy": "full"}, {"adapter": "lora"}, {"adapter": "dora"}])
def test_every_strategy_learns_and_leaves_the_checkpoint_alone(
    task: TextGeneration, examples: ConversationExamples, how: dict[str, str], tmp_path: Path
) -> None:
    before = {name: tensor.clone() for name, tensor in task.build().state_dict().items()}
    found = tuned(task, examples, **how)
    old, new = (judge_answers(task, net, examples, VALID, precision=FP32) for net in (task.build(), found.network))
    assert new.log_loss < old.log_loss - 0.1
    assert all(torch.equal(tensor, before[name]) for name, tensor in task.build().state_dict().items())
    assert type(found.network) is type(task.build())
    if found.save_adapter is not None:
        found.save_adapter(tmp_path / "a", kept=found.network, share=1.0)
        again = judge_answers(task, adapted(task.build(), tmp_path / "a"), examples, VALID, precision=FP32)
        np.testing.assert_allclose(again.sums, new.sums, rtol=1e-4)
        head = dict(found.network.named_parameters())["lm_head.weight"]
        assert torch.equal(head, before["lm_head.weight"])


def test_neither_accumulation_nor_checkpointing_changes_the_outcome(
    task: TextGeneration, examples: ConversationExamples
) -> None:
    from dataclasses import replace

    plain = tuned(task, examples, strategy="full").network.state_dict()
    for more in (
        {"settings": replace(SETTINGS, micro_batch_size=3)},
        {"is_checkpointed": True},
    ):
        other = tuned(task, examples, strategy="full", **more).network.state_dict()
        for name, tensor in plain.items():
            torch.testing.assert_close(other[name], tensor, rtol=1e-3, atol=1e-4)


def test_packed_it_learns_as_well(task: TextGeneration, examples: ConversationExamples) -> None:
    found = tuned(task, examples, strategy="full", packing="on")
    assert found.is_packed
    old, new = (judge_answers(task, net, examples, VALID, precision=FP32) for net in (task.build(), found.network))
    assert new.log_loss < old.log_loss - 0.1


def test_it_goes_on_where_it_was_stopped(
    task: TextGeneration, examples: ConversationExamples, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def place(name: str, *, resume: bool = False) -> Where:
        return Where("cpu", "fp32", folder=tmp_path / name, checkpoint_every_s=0.0, resume=resume)

    expected = tuned(task, examples, where=place("whole")).network.state_dict()
    own, calls = TextGeneration.loss, 0

    def stopping(self: Any, network: Any, batch: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 7:
            raise KeyboardInterrupt
        return own(self, network, batch)

    monkeypatch.setattr(TextGeneration, "loss", stopping)
    with pytest.raises((KeyboardInterrupt, Interrupted)):
        tuned(task, examples, where=place("cut"))
    monkeypatch.setattr(TextGeneration, "loss", own)
    found = tuned(task, examples, where=place("cut", resume=True))
    assert found.training.n_steps == 12
    assert all(torch.equal(found.network.state_dict()[name], tensor) for name, tensor in expected.items())


def test_other_strategies_are_refused_and_rates_fall_with_the_width(
    task: TextGeneration, examples: ConversationExamples
) -> None:
    with pytest.raises(UsageError, match="--strategy head for a language model"):
        tuned(task, examples, strategy="head")
    narrow = generation_rate(task.build())
    wide = task.build()
    assert narrow == pytest.approx(40 * generation._RATE)
    width, wide.config.hidden_size = wide.config.hidden_size, 4096
    assert generation_rate(wide) == pytest.approx(generation._RATE / 2)
    wide.config.hidden_size = width
