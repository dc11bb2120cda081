"""Low-rank updates where the checkpoint never trained some words: these learn, and adapter and model hold them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from graft.core.devices import Precision
from graft.data.conversation_forms import messages_of
from graft.data.conversations import Conversation
from graft.methods.generation import fine_tune_generation, judge_answers
from graft.methods.lora import adapted
from graft.methods.settings import FineTuning
from graft.methods.where import Where
from graft.tasks.generation_saved import save_generation
from graft.tasks.text_generation import TextGeneration
from graft.training.conversations import ConversationExamples
from small_language import CHATML, make_language, questions

FP32 = Precision("fp32", "tested")
TRAIN, VALID = np.arange(24), np.arange(24, 30)
LETTERS = ["<|im_end|>", "t", "a", "c", "e"]
CONVERSATIONS = [
    Conversation(str(i), f"row {i}", messages_of(row, "alpaca", place="")) for i, row in enumerate(questions(30))
]


@pytest.fixture(scope="module", params=["llama", "gpt2"])
def task(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> TextGeneration:
    """A model in which some letters and the end of a turn have one row in common; GPT-2's two tables are one."""
    folder = make_language(
        tmp_path_factory.mktemp("m"), template=CHATML, eos="<|im_end|>", pad="<|im_end|>", kind=request.param
    )
    task = TextGeneration.load(str(folder))
    net: Any = task.build()
    for table in (net.get_input_embeddings(), net.get_output_embeddings()):
        table.weight.data[words_of(task)] = table.weight.data[0].clone()
    return task


def words_of(task: TextGeneration) -> list[int]:
    return sorted(task.model.tokenizer.convert_tokens_to_ids(LETTERS))


def tuned(task: TextGeneration, examples: ConversationExamples, *, strategy: str = "lora", **more: Any) -> Any:
    given: dict[str, Any] = {"epochs": 4, "fewest_steps": 60, "learning_rate": 5e-2}
    settings = FineTuning(batch_size=8, evaluations=3, patience=None, **(given | more))
    told: list[str] = []
    found = fine_tune_generation(
        task, examples, TRAIN, held_out_rows=VALID, strategy=strategy, settings=settings, where=Where("cpu", "fp32"),
        say=told.append,
    )  # fmt: skip
    return found, told


def test_they_are_told_apart_and_adapter_model_and_pipeline_agree(task: TextGeneration, tmp_path: Path) -> None:
    examples = ConversationExamples([task.encode(c) for c in CONVERSATIONS], task.collate, task.collate_packed)
    words, before = words_of(task), task.build().get_output_embeddings().weight.detach().clone()
    stiff, told = tuned(task, examples, word_embeddings="frozen")
    assert not any("never trained" in text for text in told)
    assert torch.equal(stiff.network.get_output_embeddings().weight, before)
    found, told = tuned(task, examples)
    assert f"never trained {len(words)} words that occur here ('<|im_end|>', " in told[0]
    table = found.network.get_output_embeddings().weight
    others = np.setdiff1d(np.arange(len(table)), words)
    assert torch.equal(table[others], before[others])
    assert torch.cdist(table[words], table[words])[0, 1:].min() > 0.1
    held = [judge_answers(task, run.network, examples, VALID, precision=FP32).log_loss for run in (stiff, found)]
    assert held[1] < held[0] - 0.2  # equal rows have equal logits, whatever the layers learn
    found.save_adapter(tmp_path / "a", kept=found.network, share=1.0)
    again = judge_answers(task, adapted(task.build(), tmp_path / "a"), examples, VALID, precision=FP32)
    assert again.log_loss == pytest.approx(held[1], rel=1e-5)
    size = (tmp_path / "a" / "adapter_model.safetensors").stat().st_size
    assert size < 4 * (found.n_trainable + 200) + 20_000  # the rows, not the tables
    final = TextGeneration(task.model.with_network(found.network))
    saved = save_generation(final, tmp_path / "model", prompts=[c.prompt for c in CONVERSATIONS[24:27]])
    assert saved["n_equal"] == 3
    found.save_adapter(tmp_path / "none", kept=task.build(), share=0.0)
    nothing = judge_answers(task, adapted(task.build(), tmp_path / "none"), examples, VALID, precision=FP32)
    base = judge_answers(task, task.build(), examples, VALID, precision=FP32)
    np.testing.assert_allclose(nothing.sums, base.sums, rtol=1e-5)


def test_they_learn_the_same_where_logits_come_in_chunks(task: TextGeneration, monkeypatch: pytest.MonkeyPatch) -> None:
    examples = ConversationExamples([task.encode(c) for c in CONVERSATIONS], task.collate, task.collate_packed)
    short = {"epochs": 0.1, "fewest_steps": 5, "learning_rate": 1e-2}
    plain, _ = tuned(task, examples, **short)
    monkeypatch.setattr("graft.backbones.token_losses._MOST_LOGITS", 3 * 261)  # three tokens at a time
    chunked, _ = tuned(TextGeneration(task.model), examples, **short)
    tables = [run.network.get_output_embeddings().weight for run in (plain, chunked)]
    torch.testing.assert_close(tables[1], tables[0], rtol=0, atol=1e-5)
    assert not torch.equal(tables[0], task.build().get_output_embeddings().weight)


def test_all_words_that_occur_learn_or_none_where_that_is_wanted(task: TextGeneration) -> None:
    examples = ConversationExamples([task.encode(c) for c in CONVERSATIONS], task.collate, task.collate_packed)
    short = {"epochs": 0.1, "fewest_steps": 3, "learning_rate": 1e-2}
    before = task.build().get_input_embeddings().weight
    found, told = tuned(task, examples, word_embeddings="train", **short)
    words = examples.words(TRAIN)
    assert told[0].startswith(f"the rows of all {len(words)} words that occur learn too")
    moved = (found.network.get_input_embeddings().weight != before).any(dim=1).nonzero().flatten().tolist()
    assert set(moved) <= set(words.tolist())
    assert len(moved) > len(words) / 2  # three steps see no more
    full, _ = tuned(task, examples, strategy="full", word_embeddings="frozen", **short)
    assert torch.equal(full.network.get_input_embeddings().weight, before)
