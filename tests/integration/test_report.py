"""`graft report`: the report of a finished run made anew, and two runs beside each other."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from graft.api.more_baselines import add_baselines
from graft.api.report import compare_runs, read_predictions
from graft.evaluation.comparisons import mcnemar_exact
from graft.evaluation.intervals import wilson
from graft.report.comparing import Comparison


@pytest.fixture
def copy(finished: Path, tmp_path: Path) -> Path:
    """A copy of the finished run, to be changed."""
    return Path(shutil.copytree(finished, tmp_path / "copy"))


def test_the_report_is_made_anew_without_the_data(copy: Path, here: Callable[..., Any]) -> None:
    before = (copy / "report.html").read_text(encoding="utf-8")
    (copy / "report.html").unlink()
    told = here("report", copy)
    assert told.code == 0, told.err
    after = (copy / "report.html").read_text(encoding="utf-8")
    assert after.count("<img ") == before.count("<img ")
    assert "What this page cannot show" not in after
    for words in ("The graft", "Question by question", "Is the data sound?", "To repeat it"):
        assert (words in after) == (words in before)


def test_what_is_not_there_is_said(copy: Path, here: Callable[..., Any]) -> None:
    for name in ("previews.parquet", "checks.json", "leaderboard.json", "predictions.parquet"):
        (copy / name).unlink()
    told = here("report", copy, "--out", copy / "other.html")
    assert told.code == 0
    page = (copy / "other.html").read_text(encoding="utf-8")
    assert "What this page cannot show" in page
    for name in ("previews.parquet", "checks.json", "leaderboard.json", "predictions.parquet"):
        assert f"the run has no {name}" in told.out
        assert f"the run has no {name}" in page
    assert "<img " not in page


def test_baselines_that_came_later_stand_in_all_that_tells_of_the_run(copy: Path) -> None:
    before = json.loads((copy / "metrics.json").read_text(encoding="utf-8"))["baselines"]
    test = read_predictions(copy)["test"]
    is_right = np.zeros(len(test), bool)
    new = {"accuracy": wilson(0, len(test)).as_dict(), "paired": mcnemar_exact(test.is_correct, is_right).as_dict()}
    metrics = add_baselines(copy, {"pixel_knn": new})
    assert json.loads((copy / "metrics.json").read_text(encoding="utf-8"))["baselines"] == metrics["baselines"]
    assert list(metrics["baselines"]) == [*before, "pixel_knn"]
    for name, old in before.items():
        assert metrics["baselines"][name]["paired"]["adjusted_p_value"] >= old["paired"]["p_value"]
    own = metrics["baselines"]["pixel_knn"]["paired"]
    assert own["adjusted_p_value"] >= own["p_value"]
    assert "Nearest neighbours on pixels" in (copy / "report.html").read_text(encoding="utf-8")
    assert "nearest neighbours on the pixels" in (copy / "model" / "README.md").read_text(encoding="utf-8")


def test_predictions_come_back_as_they_were(finished: Path) -> None:
    table = pd.read_parquet(finished / "predictions.parquet")
    found = read_predictions(finished)
    assert set(found) == set(table.split)
    test = table[table.split == "test"]
    said = [found["test"].label_names[int(i)] for i in found["test"].predicted]
    assert said == test.prediction.tolist()
    assert np.allclose(found["test"].probabilities, test.filter(like="p_").to_numpy(), atol=1e-6)


def test_a_run_against_itself_and_against_another(finished: Path, copy: Path, here: Callable[..., Any]) -> None:
    table = pd.read_parquet(copy / "predictions.parquet")
    columns = [c for c in table.columns if c.startswith("p_")]
    table[columns] = table[[columns[1], columns[2], columns[0]]].to_numpy()  # as wrong as can be
    table.to_parquet(copy / "predictions.parquet", index=False)
    found = compare_runs(finished, finished)
    assert isinstance(found, Comparison)
    assert found.paired.p_value == 1
    told = here("report", "--compare", finished, copy)
    assert told.code == 0, told.err
    assert "exact McNemar test on 7 common test pictures" in told.out.replace("\u202f", " ")
    page = finished / "compare-copy.html"
    assert "two runs beside each other" in page.read_text(encoding="utf-8")
    page.unlink()


def test_other_test_sets_and_unfinished_runs_are_refused(finished: Path, copy: Path, here: Callable[..., Any]) -> None:
    table = pd.read_parquet(copy / "predictions.parquet")
    table["id"] = "other/" + table["id"]
    table.to_parquet(copy / "predictions.parquet", index=False)
    told = here("report", "--compare", finished, copy)
    assert told.code == 3
    assert "share 0 of them" in told.err
    assert "To fix" in told.err
    (copy / "metrics.json").unlink()
    told = here("report", copy)
    assert told.code == 4
    assert "no finished run" in told.err
    assert here("report").code == 2


def test_the_model_card_says_what_the_run_found(finished: Path) -> None:
    card = (finished / "model" / "README.md").read_text(encoding="utf-8")
    accuracy = json.loads((finished / "metrics.json").read_text())["test"]["accuracy"]["value"]
    assert f"value: {round(accuracy, 4)}" in card
    assert 'pipeline_tag: "image-classification"' in card
    assert str(finished.parent.parent) not in card
