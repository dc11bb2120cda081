"""`graft fit` with a folder of models in place of one: the first of a ranking is taken."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from graft.api.config import FitConfig
from graft.api.model_choice import choose_model
from graft.core.errors import UsageError
from graft.core.processes import Processes
from graft.core.run_folder import Run
from small_things import make_folders

Here = Callable[..., Any]
QUICK = ("--workers", 0, "--device", "cpu", "--precision", "fp32")


@pytest.fixture(scope="module")
def forty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three colours, 14 pictures each."""
    return make_folders(tmp_path_factory.mktemp("forty"), 14, seed=5)


@pytest.fixture(scope="module")
def models(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a checkpoint, one that is blind to its pictures, and one that is broken."""
    import shutil

    import torch
    from transformers import AutoModelForImageClassification

    place = tmp_path_factory.mktemp("models")
    shutil.copytree(checkpoint, place / "seeing")
    shutil.copytree(checkpoint, place / "blind")
    network = AutoModelForImageClassification.from_pretrained(checkpoint)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
    network.save_pretrained(place / "blind")
    shutil.copytree(checkpoint, place / "broken")
    (place / "broken" / "model.safetensors").write_bytes(b"no weights")
    return place


def test_the_better_one_is_first_and_the_test_split_is_left_alone(
    here: Here, forty: Path, models: Path, tmp_path: Path
) -> None:
    told = here("rank", forty, "--models", models, "--json", tmp_path / "r.json", "--cache", tmp_path / "cache", *QUICK)
    assert told.code == 0, told.err
    found = json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))
    names = [Path(row["name"]).name for row in found["standings"]]
    assert names == ["seeing", "blind"]
    assert Path(found["best"]).name == "seeing"
    assert [Path(row["name"]).name for row in found["left_out"]] == ["broken"]
    assert found["n_examples"] < 42  # some are left for a test
    first, second = found["standings"]
    assert first["log_loss"]["value"] < second["log_loss"]["value"]
    assert first["accuracy"]["low"] < first["accuracy"]["value"] < first["accuracy"]["high"]
    assert "seeing is better than every other" in " ".join(told.out.split())


def test_fit_takes_the_first_and_the_report_says_so(here: Here, forty: Path, models: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    told = here(
        "fit", forty, "--model", models, "--out", run, "--cache", tmp_path / "cache", "--strategy", "head", *QUICK
    )
    assert told.code == 0, told.err
    assert " ".join(told.out.split()).count("held out before models are ranked") == 1
    metrics = json.loads((run / "metrics.json").read_text(encoding="utf-8"))
    assert Path(metrics["ranking"]["best"]).name == "seeing"
    report = (run / "report.html").read_text(encoding="utf-8")
    assert "Which pretrained model" in report
    table = pd.read_parquet(run / "predictions.parquet")
    assert (
        int((table["split"] == "test").sum()) == 42 - metrics["ranking"]["n_examples"]
    )  # those that the ranking left alone
    assert (run / "model" / "model.safetensors").is_file()
    again = here("fit", forty, "--model", models, "--out", run, "--cache", tmp_path / "cache", "--strategy", "head",
                 "--resume", *QUICK)  # fmt: skip
    assert again.code == 0
    assert "nothing to do" in again.out


def test_several_processes_do_not_each_choose(models: Path) -> None:
    with pytest.raises(UsageError, match="2 processes"):
        choose_model(
            "data", FitConfig(model=str(models), out="run"), Run(Path("run"), {}, is_resumed=False), Processes(0, 2),
            say=print,
        )  # fmt: skip


def test_a_resumed_run_keeps_its_model_and_a_limit_counts_the_ranking_once(
    forty: Path, models: Path, tmp_path: Path
) -> None:
    config = FitConfig(
        model=str(models), out=str(tmp_path), time_limit="1000s", device="cpu", workers=0, race="none",
        cache=str(tmp_path / "cache"),
    )  # fmt: skip
    told: list[str] = []
    chosen, ranking = choose_model(
        str(forty), config, Run(tmp_path, {}, is_resumed=False), Processes(), say=told.append
    )
    assert chosen.time_limit == "1000s", "the clock runs from the start of the process, the ranking's time included"
    assert Path(chosen.model).name == "seeing"
    kept = json.loads((tmp_path / "ranking.json").read_text(encoding="utf-8"))
    assert kept["best"] == ranking["best"]
    kept["best"] = str(models / "blind")
    (tmp_path / "ranking.json").write_text(json.dumps(kept), encoding="utf-8")
    again, _ = choose_model(str(forty), config, Run(tmp_path, {}, is_resumed=True), Processes(), say=told.append)
    assert Path(again.model).name == "blind", "what the run has begun with"
    assert told[-1].endswith("as the run has begun")


def test_other_verbs_want_one_model(here: Here, forty: Path, models: Path) -> None:
    for verb, model in (("plan", "auto"), ("check", models)):
        told = here(verb, forty, "--model", model, "--offline")
        assert told.code == 2
        assert "graft rank" in told.err


def test_an_older_sentence_encoder_is_one_model(tmp_path: Path) -> None:
    from graft.api.model_choice import is_choice

    (tmp_path / "0_Transformer").mkdir()
    (tmp_path / "0_Transformer" / "config.json").write_text("{}")
    assert is_choice(str(tmp_path))
    (tmp_path / "modules.json").write_text("[]")
    assert not is_choice(str(tmp_path))


def test_a_ranking_before_a_fit_heeds_the_corrections(forty: Path, models: Path, tmp_path: Path) -> None:
    """Examples that the user dropped have no part in the choice either; the test is the same as without."""
    wrong = sorted(path.relative_to(forty).as_posix() for path in forty.glob("*/*"))[:6]
    rows = "".join(f"{name},drop,\n" for name in wrong)
    (tmp_path / "c.csv").write_text(f"id,action,label\n{rows}", encoding="utf-8")
    n = []
    for corrections in (None, str(tmp_path / "c.csv")):
        config = FitConfig(
            model=str(models), out=str(tmp_path), device="cpu", workers=0, race="none", corrections=corrections,
            cache=str(tmp_path / "cache"),
        )  # fmt: skip
        run = Run(tmp_path, {}, is_resumed=False)
        _, ranking = choose_model(str(forty), config, run, Processes(), say=lambda text: None)
        n.append(ranking["n_examples"])
    assert n[0] - 6 <= n[1] < n[0]


def test_a_ranking_numbers_its_groups_as_a_fit_does(forty: Path, tmp_path: Path) -> None:
    """By their numbers groups are dealt out: numbered in another order, other examples would be the test."""
    from graft.api.dividing import groups_by_content
    from graft.data.readers import read_splits

    data = shutil.copytree(forty, tmp_path / "data")
    files = sorted(data.glob("*/*"))
    files[20].write_bytes(files[3].read_bytes())
    groups = groups_by_content(read_splits(data).train)
    first = [int(np.flatnonzero(groups == number)[0]) for number in range(groups.max() + 1)]
    assert first == sorted(first)
    assert len(first) == len(np.unique([path.read_bytes() for path in files]))
