"""A language model in two processes comes to what it comes to in one, packed or not; what cannot be shared is said."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as parquet
from rich.console import Console
from safetensors.numpy import load_file

import graft
from small_language import make_language, questions

LAB = Path(__file__).parent / "processes_lab.py"
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]


def test_two_processes_come_to_what_one_comes_to(environment: dict[str, str], tmp_path: Path) -> None:
    make_language(tmp_path / "m", n_places=320)
    (tmp_path / "data.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in questions(40)))
    common: dict[str, Any] = {
        "data": str(tmp_path / "data.jsonl"), "model": str(tmp_path / "m"), "epochs": 0.1, "fewest_steps": 6,
        "batch_size": 9, "precision": "fp32", "device": "cpu", "shots": 0, "general_text": "none", "generations": 4,
    }  # fmt: skip
    ways: dict[str, dict[str, Any]] = {"lora": {"packing": "off"}, "full": {"strategy": "full", "packing": "on"}}
    for name, way in ways.items():
        graft.fit(**common, **way, out=str(tmp_path / f"{name}-alone"), console=Console(quiet=True))
    calls = [{**common, **way, "out": name} for name, way in ways.items()]
    calls.append({**common, "out": "more", "more_data": True})
    process = subprocess.run(
        [*TORCHRUN, str(LAB), json.dumps(calls)], env=environment | {"OMP_NUM_THREADS": "1"}, cwd=tmp_path,
        capture_output=True, text=True, timeout=200, check=False,
    )  # fmt: skip
    assert process.returncode == 0, process.stderr
    for rank in (0, 1):
        errors = json.loads((tmp_path / f"rank-{rank}.json").read_text())
        assert errors[:2] == ["", ""]
        assert "2 processes for a language model" in errors[2]
    for name in ways:
        assert process.stdout.count(f"report: {name}/report.html") == 1
        runs = (tmp_path / name, tmp_path / f"{name}-alone")
        mine, theirs = (load_file(run / "model" / "model.safetensors") for run in runs)
        for key in theirs:
            np.testing.assert_allclose(mine[key], theirs[key], atol=1e-4, err_msg=key)
        losses = [parquet.read_table(run / "predictions.parquet")["loss"].to_numpy() for run in runs]
        np.testing.assert_allclose(losses[0], losses[1], rtol=1e-3)
        files = [sorted(str(path.relative_to(run)) for path in run.rglob("*")) for run in runs]
        assert files[0] == files[1]
