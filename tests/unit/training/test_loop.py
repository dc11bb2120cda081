from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from runs import (
    BODY,
    HEAD,
    Scripted,
    WithoutSomeTargets,
    digit_batches,
    held_out_loss,
    loss_where_there_is_a_target,
    tiny_network,
    weights_of,
)
from torch import nn

from graft.core.devices import Precision
from graft.core.errors import DataError, ModelError, UsageError
from graft.core.processes import Processes
from graft.training import loop
from graft.training.checkpoints import CheckpointPlan
from graft.training.held_out import HeldOut
from graft.training.loop import train
from graft.training.losses import classification_loss
from graft.training.optimizers import ParameterGroup
from graft.training.recipe import Recipe
from graft.training.replicas import batch_parts
from graft.training.schedules import rate_factor


def equal(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
@pytest.mark.parametrize("are_all_there", [True, False])
def test_micro_batches_equal_one_batch(tmp_path, optimizer, are_all_there):
    given = []
    for size in (None, 4, 3):
        network = tiny_network(dropout=0.0)
        batches: Any = digit_batches() if are_all_there else WithoutSomeTargets(digit_batches())
        log = tmp_path / f"{size}.jsonl"
        recipe = Recipe(
            n_steps=8,
            optimizer=optimizer,
            learning_rate=0.01,
            micro_batch_size=size,
            batch_norm="frozen",
            clip_norm=0.5,
        )
        train(
            network, batches, loss=loss_where_there_is_a_target, recipe=recipe, precision="fp32", device="cpu", log=log
        )
        lines = [json.loads(line) for line in log.read_text().splitlines()]
        assert {line["n"] for line in lines} <= ({16} if are_all_there else {10, 11})
        given.append((weights_of(network), lines))
    for weights, lines in given[1:]:
        for name, tensor in given[0][0].items():
            torch.testing.assert_close(weights[name], tensor, rtol=0, atol=1e-6)
        for line, expected in zip(lines, given[0][1], strict=True):
            assert line["loss"] == pytest.approx(expected["loss"], rel=1e-5)
            assert line["gradient_norm"] == pytest.approx(expected["gradient_norm"], rel=1e-5)


@pytest.mark.parametrize("clip_norm", [None, 0.3, 100.0])
def test_a_step_is_that_of_plain_torch(clip_norm):
    """Mean loss, torch's own clipping, one step of SGD at the first step's rate."""
    recipe = Recipe(
        n_steps=1, optimizer="sgd", learning_rate=0.1, momentum=0.0, weight_decay=0.0, clip_norm=clip_norm,
        schedule="constant", warmup_fraction=0.0, batch_norm="frozen",
    )  # fmt: skip
    ours, theirs = tiny_network(dropout=0.0), tiny_network(dropout=0.0).eval()
    batches = WithoutSomeTargets(digit_batches())
    train(ours, batches, loss=loss_where_there_is_a_target, recipe=recipe, precision="fp32", device="cpu")
    total, count = loss_where_there_is_a_target(theirs, batches.batch(0))
    (total / count).backward()
    torch.nn.utils.clip_grad_norm_(theirs.parameters(), float("inf") if clip_norm is None else clip_norm)
    torch.optim.SGD(theirs.parameters(), lr=0.1).step()
    for name, tensor in weights_of(theirs).items():
        torch.testing.assert_close(weights_of(ours)[name], tensor, rtol=0, atol=1e-6)


def test_it_learns_and_leaves_the_random_state_alone():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    network = tiny_network()
    loss = classification_loss()
    batch = digit_batches().batch(0)
    with torch.no_grad():
        before = float(loss(network.eval(), batch)[0])
    done = train(network, digit_batches(), loss=loss, recipe=Recipe(n_steps=60, learning_rate=0.02), device="cpu")
    with torch.no_grad():
        after = float(loss(network, batch)[0])
    assert not network.training
    assert done.n_steps == 60
    assert after < 0.8 * before
    assert torch.equal(torch.rand(3), expected)


def test_loss_sums_do_not_depend_on_how_examples_are_grouped():
    # The loop divides the sum by the count, so twice the batch gives the same step.
    class Twice:
        batch_size = 32

        def batch(self, step: int, part: slice = slice(None)) -> dict[str, torch.Tensor]:
            return {name: torch.cat([t, t])[part] for name, t in digit_batches().batch(step).items()}

    weights = []
    for batches in (digit_batches(), Twice()):
        network = nn.Sequential(nn.Flatten(), nn.Linear(192, 10))

        def loss(net, batch):
            logits = net(batch["pixel_values"])
            total = nn.functional.cross_entropy(logits, batch["labels"], reduction="sum")
            return total, torch.tensor(len(logits))

        with torch.no_grad():
            network[1].weight.zero_(), network[1].bias.zero_()
        recipe = Recipe(n_steps=4, optimizer="sgd", learning_rate=0.1)
        train(network, batches, loss=loss, recipe=recipe, precision="fp32", device="cpu")
        weights.append(network[1].weight.detach())
    torch.testing.assert_close(*weights)


def test_frozen_parameters_stay():
    """With their buffers: a BatchNorm whose parameters are frozen does not learn from the batches either."""
    network = tiny_network()
    network.convolution.requires_grad_(False)
    network.norm.requires_grad_(False)
    before = weights_of(network)
    train(
        network, digit_batches(), loss=classification_loss(), recipe=Recipe(n_steps=3, ema_decay=0.9, l2_sp=0.1),
        held_out=HeldOut(held_out_loss, every_steps=2), device="cpu",
    )  # fmt: skip
    after = weights_of(network)
    assert {name for name in before if not torch.equal(before[name], after[name])} == set(HEAD)


def test_time_bounds_the_run_and_the_schedule_ends(tmp_path):
    log = tmp_path / "log.jsonl"
    recipe = Recipe(n_steps=10**6, learning_rate=0.01)
    started = time.monotonic()
    done = train(
        tiny_network(), digit_batches(), loss=classification_loss(), recipe=recipe, max_seconds=1.0, log=log,
        device="cpu",
    )  # fmt: skip
    assert time.monotonic() - started < 5
    assert 1 <= done.n_steps < 10**6
    rates = [json.loads(line)["learning_rate"] for line in log.read_text().splitlines()]
    assert max(rates) > 0.005
    assert rates[-1] < 0.05 * max(rates) or len(rates) < 20


def test_patience_ends_the_run_and_the_best_weights_come_back(tmp_path):
    looks = Scripted([0.9, 0.5, 0.7, float("nan"), 0.6, 0.1])
    network = tiny_network()
    done = train(
        network, digit_batches(), loss=classification_loss(), recipe=Recipe(n_steps=50, learning_rate=0.01),
        held_out=HeldOut(looks, every_steps=2, patience=3), device="cpu", log=tmp_path / "log.jsonl",
    )  # fmt: skip
    assert (done.ended_by, done.n_steps, done.best_step) == ("patience", 10, 4)
    assert [line["step"] for line in done.history] == [2, 4, 6, 8, 10]
    assert len((tmp_path / "log.jsonl").read_text().splitlines()) == 10
    assert torch.equal(network.head.bias, looks.seen[1])
    assert not torch.equal(network.head.bias, looks.seen[-1])


def test_the_last_step_is_looked_at_also_when_time_ends_the_run():
    looks = Scripted([0.5])
    network = tiny_network()
    done = train(
        network, digit_batches(), loss=classification_loss(), recipe=Recipe(n_steps=10**6, ema_decay=0.9),
        held_out=HeldOut(looks, every_steps=10**5), max_seconds=0.3, device="cpu",
    )  # fmt: skip
    assert done.ended_by == "time"
    assert [line["step"] for line in done.history] == [done.n_steps]
    assert torch.equal(network.head.bias, looks.seen[0])


def test_looks_never_finite_leave_the_last_weights():
    looks = Scripted([float("nan")] * 3)
    network = tiny_network()
    done = train(
        network, digit_batches(), loss=classification_loss(), recipe=Recipe(n_steps=6),
        held_out=HeldOut(looks, every_steps=2), device="cpu",
    )  # fmt: skip
    assert (done.best_step, done.ended_by) == (6, "steps")
    assert torch.equal(network.head.bias, looks.seen[-1])


def test_groups_move_when_and_as_fast_as_they_are_told(tmp_path, monkeypatch):
    """SGD without momentum, gradients of 1: each weight moves by the sum of its rates."""

    class Ones:
        batch_size = 2

        def batch(self, step: int, part: slice = slice(None)) -> dict[str, torch.Tensor]:
            return {"x": torch.ones(2)[part]}

    class Pair(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.early, self.late = (nn.Parameter(torch.zeros(2, 2)) for _ in range(2))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            seen.append(self.late.detach().clone())
            return (self.early.sum() + self.late.sum()) * x.sum()

    seen: list[torch.Tensor] = []
    network, log = Pair(), tmp_path / "log.jsonl"
    recipe = Recipe(n_steps=10, optimizer="sgd", learning_rate=0.1, momentum=0.0, weight_decay=0.0, clip_norm=None,
                    warmup_fraction=0.2)  # fmt: skip
    train(
        network, Ones(), loss=lambda net, batch: (net(batch["x"]), torch.tensor(2)), recipe=recipe, precision="fp32",
        groups=[ParameterGroup(("early",)), ParameterGroup(("late",), rate_factor=0.25, starts_at=0.4)],
        device="cpu", log=log,
    )  # fmt: skip
    rates = [0.1 * rate_factor((s + 0.5) / 10, schedule="cosine", warmup_fraction=0.2) for s in range(10)]
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert [line["learning_rate"] for line in lines] == pytest.approx(rates)  # the highest, of a factor of 1
    assert [line["gradient_norm"] for line in lines] == pytest.approx([2.0] * 4 + [8**0.5] * 6)  # of what moves
    torch.testing.assert_close(network.early.detach(), torch.full((2, 2), -sum(rates)))
    torch.testing.assert_close(network.late.detach(), torch.full((2, 2), -0.25 * sum(rates[4:])))
    assert all(torch.equal(late, torch.zeros(2, 2)) for late in seen[:5])  # until the step after 0.4 of the run
    assert not torch.equal(seen[5], torch.zeros(2, 2))


def test_late_groups_have_no_moments_and_do_not_decay_before_they_start():
    network = tiny_network()
    before = weights_of(network)
    train(
        network, digit_batches(), loss=classification_loss(), recipe=Recipe(n_steps=6, weight_decay=0.5, l2_sp=0.5),
        groups=[ParameterGroup(HEAD, is_new=True), ParameterGroup(BODY, starts_at=0.999)], device="cpu",
    )  # fmt: skip
    assert all(torch.equal(before[name], network.state_dict()[name]) for name in BODY)
    assert not torch.equal(before["head.weight"], network.head.weight)


def test_fp16_is_refused_on_a_cpu_and_scaled_where_it_is_had(tmp_path, monkeypatch):
    def trained(network: nn.Module, folder: Path | None, n_steps: int = 6, **options: Any) -> dict[str, torch.Tensor]:
        plan = None if folder is None else CheckpointPlan(folder, identity={}, every_steps=2)
        train(
            network, digit_batches(), loss=classification_loss(), recipe=Recipe(n_steps=6, micro_batch_size=5),
            checkpoints=plan, precision="fp16", device="cpu", **options,
        )  # fmt: skip
        return weights_of(network)

    with pytest.raises(UsageError, match="fp16"):
        trained(tiny_network(), None)
    monkeypatch.setattr(loop, "choose_precision", lambda device, wanted: Precision("fp16", "for the test"))
    whole = trained(tiny_network(), tmp_path / "c")
    assert not equal(whole, weights_of(tiny_network()))
    newest, _ = CheckpointPlan(tmp_path / "c", identity={}).files()
    newest.unlink()
    assert equal(trained(tiny_network(), tmp_path / "c", resume=True), whole)


def test_parts_of_processes_cover_the_batch_once():
    for n, size in ((1, None), (2, 3), (3, 2), (7, 1)):
        parts = [p for rank in range(n) for p in batch_parts(7, Processes(rank, n), size)]
        assert [i for part in parts for i in range(7)[part]] == list(range(7))
    with pytest.raises(UsageError, match="7 for 8 processes"):
        batch_parts(7, Processes(0, 8), None)


def test_errors_say_what_to_do():
    with pytest.raises(UsageError, match="at least one step"):
        Recipe(n_steps=0)
    with pytest.raises(ModelError, match="learning_rate="):
        train(
            tiny_network(),
            digit_batches(),
            loss=lambda net, batch: (net(batch["pixel_values"]).logits.sum() * float("nan"), torch.tensor(16)),
            recipe=Recipe(n_steps=2),
            device="cpu",
        )
    with pytest.raises(DataError, match="no target"):
        train(
            tiny_network(),
            digit_batches(),
            loss=lambda net, batch: (net(batch["pixel_values"]).logits.sum(), torch.tensor(0)),
            recipe=Recipe(n_steps=2),
            device="cpu",
        )
    with pytest.raises(ModelError, match="trainable"):
        train(
            tiny_network().requires_grad_(False),
            digit_batches(),
            loss=classification_loss(),
            recipe=Recipe(n_steps=2),
            device="cpu",
        )
