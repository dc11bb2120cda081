"""Liger's kernel is used only where it gives what the plain loss gives; it stands in here as a few lines of torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional

from graft.backbones import fused_losses
from graft.data.conversation_forms import messages_of
from graft.data.conversations import Conversation
from graft.tasks.text_generation import TextGeneration
from small_language import CHATML, make_language, questions

CALLS: list[str] = []


def kernel(states: Any, weight: Any, targets: Any, *, bias: Any, reduction: str, softcap: float | None) -> Any:
    CALLS.append(reduction)
    logits = functional.linear(states, weight, bias)
    logits = torch.tanh(logits / softcap) * softcap if softcap else logits
    return functional.cross_entropy(logits, targets, reduction=reduction)


def wrong(states: Any, weight: Any, targets: Any, **options: Any) -> Any:
    return kernel(states, weight.detach(), targets, **options) + 0.0 * weight.sum()


def broken(*_: Any, **__: Any) -> Any:
    raise RuntimeError("no driver")


@pytest.fixture
def task(tmp_path: Path) -> TextGeneration:
    return TextGeneration.load(str(make_language(tmp_path, template=CHATML, eos="<|im_end|>", pad="<|im_end|>")))


def loss_and_gradient(task: TextGeneration) -> tuple[float, torch.Tensor]:
    rows = [Conversation(str(i), f"row {i}", messages_of(r, "alpaca", place="")) for i, r in enumerate(questions(6))]
    network = task.build().train().requires_grad_(True)
    network.zero_grad(set_to_none=True)
    total, _ = task.loss(network, task.collate([task.encode(row) for row in rows]))
    total.backward()
    gradient = torch.cat([p.grad.flatten() for p in network.parameters() if p.grad is not None])
    return float(total.detach()), gradient


@pytest.mark.parametrize(("given", "is_used"), [(kernel, True), (wrong, False), (broken, False), (None, False)])
def test_it_is_used_where_it_is_right_and_the_outcome_is_the_same(
    task: TextGeneration, monkeypatch: pytest.MonkeyPatch, given: Any, is_used: bool
) -> None:
    plain, gradient = loss_and_gradient(task)
    monkeypatch.setattr(fused_losses, "_kernel", lambda device: given)
    CALLS.clear()
    anew = TextGeneration(task.model)
    found, other = loss_and_gradient(anew)
    assert found == pytest.approx(plain, rel=1e-5)
    torch.testing.assert_close(other, gradient, rtol=1e-4, atol=1e-6)
    n_tried = len(CALLS)
    loss_and_gradient(anew)
    assert (len(CALLS) == n_tried + 1) == is_used
    assert set(CALLS) <= {"sum"}


def test_on_a_cpu_there_is_none() -> None:
    assert fused_losses._kernel(torch.device("cpu")) is None
