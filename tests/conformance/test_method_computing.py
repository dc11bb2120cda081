"""One result of a method, however it is computed: in micro-batches, two processes, or killed and resumed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from conformance.method_checks import changed, is_idle
from conformance.small_methods import (
    METHODS,
    SMALL,
    Small,
    settings,
    weights_of,
)
from conformance.two_processes import run_all
from graft.core.processes import Processes

ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "1", "PYTHONWARNINGS": "ignore"}
PROGRAMS = Path(__file__).parent
METHOD_NAMES = pytest.mark.parametrize("name", METHODS)


@METHOD_NAMES
def test_four_micro_batches_are_one_batch(small: Small, name: str, tmp_path: Path) -> None:
    whole, parts = (
        small.tune(METHODS[name](settings(micro_batch_size=size, learning_rate=1e-3)), folder=tmp_path / str(size))
        for size in (None, 2)
    )
    for key, tensor in weights_of(whole.network).items():
        if is_idle(key):
            continue
        size = max(1.0, float(tensor.abs().max()))  # heads of small features are large
        torch.testing.assert_close(weights_of(parts.network)[key], tensor, rtol=0, atol=1e-5 * size, msg=key)


def test_two_processes_are_one(checkpoints: dict[str, Path], tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    two.mkdir()
    launch = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone"]
    words = [str(PROGRAMS / "two_processes.py"), str(checkpoints["resnet"]), str(two)]
    run_all(checkpoints["resnet"], one, Processes())  # first, since of two processes only one may write checkpoints
    subprocess.run([*launch, *words], env=ENVIRONMENT, check=True, timeout=500)
    files = sorted(path.name for path in one.glob("*.safetensors"))
    assert files == sorted(path.name for path in two.glob("*.safetensors"))
    assert len(files) == len(METHODS) * len(SMALL)
    for file in files:
        found = load_file(two / file)
        for key, tensor in load_file(one / file).items():
            if is_idle(key):
                continue
            size = max(1.0, float(tensor.abs().max()))
            torch.testing.assert_close(found[key], tensor, rtol=0, atol=1e-5 * size, msg=f"{file}: {key}")


def test_runs_that_were_killed_at_random_end_as_if_they_had_not_been(
    checkpoints: dict[str, Path], tmp_path: Path
) -> None:
    """Two kills a method, somewhere in its steps and looks; GRAFT_KILL_SEED draws others."""
    seed = os.environ.get("GRAFT_KILL_SEED", "0")
    words = [str(PROGRAMS / "killed_methods.py"), str(checkpoints["resnet"]), str(tmp_path), seed]
    told = subprocess.run(
        [sys.executable, *words], env=ENVIRONMENT, check=True, timeout=500, stdout=subprocess.PIPE, text=True
    )
    ended = json.loads(told.stdout.splitlines()[-1])
    assert set(ended) == {f"{task} {name}" for task in SMALL for name in METHODS}
    assert set(map(tuple, ended.values())) == {(0, -9, -9, 0)}
    for name in ended:
        whole, resumed = (tmp_path / f"{name} {word}.safetensors" for word in ("undisturbed", "resumed"))
        assert changed(load_file(whole), load_file(resumed)) == set(), name
        assert history(whole) == history(resumed), name


def history(path: Path) -> Any:
    with safe_open(path, framework="pt") as file:
        return json.loads(file.metadata()["history"])
