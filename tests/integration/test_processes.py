"""Two processes, as torchrun and accelerate start them, come to what one comes to; they end together and speak once."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load_file

from small_things import make_folders

LAB = Path(__file__).parent / "processes_lab.py"
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
ACCELERATE = [sys.executable, "-m", "accelerate.commands.accelerate_cli", "launch", "--num_processes", "2",
              "--main_process_port", "0"]  # fmt: skip
OPTIONS: dict[str, Any] = {"workers": 0, "epochs": 2, "fewest_steps": 24, "precision": "fp32", "ema_decay": 0.9,
                           "l2_sp": 0.1}  # fmt: skip
Run = Callable[..., Any]


@pytest.fixture(scope="module")
def thirty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three colours, 10 pictures each."""
    return make_folders(tmp_path_factory.mktemp("thirty"), 10, seed=6)


@pytest.fixture(scope="module")
def alone(thirty: Path, checkpoint: Path, cache: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Runs of one process, by strategy."""
    from rich.console import Console

    from graft.api.fit import fit

    folder = tmp_path_factory.mktemp("alone")
    for strategy in ("head", "lp-ft"):
        fit(thirty, model=str(checkpoint), out=folder / strategy, strategy=strategy, console=Console(quiet=True),
            cache=str(cache), **OPTIONS)  # fmt: skip
    return {strategy: folder / strategy for strategy in ("head", "lp-ft")}


@pytest.fixture
def start(environment: dict[str, str], tmp_path: Path) -> Callable[..., subprocess.Popen[str]]:
    """Start a launcher in a folder and with a feature cache of its own."""

    def begin(*words: object) -> subprocess.Popen[str]:
        own = environment | {"OMP_NUM_THREADS": "1", "GRAFT_CACHE": str(tmp_path / "cache")}
        return subprocess.Popen(list(map(str, words)), env=own, cwd=tmp_path, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True)  # fmt: skip

    return begin


def words_of(strategy: str) -> list[str]:
    options = {"strategy": strategy, **OPTIONS}
    return [word for name, value in options.items() for word in (f"--{name.replace('_', '-')}", str(value))]


def assert_same(mine: Path, theirs: Path) -> None:
    """Check files, predictions within 1e-3, weights within 1e-5, and that the log has each sentence once."""
    files = [sorted(str(path.relative_to(run)) for path in run.rglob("*")) for run in (mine, theirs)]
    assert files[0] == files[1]
    first, second = (pd.read_parquet(run / "predictions.parquet") for run in (mine, theirs))
    is_number = [name for name in first if name.startswith("p_")]
    pd.testing.assert_frame_equal(first, second, check_exact=False, atol=1e-3, rtol=0)
    assert len(is_number) == 3
    weights, others = (load_file(run / "model/model.safetensors") for run in (mine, theirs))
    assert weights.keys() == others.keys()
    for name in weights:
        np.testing.assert_allclose(weights[name], others[name], atol=1e-5, err_msg=name)


def sentences(run: Path) -> list[str]:
    return [line.partition(" ")[2] for line in (run / "log.txt").read_text(encoding="utf-8").splitlines()]


def test_two_processes_come_to_what_one_comes_to(
    alone: dict[str, Path], start: Run, thirty: Path, checkpoint: Path, tmp_path: Path
) -> None:
    common = {"data": str(thirty), "model": str(checkpoint), **OPTIONS}
    calls = [
        {**common, "out": "head", "strategy": "head"},
        {**common, "out": "lp-ft", "strategy": "lp-ft"},
        {**common, "out": "lp-ft", "strategy": "lp-ft", "resume": True},
        {**common, "out": "small", "batch_size": 1},
    ]
    process = start(*TORCHRUN, LAB, json.dumps(calls))
    said, error = process.communicate(timeout=120)
    assert process.returncode == 0, error
    for strategy in ("head", "lp-ft"):
        assert_same(tmp_path / strategy, alone[strategy])
        told = sentences(tmp_path / strategy)
        assert len(told) == len(set(told))
        assert said.count(f"report: {strategy}/report.html") == 1
    assert "30 pictures computed" in " ".join(sentences(tmp_path / "head"))  # by both
    assert said.count("is finished; nothing to do") == 1
    for rank in (0, 1):
        errors = json.loads((tmp_path / f"rank-{rank}.json").read_text())
        assert errors[:3] == ["", "", ""]
        assert "--batch-size 1 with 2 processes" in errors[3]
    assert not (tmp_path / "small").exists()


def test_interrupted_in_replicas_and_resumed_in_shards(
    alone: dict[str, Path], start: Run, thirty: Path, checkpoint: Path, tmp_path: Path
) -> None:
    """Checkpoints of replicas are gone on with in shards (FSDP), as `accelerate launch --use_fsdp` asks for them."""
    words = ["-m", "graft", "fit", thirty, "--model", checkpoint, "--out", "run", *words_of("lp-ft")]
    process = start(*TORCHRUN, *words)
    log = tmp_path / "run/training/fold-2/steps.jsonl"
    until = time.monotonic() + 100
    while not (log.exists() and len(log.read_text().splitlines()) > 5) and time.monotonic() < until:
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGTERM)
    _, error = process.communicate(timeout=60)
    assert process.returncode != 0
    assert error.count("interrupted: ") == 1, error
    assert "--resume" in error
    assert list((tmp_path / "run/training").glob("fold-*/checkpoints/step-*.safetensors"))
    process = start(*ACCELERATE, "--use_fsdp", "--fsdp_version", "2", *words, "--resume")
    _, error = process.communicate(timeout=120)
    assert process.returncode == 0, error
    assert_same(tmp_path / "run", alone["lp-ft"])


def test_an_error_of_any_process_ends_all_and_is_told_once(
    start: Run, thirty: Path, checkpoint: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(thirty, broken)
    (broken / "red" / "09.png").write_bytes(b"the last picture: the second process's")
    for data, code, expected in (("nowhere", 3, "nowhere"), (broken, 3, "red/09.png cannot be read as a picture")):
        process = start(*TORCHRUN, "-m", "graft", "fit", data, "--model", checkpoint, "--out", "run", "--overwrite",
                        "--workers", 0, "--batch-size", 4)  # fmt: skip
        _, error = process.communicate(timeout=60)
        assert process.returncode != 0
        own = error.partition("Traceback")[0]  # the launcher's
        assert own.count("error: ") == 1, error
        assert expected in own
        assert f"exitcode: {code}" in error or f"exitcode  : {code}" in error
        assert "graft/api" not in error  # no traceback of ours
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == ["config.toml", "log.txt"]
