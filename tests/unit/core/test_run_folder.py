from __future__ import annotations

import os
import tomllib
from pathlib import Path

import pytest

from graft.core.errors import ResourceError, UsageError
from graft.core.files import read_json, write_json
from graft.core.run_folder import RUN_FORM, Run

CONFIG = {"data": "d", "model": "m", "views": 1, "weights": None}


def open_run(folder: Path, *, resume: bool = False, overwrite: bool = False, **changes: object) -> Run:
    return Run.open(folder, {**CONFIG, **changes}, resume=resume, overwrite=overwrite)


def test_a_new_run_keeps_its_options(tmp_path: Path) -> None:
    run = open_run(tmp_path / "a" / "run")
    assert not run.is_resumed
    assert not run.is_finished
    with open(run.folder / "config.toml", "rb") as file:
        assert tomllib.load(file) == {"data": "d", "model": "m", "views": 1}


def test_an_empty_folder_is_as_good_as_none(tmp_path: Path) -> None:
    assert not open_run(tmp_path).is_resumed


def test_a_run_is_not_written_over_unasked(tmp_path: Path) -> None:
    open_run(tmp_path)
    (tmp_path / "training").mkdir()
    with pytest.raises(UsageError) as caught:
        open_run(tmp_path)
    for word in ("--resume", "--overwrite", "resume=True", "overwrite=True"):
        assert word in caught.value.fix


def test_a_mistake_that_ended_a_run_at_once_asks_for_no_word_on_it(tmp_path: Path) -> None:
    open_run(tmp_path).logger(lambda text: None)("reading the data")
    again = open_run(tmp_path, views=2)
    assert not again.is_resumed
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.toml"]


@pytest.mark.parametrize("choice", ["neither", "resume", "overwrite"])
def test_a_folder_of_something_else_is_never_touched(tmp_path: Path, choice: str) -> None:
    (tmp_path / "thesis.tex").write_text("years")
    with pytest.raises(UsageError, match="is no run of Graft"):
        open_run(tmp_path, resume=choice == "resume", overwrite=choice == "overwrite")
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_file_in_the_place_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("")
    with pytest.raises(UsageError, match="is no run of Graft"):
        open_run(tmp_path / "run", overwrite=True)


def test_resuming_with_other_options_is_refused_and_named(tmp_path: Path) -> None:
    open_run(tmp_path)
    assert open_run(tmp_path, resume=True).is_resumed
    with pytest.raises(UsageError, match="views was 1, is now 2"):
        open_run(tmp_path, resume=True, views=2)
    with pytest.raises(UsageError, match="weights was None, is now 'w'"):
        open_run(tmp_path, resume=True, weights="w")


def test_overwriting_clears_what_is_ours_and_keeps_what_is_not(tmp_path: Path) -> None:
    run = open_run(tmp_path)
    write_json(tmp_path / "metrics.json", {})
    run.count_test_read()
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "old").write_text("")
    (tmp_path / "notes.md").write_text("mine")
    assert open_run(tmp_path, resume=True).is_finished
    again = open_run(tmp_path, overwrite=True, views=3)
    assert not again.is_finished
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.toml", "notes.md"]


def test_a_folder_that_may_not_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The system's answer is given by hand: the superuser, who runs the tests in containers, may write everywhere."""
    monkeypatch.setattr(os, "access", lambda place, mode: False)
    with pytest.raises(ResourceError, match="cannot be written"):
        open_run(tmp_path / "run")
    assert not (tmp_path / "run" / "config.toml").exists()


def test_a_folder_below_a_file_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ResourceError, match="cannot be written"):
        open_run(tmp_path / "file" / "run")


def test_phases_add_up_and_count_what_failed_too(tmp_path: Path) -> None:
    run = open_run(tmp_path)

    def fail() -> None:
        with run.phase("b"):
            raise KeyError

    with run.phase("a"):
        pass
    first = run.seconds["a"]
    with run.phase("a"):
        pass
    with pytest.raises(KeyError):
        fail()
    assert run.seconds["a"] > first > 0
    assert list(run.seconds) == ["a", "b"]


def test_the_log_grows_and_shows(tmp_path: Path) -> None:
    shown: list[str] = []
    for text in ("one", "zwei é"):
        open_run(tmp_path, resume=True).logger(shown.append)(text)
    assert shown == ["one", "zwei é"]
    lines = (tmp_path / "log.txt").read_text(encoding="utf-8").splitlines()
    assert [line.split(" ", 1)[1] for line in lines] == shown
    assert all("+00:00 " in line for line in lines)


def test_readings_of_the_test_split_are_counted_over_processes(tmp_path: Path) -> None:
    assert open_run(tmp_path).count_test_read() == 1
    assert open_run(tmp_path, resume=True).count_test_read() == 2


def test_a_run_keeps_what_tells_it_apart_until_it_is_begun_anew(tmp_path: Path) -> None:
    run = open_run(tmp_path)
    run.count_test_read()
    own = run.identity
    assert open_run(tmp_path, resume=True).identity == own
    assert open_run(tmp_path, resume=True).count_test_read() == 2
    assert open_run(tmp_path, overwrite=True).identity != own


def test_the_manifest_says_form_versions_and_facts(tmp_path: Path) -> None:
    written = open_run(tmp_path).write_manifest({"seed": 7})
    assert read_json(tmp_path / "manifest.json") == written
    assert written["form"] == RUN_FORM
    assert written["seed"] == 7
    assert {"graft", "python", "torch", "transformers", "numpy"} <= written["versions"].keys()
    assert written["peak_memory_mib"] > 1


@pytest.mark.parametrize("resume", [False, True])
def test_what_a_killed_process_left_half_written_is_swept_away(tmp_path: Path, resume: bool) -> None:
    (tmp_path / ".config.toml.77.partial").write_text("mod")
    assert not open_run(tmp_path, resume=resume).is_resumed
    assert [path.name for path in tmp_path.iterdir()] == ["config.toml"]
