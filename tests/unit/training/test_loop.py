from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from runs import N_STEPS, digit_batches, run, tiny_network
from safetensors.torch import load_file
from torch import nn

from graft.core.errors import DataError, Interrupted, ModelError, UsageError
from graft.training.loop import train
from graft.training.losses import classification_loss
from graft.training.recipe import Recipe


class KilledError(Exception):
    pass


def equal(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize(
    ("optimizer", "precision", "steps"),
    [("adamw", "auto", (2, 7)), ("adamw", "fp32", (5, 13)), ("sgd", "auto", (4, 11))],
)
def test_a_resumed_run_equals_an_uninterrupted_one_bit_for_bit(tmp_path, optimizer, precision, steps):
    whole = run(None, optimizer=optimizer, precision=precision)

    def die_at(when: int):
        def check(step: int) -> None:
            if step == when:
                raise KilledError

        return check

    for resume, when in enumerate(steps):
        with pytest.raises(KilledError):
            run(tmp_path / "c", resume=bool(resume), on_step=die_at(when), optimizer=optimizer, precision=precision)
    asked: list[int] = []
    again = run(tmp_path / "c", resume=True, on_step=asked.append, optimizer=optimizer, precision=precision)
    assert equal(whole, again)
    assert asked[0] == steps[1] // 3 * 3  # it went on from the checkpoint, not from the start


def test_killed_with_sigkill_then_resumed(tmp_path):
    """As a user meets it: killed in one process, resumed in the next, beside a third that was left alone."""
    log = tmp_path / "log.jsonl"
    program = [sys.executable, str(Path(__file__).with_name("runs.py"))]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[3] / "src")}
    killed = [*program, str(tmp_path / "resumed"), str(tmp_path / "c"), str(log)]
    process = subprocess.Popen([*killed, "0.15"], env=environment)
    deadline = time.monotonic() + 120
    while not (log.exists() and len(log.read_text().splitlines()) >= 5) and time.monotonic() < deadline:
        assert process.poll() is None
        time.sleep(0.02)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert (tmp_path / "c").exists()
    for command in (killed, [*program, str(tmp_path / "whole")]):
        subprocess.run(command, env=environment, check=True, timeout=120)
    assert equal(load_file(tmp_path / "resumed"), load_file(tmp_path / "whole"))
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(1, N_STEPS + 1))
    assert set(lines[0]) == {"step", "loss", "learning_rate", "gradient_norm", "n", "seconds"}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_writes_a_checkpoint_and_raises_interrupted(tmp_path, number):
    before = signal.getsignal(number)

    def at(step: int) -> None:
        if step == 4:
            os.kill(os.getpid(), number)

    with pytest.raises(Interrupted, match=r"after step 5 of 14.*keeps"):
        run(tmp_path / "c", on_step=at)
    assert signal.getsignal(number) is before
    asked: list[int] = []
    assert equal(run(tmp_path / "c", resume=True, on_step=asked.append), run(None))
    assert asked[0] == 5


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
        def batch(self, step: int) -> dict[str, torch.Tensor]:
            return {name: torch.cat([t, t]) for name, t in digit_batches().batch(step).items()}

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
    network = tiny_network()
    network.convolution.requires_grad_(False)
    before = network.convolution.weight.clone()
    head = network.head.weight.clone()
    train(network, digit_batches(), loss=classification_loss(), recipe=Recipe(n_steps=3), device="cpu")
    assert torch.equal(network.convolution.weight, before)
    assert not torch.equal(network.head.weight, head)


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
