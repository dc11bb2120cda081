"""`graft find-lr`, and races before the contest of `fit`."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import graft
from small_things import make_folders

Run = Callable[..., Any]
QUICK = ("--workers", 0, "--epochs", 1, "--fewest-steps", 24, "--device", "cpu", "--precision", "fp32")


@pytest.fixture(scope="module")
def forty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three colours, 14 pictures each."""
    return make_folders(tmp_path_factory.mktemp("forty"), 14, seed=5)


def read_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def test_a_rate_is_found_and_a_second_call_runs_nothing(
    here: Run, forty: Path, checkpoint: Path, tmp_path: Path
) -> None:
    words = ("find-lr", forty, "--model", checkpoint, "--out", tmp_path / "lr", "--cache", tmp_path / "cache", *QUICK)
    told = here(*words)
    assert told.code == 0, told.err
    found = read_json(tmp_path / "lr" / "learning_rate.json")
    rates = [row["learning_rate"] for row in found["standings"]]
    assert len(rates) == 5
    assert max(rates) / min(rates) == pytest.approx(100)
    assert min(rates) <= found["learning_rate"] <= max(rates)
    assert 2 <= found["selection"]["n_candidates"] <= 5  # without those that larger rates left behind, not losses
    assert found["selection"]["corrected"]["value"] <= found["selection"]["plain"] + 0.1
    assert "corrected for the choice" in told.out.replace("\n", " ")
    assert "runs of 10 steps are too short to tell rates apart" in " ".join(told.out.split())
    page = (tmp_path / "lr" / "report.html").read_text(encoding="utf-8")
    assert page.count("<circle") >= 5
    assert "http" not in page.replace("http-equiv", "")
    trials = sorted((tmp_path / "lr" / "trials").glob("*.npz"))
    times = [path.stat().st_mtime_ns for path in trials]
    again = here(*words)
    assert again.code == 0, again.err
    assert [path.stat().st_mtime_ns for path in trials] == times
    assert read_json(tmp_path / "lr" / "learning_rate.json")["learning_rate"] == found["learning_rate"]
    changed = shutil.copytree(forty, tmp_path / "forty")
    first = sorted(changed.glob("*/*"))[0]
    shutil.copy(sorted(changed.glob("*/*"))[-1], first)
    here("find-lr", changed, *words[2:])
    other = here("find-lr", changed, *words[2:])
    assert other.code == 2, "a rate of other pictures is not this one's"
    other = here(*words, "--batch-size", 7)
    assert other.code == 2
    assert "trials of a race with other data, model or options" in other.err


def test_two_processes_and_python_find_the_same(forty: Path, checkpoint: Path, tmp_path: Path) -> None:
    common: dict[str, Any] = {
        "model": str(checkpoint), "cache": str(tmp_path / "cache"), "workers": 0, "epochs": 1.0, "fewest_steps": 24,
        "device": "cpu", "precision": "fp32", "strategy": "lora",
    }  # fmt: skip
    one = graft.find_learning_rate(forty, out=tmp_path / "one", **common)
    two = graft.find_learning_rate(forty, out=tmp_path / "two", jobs=2, **common)
    assert one.learning_rate == two.learning_rate
    assert one.facts["method"] == "lora"


@pytest.mark.parametrize("verb", ["find-lr", "fit"])
def test_a_command_that_ends_at_once_leaves_no_folder(here: Run, forty: Path, tmp_path: Path, verb: str) -> None:
    told = here(verb, forty, "--model", tmp_path / "none", "--out", tmp_path / "new" / "run", "--offline")
    assert told.code in (2, 4), told.err
    assert not list(tmp_path.iterdir())


def test_the_head_has_no_rate(here: Run, forty: Path, checkpoint: Path, tmp_path: Path) -> None:
    told = here("find-lr", forty, "--model", checkpoint, "--out", tmp_path / "lr", "--strategy", "head")
    assert told.code == 2
    assert "--strategy lp-ft (Python: strategy='lp-ft')" in told.err


def test_a_race_precedes_the_contest_where_it_is_asked_for(
    here: Run, forty: Path, checkpoint: Path, tmp_path: Path
) -> None:
    words = ("fit", forty, "--model", checkpoint, "--cache", tmp_path / "cache", "--corruptions", "none", *QUICK)
    told = here(*words, "--out", tmp_path / "all", "--race", "all", "--strategy", "auto")
    assert told.code == 0, told.err
    found = read_json(tmp_path / "all" / "strategy.json")
    race = found["race"]
    assert race["kind"] == "all"
    names = [row["name"] for row in race["standings"]]
    assert {name.split(",")[0].split(" ")[0] for name in names} == {"lora", "partial", "lp-ft", "full"}
    assert {"none", "light", "medium", "strong"} <= {name.split(", ")[1].split(" at ")[0] for name in names}
    assert len(names) > 10
    assert len(names) - 3 <= race["selection"]["n_candidates"] <= len(names)  # not those left behind for larger rates
    assert found["method"] in names[0] or found.get("contenders")
    page = (tmp_path / "all" / "report.html").read_text(encoding="utf-8")
    assert 'id="race"' in page
    assert "corrected for the choice" in page
    assert not (tmp_path / "all" / "training" / "race").exists()
    assert "race" in read_json(tmp_path / "all" / "metrics.json")["strategy"]

    told = here(*words, "--out", tmp_path / "none", "--strategy", "lp-ft")
    assert told.code == 0, told.err
    assert "race" not in read_json(tmp_path / "none" / "strategy.json"), "without a limit a fit is as fast as it was"
    assert "The prior of the architecture was taken" in (tmp_path / "none" / "report.html").read_text(encoding="utf-8")
    claims = read_json(tmp_path / "none" / "metrics.json")["claims"]
    flattery = next(claim for claim in claims if claim["name"] == "selection_flatters")
    assert flattery["evidence"]["n_candidates"] == 6, "the probe and five shares of the way"


def test_a_time_limit_with_room_lets_rates_race(here: Run, forty: Path, checkpoint: Path, tmp_path: Path) -> None:
    words = ("fit", forty, "--model", checkpoint, "--cache", tmp_path / "cache", "--corruptions", "none", *QUICK)
    told = here(*words, "--out", tmp_path / "run", "--strategy", "lp-ft", "--time-limit", "1h")
    assert told.code == 0, told.err
    found = read_json(tmp_path / "run" / "strategy.json")
    assert found["race"]["kind"] == "rate"
    assert found["learning_rate"] == pytest.approx(found["race"]["learning_rate"])
