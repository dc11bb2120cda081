"""Runs that were stopped, by a signal or without one, go on as if they had not been."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from runs import (
    N_RICH_STEPS,
    N_STEPS,
    Scripted,
    digit_batches,
    run,
    run_replica,
    run_rich,
    tiny_network,
    weights_of,
)
from safetensors import safe_open
from safetensors.torch import load_file

from graft.core.errors import Interrupted
from graft.training.checkpoints import CheckpointPlan
from graft.training.held_out import HeldOut
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


def program(*words: object) -> list[str]:
    return [sys.executable, str(Path(__file__).with_name("runs.py")), *map(str, words)]


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[3] / "src")}


def outcome_in(path: Path) -> tuple[dict[str, torch.Tensor], list[dict[str, Any]]]:
    with safe_open(path, framework="pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}, json.loads(file.metadata()["history"])  # noqa: SIM118


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_all_that_a_run_has_is_resumed_bit_for_bit(tmp_path, optimizer):
    """Held-out looks, average, pull to the start, micro-batches, late groups, missing targets; killed between parts."""
    whole, told = run_rich(None, n_steps=20, optimizer=optimizer)
    assert len(told.history) == 5
    for resume, when in enumerate((2, 6, 11, 18)):
        calls: list[int] = []

        def die(step: int, when: int = when, calls: list[int] = calls) -> None:
            calls.append(step)
            if calls.count(when) == 2:  # in the middle of a step
                raise KilledError

        with pytest.raises(KilledError):
            run_rich(tmp_path / "c", resume=bool(resume), on_step=die, n_steps=20, optimizer=optimizer)
    asked: list[int] = []
    again, told_again = run_rich(tmp_path / "c", resume=True, on_step=asked.append, n_steps=20, optimizer=optimizer)
    assert asked[0] == 18
    assert equal(whole, again)
    assert told_again.history == told.history
    assert (told_again.best_step, told_again.n_steps) == (told.best_step, 20)


def test_killed_with_sigkill_ten_times_on_end(tmp_path):
    """As a user meets it: each process goes on where the one before was killed, beside one that was left alone."""
    log, folder = tmp_path / "log.jsonl", tmp_path / "c"
    n_parts = 4  # batches of 16 in parts of 5
    chance = np.random.default_rng(0)
    whole = subprocess.Popen(program("rich", tmp_path / "whole"), env=environment())
    words = program("killed", tmp_path / "resumed", folder, log, *chance.integers(3 * n_parts + 1, 7 * n_parts, 10))
    told = subprocess.run(words, env=environment(), check=True, timeout=120, stdout=subprocess.PIPE, text=True)
    assert json.loads(told.stdout.splitlines()[-1]) == [-signal.SIGKILL] * 10
    assert 25 < len(log.read_text().splitlines()) < N_RICH_STEPS
    subprocess.run(program("rich", tmp_path / "resumed", folder, log), env=environment(), check=True, timeout=60)
    assert whole.wait(60) == 0
    (weights, history), (expected, expected_history) = (outcome_in(tmp_path / name) for name in ("resumed", "whole"))
    assert equal(weights, expected)
    assert history == expected_history
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(1, N_RICH_STEPS + 1))


def test_killed_with_sigkill_from_outside(tmp_path):
    log = tmp_path / "log.jsonl"
    words = (tmp_path / "resumed", tmp_path / "c", log)
    process = subprocess.Popen(program("plain", *words, 0.1), env=environment())
    deadline = time.monotonic() + 60
    while not (log.exists() and len(log.read_text().splitlines()) >= 5) and time.monotonic() < deadline:
        assert process.poll() is None
        time.sleep(0.02)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert list((tmp_path / "c").iterdir())
    # The run that is left alone has a process of its own as well: with another number of threads sums round otherwise,
    # and tests of this long-lived process may have changed that number.
    for command in (
        program("plain", *words, 0),
        program("plain", tmp_path / "whole", tmp_path / "c2", tmp_path / "l2", 0),
    ):
        subprocess.run(command, env=environment(), check=True, timeout=60)
    assert equal(load_file(tmp_path / "resumed"), load_file(tmp_path / "whole"))
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(1, N_STEPS + 1))
    assert set(lines[0]) == {"step", "loss", "learning_rate", "gradient_norm", "n", "seconds"}


def test_two_processes_equal_one(tmp_path):
    """Batches of 7 in parts of 3, so that one process has one part and the other two; some targets are missing."""
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    launch = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone"]
    subprocess.run([*launch, *program("replicas", tmp_path / "two")[1:]], env=environment(), check=True, timeout=120)
    for optimizer in ("sgd", "adamw"):
        (tmp_path / "one" / optimizer).mkdir()
        one, told = run_replica(tmp_path / "one" / optimizer, optimizer=optimizer)
        place = tmp_path / "two" / optimizer
        (first, history), (second, other_history) = (outcome_in(place / f"weights-{rank}") for rank in (0, 1))
        assert equal(first, second)
        assert history == other_history
        assert not equal(one, weights_of(tiny_network()))
        for name, tensor in one.items():
            torch.testing.assert_close(first[name], tensor, rtol=0, atol=1e-6)
        assert [line["step"] for line in history] == [line["step"] for line in told.history] == [4, 8, 12]
        for line, expected in zip(history, told.history, strict=True):
            assert line["log_loss"] == pytest.approx(expected["log_loss"], abs=1e-6)
        lines, expected_lines = (
            [json.loads(text) for text in (folder / "log.jsonl").read_text().splitlines()]
            for folder in (place, tmp_path / "one" / optimizer)
        )
        assert [line["step"] for line in lines] == list(range(1, 13))  # written once
        assert [line["n"] for line in lines] == [line["n"] for line in expected_lines]
        for line, expected in zip(lines, expected_lines, strict=True):
            assert (line["loss"], line["gradient_norm"]) == pytest.approx((expected["loss"], expected["gradient_norm"]))


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


@pytest.mark.parametrize("on_improvement", [True, False])
def test_a_better_look_writes_a_checkpoint(tmp_path, on_improvement):
    plan = CheckpointPlan(tmp_path / "c", identity={}, every_s=None, on_improvement=on_improvement, keep_last=9)
    train(
        tiny_network(), digit_batches(), loss=classification_loss(), recipe=Recipe(n_steps=8),
        held_out=HeldOut(Scripted([0.9, 1.0, 0.5, 0.6]), every_steps=2), checkpoints=plan, device="cpu",
    )  # fmt: skip
    assert [int(path.stem[5:]) for path in plan.files()] == ([6, 2] if on_improvement else [])


def test_where_the_newest_checkpoint_is_damaged_the_run_goes_on_from_the_one_before(tmp_path):
    whole, told = run_rich(None, n_steps=12)
    log = tmp_path / "log.jsonl"

    def die(step: int) -> None:
        if step == 10:
            raise KilledError

    with pytest.raises(KilledError):
        run_rich(tmp_path / "c", on_step=die, log=log, n_steps=12)
    newest, before = CheckpointPlan(tmp_path / "c", identity={}).files()
    assert (newest.name, before.name) == ("step-00000009.safetensors", "step-00000006.safetensors")
    newest.write_bytes(newest.read_bytes()[:-100])
    asked: list[int] = []
    again, told_again = run_rich(tmp_path / "c", resume=True, on_step=asked.append, log=log, n_steps=12)
    assert asked[0] == 6
    assert equal(whole, again)
    assert told_again.history == told.history
    assert [json.loads(line)["step"] for line in log.read_text().splitlines()] == list(range(1, 13))
