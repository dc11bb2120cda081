"""`graft rank` from data to table and JSON, on little pictures and tiny networks."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from graft.api.rank import overrun, rank
from graft.core.errors import Interrupted
from small_things import make_checkpoint


def test_rank_compares_the_checkpoints_of_a_folder(here: Callable[..., Any], divided: Path, tmp_path: Path) -> None:
    for seed in (0, 1):
        make_checkpoint(tmp_path / "models" / f"tiny{seed}", seed=seed)
    told = here("rank", divided, "--models", tmp_path / "models", "--offline", "--json", tmp_path / "rank.json")
    assert told.code == 0, told.err
    found = json.loads((tmp_path / "rank.json").read_text(encoding="utf-8"))
    names = [row["name"] for row in found["standings"]]
    assert {Path(name).name for name in names} == {"tiny0", "tiny1"}
    assert found["best"] == names[0]
    assert found["n_examples"] == 24  # train alone: the 15 test pictures are not looked at
    assert [row["n"] for row in found["standings"]] == [24, 24]
    assert len(found["pairs"]) == 1
    assert "log-loss" in told.out
    assert found["final"]["n_steps"] == 25  # the two can't be told apart by 24 examples: a quarter of 100 steps each
    assert {found["final"]["first"], found["final"]["second"]} == set(names)
    if found["final"]["is_turned"]:  # what the choice by features is worth is the other's
        assert found["selection_bias"] is None
    else:
        assert found["selection_bias"]["n_candidates"] == 2
    told = here("rank", divided, "--models", tmp_path / "models", "--offline", "--race", "none", "--json",
                tmp_path / "rank.json")  # fmt: skip
    assert told.code == 0, told.err
    assert json.loads((tmp_path / "rank.json").read_text(encoding="utf-8"))["final"] is None


def test_rank_holds_a_test_split_out_where_none_is_given(
    here: Callable[..., Any], pictures: Path, tmp_path: Path, checkpoint: Path
) -> None:
    told = here("rank", pictures, "--models", checkpoint, "--offline", "--json", tmp_path / "rank.json")
    assert told.code == 0, told.err
    found = json.loads((tmp_path / "rank.json").read_text(encoding="utf-8"))
    assert 24 <= found["n_examples"] < 36
    assert "only candidate" in found["told"][0]


def test_a_budget_that_was_overrun_is_told() -> None:
    def ranking(seconds: float) -> Any:
        standings = [SimpleNamespace(name="one", seconds=0.8 * seconds), SimpleNamespace(name="two", seconds=1.0)]
        return SimpleNamespace(seconds=seconds, standings=standings, final=None)

    assert overrun(ranking(20.0), 20.0) is None
    told = "the ranking took 27 s of 20 s: one alone took 22 s, a look at a network is not broken off"
    assert overrun(ranking(27.0), 20.0) == told
    with_final = ranking(27.0)
    with_final.final = SimpleNamespace(seconds=18.0)
    told = "the ranking took 27 s of 20 s: the short fine-tuning of the first two took 18 s"
    assert overrun(with_final, 20.0) == told


def test_pictures_that_cannot_be_read_have_no_part_in_a_ranking(
    here: Callable[..., Any], pictures: Path, checkpoint: Path, tmp_path: Path
) -> None:
    data = shutil.copytree(pictures, tmp_path / "data")
    broken = sorted(data.glob("*/*"))[::12]
    for path in broken:
        path.write_bytes(b"no picture")
    words = ("rank", data, "--models", checkpoint, f"{checkpoint}/", "--offline", "--race", "none", "--json")
    told = here(*words, tmp_path / "rank.json", "--skip-unreadable", "--test-fraction", 0.1)
    assert told.code == 0, told.err
    found = json.loads((tmp_path / "rank.json").read_text(encoding="utf-8"))
    assert len(found["standings"]) == 1, "a folder that is named in two ways is ranked once"
    skipped = re.search(r"(\d+) unreadable pictures? of train skipped", " ".join(told.out.split()))
    assert skipped
    assert found["standings"][0]["n"] == found["n_examples"] - int(skipped[1])


def test_ctrl_c_ends_a_ranking_in_its_final_too(divided: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import graft.api.finalists

    def stopped(*given: Any, **more: Any) -> Any:
        raise Interrupted("stopped")

    for seed in (0, 1):
        make_checkpoint(tmp_path / "models" / f"tiny{seed}", seed=seed)
    monkeypatch.setattr(graft.api.finalists, "final_of", stopped)
    with pytest.raises(Interrupted, match="stopped"):
        rank(divided, models=[tmp_path / "models"], offline=True, workers=0, console=Console(quiet=True))


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--budget", "soon"), 2, "--budget soon"),
        (("--budget", "5"), 2, "--budget 5 (Python: budget=)"),
        (("--models", "nobody/has-this", "--offline"), 2, "no pretrained model of pictures is left"),
        (("--models", "nobody/has-this", "--offline"), 2, "left out: nobody/has-this (not on this disk)"),
        (("--catalog", "--licence", "no-such-licence"), 2, "no pretrained model of pictures is left"),
    ],
)
def test_what_cannot_be_ranked_is_said(
    here: Callable[..., Any], divided: Path, words: tuple[str, ...], code: int, said: str
) -> None:
    told = here("rank", divided, *words)
    assert told.code == code
    assert said in told.err
    assert "To fix" in told.err or "Expected" in told.err
    advice = "or leave"
    assert (advice in told.err) == ("--offline" in words or "--licence" in words)
    assert f"{advice} --offline away" in told.err or "--offline" not in words
    assert f"{advice} --licence away" in told.err or "--licence" not in words
