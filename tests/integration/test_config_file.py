"""`--config FILE.toml`: the file's options, flags winning; and the run's own config.toml repeats the run."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]


@pytest.fixture
def file(tmp_path: Path, pictures: Path, checkpoint: Path) -> Path:
    path = tmp_path / "c.toml"
    path.write_text(
        f"data = {str(pictures)!r}\nmodel = {str(checkpoint)!r}\nout = {str(tmp_path / 'run')!r}\n"
        "workers = 0\nfolds = 3\nseed = 5\nflip = false\n"
    )
    return path


def config_of(run: Path) -> dict[str, Any]:
    with open(run / "config.toml", "rb") as opened:
        return tomllib.load(opened)


def test_flags_win_over_the_file(here: Run, file: Path, tmp_path: Path) -> None:
    told = here("fit", "--config", file, "--folds", 4)
    assert told.code == 0, told.err
    config = config_of(tmp_path / "run")
    assert (config["folds"], config["seed"], config["flip"], config["workers"]) == (4, 5, False, 0)


def test_an_unknown_key_names_the_nearest(here: Run, file: Path) -> None:
    file.write_text(file.read_text() + "fold = 3\n")
    told = here("fit", "--config", file)
    assert told.code == 2
    assert "Did you mean 'folds'?" in told.err


def test_a_file_that_is_missing(here: Run, tmp_path: Path) -> None:
    assert here("fit", "--config", tmp_path / "none.toml").code == 2


def test_the_config_of_a_run_repeats_it(here: Run, finished: Path, tmp_path: Path) -> None:
    told = here("fit", "--config", finished / "config.toml", "--out", tmp_path / "again")
    assert told.code == 0, told.err
    first, second = (json.loads((run / "metrics.json").read_text()) for run in (finished, tmp_path / "again"))
    assert first["test"] == second["test"]
    assert config_of(tmp_path / "again") == config_of(finished) | {"out": str(tmp_path / "again")}
