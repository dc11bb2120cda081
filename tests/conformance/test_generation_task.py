"""What every language model must be able to do: Llama and GPT-2 from random weights, and a real tiny Llama."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from graft.backbones import token_losses
from graft.core.errors import ModelError
from graft.data.conversation_forms import messages_of
from graft.data.conversations import Conversation
from graft.tasks.base import FeatureTask, Task
from graft.tasks.generation_saved import load_generation, save_generation
from graft.tasks.registry import TASKS
from graft.tasks.text_generation import TextGeneration
from small_language import CHATML, make_language, questions

CONVERSATIONS = [
    Conversation(str(n), f"row {n}", messages_of(row, "alpaca", place=f"row {n}")) for n, row in enumerate(questions(7))
]
PARTS = {
    "padded": [[0, 1, 2, 3, 4, 5, 6]],
    "one by one": [[0], [1], [2], [3], [4], [5], [6]],
    "in two": [[0, 1, 2], [3, 4, 5, 6]],
}
PACKS = [[[0, 1, 2], [3, 4]], [[5], [6]]]


@pytest.fixture(scope="module", params=["llama", "gpt2", "real"])
def task(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> TextGeneration:
    if request.param == "real":
        shared: Path = request.getfixturevalue("shared")  # skips, with its reason, where there is none
        return TextGeneration.load(str(shared / "models" / "stories260K"))
    folder = tmp_path_factory.mktemp("language")
    template = CHATML if request.param == "llama" else None
    eos = "<|im_end|>" if template else "</s>"
    return TextGeneration.load(str(make_language(folder, template=template, kind=request.param, eos=eos, pad=eos)))


def batches_of(task: TextGeneration, how: str) -> list[Any]:
    encoded = [task.encode(conversation) for conversation in CONVERSATIONS]
    if how == "packed":
        return [task.collate_packed([[encoded[i] for i in row] for row in part]) for part in PACKS]
    return [task.collate([encoded[i] for i in part]) for part in PARTS[how]]


def loss_and_gradient(task: TextGeneration, how: str) -> tuple[float, int, torch.Tensor]:
    """Return the loss by token, the tokens and the gradient of the mean."""
    network = task.build().train().requires_grad_(True)
    network.zero_grad(set_to_none=True)
    total, n = 0.0, 0
    for batch in batches_of(task, how):
        value, count = task.loss(network, batch)
        value.backward()
        total, n = total + float(value.detach()), n + int(count)
    gradient = torch.cat([p.grad.flatten() for p in network.parameters() if p.grad is not None]) / n
    network.eval().requires_grad_(False)
    return total / n, n, gradient


def test_it_is_a_task_without_pooled_features(task: TextGeneration) -> None:
    assert isinstance(task, Task)
    assert not isinstance(task, FeatureTask)
    assert task.name in TASKS
    assert type(task).__bases__ == (object,)


@pytest.mark.parametrize("how", ["packed", "one by one", "in two"])
def test_loss_and_gradient_do_not_depend_on_how_conversations_are_batched(task: TextGeneration, how: str) -> None:
    expected, n, gradient = loss_and_gradient(task, "padded")
    found, n_found, other = loss_and_gradient(task, how)
    assert n_found == n
    assert found == pytest.approx(expected, abs=1e-5)
    torch.testing.assert_close(other, gradient, rtol=1e-4, atol=1e-5 * float(gradient.abs().max()))


def test_a_packed_conversation_sees_no_other(task: TextGeneration) -> None:
    encoded = [task.encode(c) for c in CONVERSATIONS[:3]]
    network = task.build()
    alone = [float(task.loss(network, task.collate([e]))[0]) for e in encoded]
    for first, last in ((0, 1), (1, 0), (2, 1)):  # whatever stands before it
        pair = float(task.loss(network, task.collate_packed([[encoded[first], encoded[last]]]))[0])
        assert pair == pytest.approx(alone[first] + alone[last], rel=1e-5)


def test_losses_of_each_are_those_of_the_sum_and_as_transformers_has_them(task: TextGeneration) -> None:
    network: Any = task.build()
    (batch,) = batches_of(task, "padded")
    each, counts = task.losses(network, batch)
    total, n = task.loss(network, batch)
    assert float(each.sum()) == pytest.approx(float(total), rel=1e-5)
    assert int(counts.sum()) == int(n)
    with torch.no_grad():
        theirs = float(network(**batch).loss)  # a mean over the labels that are not -100
    assert float(total) / int(n) == pytest.approx(theirs, abs=1e-5)


def test_chunks_of_logits_give_the_same_gradient(task: TextGeneration, monkeypatch: pytest.MonkeyPatch) -> None:
    expected, _, gradient = loss_and_gradient(task, "padded")
    monkeypatch.setattr(token_losses, "_MOST_LOGITS", 4 * len(task.model.tokenizer))  # four tokens a chunk
    found, _, other = loss_and_gradient(task, "padded")
    assert found == pytest.approx(expected, abs=1e-5)
    torch.testing.assert_close(other, gradient, rtol=1e-4, atol=1e-5 * float(gradient.abs().max()))


def test_the_end_of_a_turn_carries_loss_even_where_it_is_the_pad_token(task: TextGeneration) -> None:
    for conversation in CONVERSATIONS:
        found = task.encode(conversation)
        said = task.written(found.tokens[found.is_target])
        assert said.strip() == conversation.answer
        assert int(found.tokens[found.is_target][-1]) == task.model.stop_tokens[0]
        (labels,) = task.collate([found, task.encode(CONVERSATIONS[0])])["labels"][:1]
        assert int((labels != -100).sum()) == found.n_targets


def test_a_conversation_is_encoded_as_the_pipeline_does(task: TextGeneration) -> None:
    tokenizer, one = task.model.tokenizer, CONVERSATIONS[1]
    prompt = task.model.encoder.prompt(one.prompt.as_list()).tolist()
    theirs = tokenizer.apply_chat_template(one.prompt.as_list(), add_generation_prompt=True, return_dict=False)
    assert prompt == theirs
    whole = task.encode(one).tokens.tolist()
    assert whole == tokenizer.apply_chat_template(one.as_list(), return_dict=False)
    assert whole[: len(prompt)] == prompt


def test_answers_in_a_batch_are_those_alone(task: TextGeneration) -> None:
    network = task.build()
    prompts = [task.model.encoder.prompt(c.prompt.as_list()) for c in CONVERSATIONS]
    together = task.generate(network, prompts, most=8)
    for prompt, (tokens, has_ended) in zip(prompts, together, strict=True):
        ((alone, ended),) = task.generate(network, [prompt], most=8)
        assert np.array_equal(tokens, alone)
        assert has_ended == ended


def test_saved_it_answers_the_same_and_a_changed_one_is_refused(task: TextGeneration, tmp_path: Path) -> None:
    found = save_generation(task, tmp_path / "saved", prompts=[c.prompt for c in CONVERSATIONS[:2]])
    assert found["n_equal"] == 2  # to what transformers' pipeline writes
    again = load_generation(tmp_path / "saved")
    assert again.model.stop_tokens == task.model.stop_tokens
    assert again.encode(CONVERSATIONS[0]).tokens.tolist() == task.encode(CONVERSATIONS[0]).tokens.tolist()
    (batch,) = batches_of(task, "padded")
    assert float(again.loss(again.build(), batch)[0]) == float(task.loss(task.build(), batch)[0])
    other = again.model.network
    with torch.no_grad():
        next(other.parameters()).add_(1)
    other.save_pretrained(tmp_path / "saved")
    with pytest.raises(ModelError, match="not those that Graft saved"):
        load_generation(tmp_path / "saved")
