"""A run that was killed, anywhere, goes on to the same end as one that never was."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from rich.console import Console

import graft
from graft.api import tuning
from graft.core.errors import Interrupted, UsageError

LAB = Path(__file__).parent / "kill_lab.py"


def outcome(run: Path) -> tuple[dict[str, Any], pd.DataFrame, bytes]:
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics.pop("test_reads") >= 1
    assert metrics.pop("test_split_reads")["n_runs"] >= 1
    del metrics["seconds"]
    return metrics, pd.read_parquet(run / "predictions.parquet"), (run / "model" / "model.safetensors").read_bytes()


def assert_same(run: Path, reference: Path) -> None:
    mine, theirs = outcome(run), outcome(reference)
    assert mine[0] == theirs[0]
    pd.testing.assert_frame_equal(mine[1], theirs[1])
    assert mine[2] == theirs[2]
    assert not [path for path in run.rglob("*") if path.name.endswith(".partial")]


@pytest.fixture(scope="module")
def words(checkpoint: Path, pictures: Path) -> list[str]:
    return ["fit", str(pictures), "--model", str(checkpoint), "--workers", "0", "--batch-size", "4",
            "--strategy", "head"]  # fmt: skip


@pytest.fixture(scope="module")
def lab(environment: dict[str, str], words: list[str]) -> Callable[..., list[Any]]:
    """Run the same command again and again, each time killed in another way; return how each ended."""

    def run(out: Path, cache: Path, plan: list[dict[str, float]]) -> list[Any]:
        command = [*words, "--out", str(out), "--cache", str(cache)]
        done = subprocess.run(
            [sys.executable, str(LAB), json.dumps(command), json.dumps(plan)],
            capture_output=True, text=True, env=environment, timeout=300,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return list(json.loads(done.stdout.splitlines()[-1]))

    return run


@pytest.fixture(scope="module")
def never_killed(
    lab: Callable[..., list[Any]], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("whole")
    (ended,) = lab(folder / "run", folder / "cache", [{}])
    assert ended["code"] == 0
    assert ended["renames"] > 8
    return folder / "run", ended


def test_killed_before_every_file_that_is_put_in_place(
    lab: Callable[..., list[Any]], never_killed: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    """Every write ends in a rename; the run dies before its first, the next before its second, and so on."""
    reference, whole = never_killed
    plan = [{"rename": k} for k in range(1, whole["renames"] + 1)]
    ended = lab(tmp_path / "run", tmp_path / "cache", [*plan, {}])
    assert ended[-1]["code"] == 0, ended[-1]
    assert sum(one["code"] == -9 for one in ended) >= 5
    assert all(one["code"] in (-9, 0) for one in ended), ended
    assert_same(tmp_path / "run", reference)


def test_killed_before_one_rename_and_then_left_alone(
    lab: Callable[..., list[Any]], never_killed: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    reference, whole = never_killed
    for k in range(1, whole["renames"] + 1, 3):
        ended = lab(tmp_path / f"run{k}", tmp_path / f"cache{k}", [{"rename": k}, {}])
        assert [one["code"] for one in ended] == [-9, 0], (k, ended)
        assert_same(tmp_path / f"run{k}", reference)


def test_killed_at_random_moments(
    lab: Callable[..., list[Any]], never_killed: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    reference, whole = never_killed
    shares = [0.05, 0.3, 0.5, 0.6, 0.75, 0.9]
    ended = lab(tmp_path / "run", tmp_path / "cache", [*({"after_s": whole["seconds"] * s} for s in shares), {}])
    assert ended[-1]["code"] == 0, ended[-1]
    assert sum(one["code"] == -9 for one in ended) >= 2
    assert_same(tmp_path / "run", reference)


def test_resuming_a_finished_run_does_nothing(finished: Path, pictures: Path, checkpoint: Path, here: Any) -> None:
    before = {
        path: path.stat().st_mtime_ns for path in finished.rglob("*") if path.name not in ("log.txt", "config.toml")
    }
    told = here("fit", pictures, "--model", checkpoint, "--out", finished, "--workers", 0, "--resume")
    assert told.code == 0
    assert "is finished; nothing to do" in told.out
    assert before == {path: path.stat().st_mtime_ns for path in before}


def test_resuming_with_another_option_is_refused(finished: Path, pictures: Path, checkpoint: Path, here: Any) -> None:
    told = here("fit", pictures, "--model", checkpoint, "--out", finished, "--workers", 0, "--resume", "--views", 2)
    assert told.code == 2
    assert "views was 1, is now 2" in told.err
    assert (finished / "metrics.json").exists()


def test_resuming_a_run_that_never_began_begins_it(pictures: Path, checkpoint: Path, tmp_path: Path, here: Any) -> None:
    told = here("fit", pictures, "--model", checkpoint, "--out", tmp_path / "run", "--workers", 0, "--resume")
    assert told.code == 0
    assert (tmp_path / "run" / "metrics.json").exists()


def test_a_run_does_not_go_on_with_other_data(
    pictures: Path, checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Folds that are done would be joined with folds of other examples."""
    data = shutil.copytree(pictures, tmp_path / "data")
    options: dict[str, Any] = {
        "model": str(checkpoint), "out": tmp_path / "run", "cache": str(tmp_path / "cache"), "strategy": "lp-ft",
        "workers": 0, "console": Console(quiet=True), "fewest_steps": 8, "epochs": 0.5,
    }  # fmt: skip

    def stopped(*given: Any, **more: Any) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(tuning, "race_before_contest", stopped)
        with pytest.raises(Interrupted):
            graft.fit(data, **options)
    first, last = sorted(data.glob("*/*"))[0], sorted(data.glob("*/*"))[-1]
    kept = first.read_bytes()
    first.write_bytes(last.read_bytes())
    with pytest.raises(UsageError, match="begun with other examples"):
        graft.fit(data, resume=True, **options)
    first.write_bytes(kept)
    done = graft.fit(data, resume=True, **options)
    assert done.metrics["strategy"]["kept"] == "lp-ft"
    assert not (tmp_path / "run" / "training" / "identity.json").exists()
