"""Other data and unlabelled examples of a model whose examples may have any number of labels, by the command line."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from small_texts import make_text_checkpoint

Run = Callable[..., Any]
WORDS = {"red": "rose", "blue": "sky", "green": "leaf"}


def write_texts(path: Path, n: int, *, wrong: bool = False, labelled: bool = True) -> Path:
    """Write texts that name any of three things; `wrong`: each with the labels of other things."""
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "labels"] if labelled else ["text"])
        for i in range(n):
            own = [name for bit, name in enumerate(WORDS) if (1 + i % 7) >> bit & 1]
            told = [name for name in WORDS if name not in own] or ["red"] if wrong else own
            text = " and ".join(f"the {WORDS[name]}" for name in own) + f" {i}"
            writer.writerow([text, ";".join(told)] if labelled else [text])
    return path


@pytest.fixture(scope="module")
def fitted(graft: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run with other data whose labels are all wrong, and texts to choose from."""
    folder = tmp_path_factory.mktemp("texts")
    base = make_text_checkpoint(folder / "base")
    train, odd = write_texts(folder / "train.csv", 84), write_texts(folder / "odd.csv", 42, wrong=True)
    pool = write_texts(folder / "pool.csv", 60, labelled=False)
    words = ("--multi-label", "--strategy", "head", "--shift-data", odd, "--unlabeled", pool, "--workers", 0)
    told = graft("fit", train, "--model", base, "--out", folder / "run", "--corruptions", "none", *words)
    assert told.code == 0, told.err
    return folder / "run"


def test_exact_sets_are_measured_on_other_data(fitted: Path) -> None:
    metrics = json.loads((fitted / "metrics.json").read_text())
    found = metrics["shift"]["data"]["odd.csv"]
    assert found["n"] == found["n_labelled"] == 42
    assert found["accuracy"]["value"] < 0.3 < metrics["test"]["exact_match"]["value"]
    assert set(found["without_labels"]) == {"doc", "both", "from", "n"}
    claim = next(c for c in metrics["claims"] if c["name"] == "shift:odd.csv")
    assert claim["answer"] == "yes"
    assert "odd.csv" in (fitted / "report.html").read_text(encoding="utf-8")


def test_sets_to_label_next(fitted: Path) -> None:
    rows = list(csv.DictReader((fitted / "label-next.csv").open()))
    assert len(rows) == len({row["id"] for row in rows}) == 50
    assert {part for row in rows for part in row["prediction"].split("|") if part} == set(WORDS)
    assert all(0 <= float(row["probability"]) <= 1 - float(row["uncertainty"]) + 1e-5 for row in rows)


def test_a_finished_run_is_judged_on_texts_without_labels(here: Run, fitted: Path, tmp_path: Path) -> None:
    pool = write_texts(tmp_path / "new.csv", 60, labelled=False)
    told = here("evaluate", fitted, pool, "--as-shift")
    assert told.code == 0, told.err
    assert "share of exact sets on new.csv" in " ".join(told.out.split())


def test_the_runs_own_file_of_predictions_is_judged_alike(here: Run, fitted: Path, tmp_path: Path) -> None:
    told = here("evaluate", "--predictions", fitted / "predictions.parquet", "--json", tmp_path / "m.json")
    assert told.code == 0, told.err
    own, again = json.loads((fitted / "metrics.json").read_text()), json.loads((tmp_path / "m.json").read_text())
    for name in ("micro_f1", "macro_f1", "exact_match"):
        assert again["test"][name]["value"] == pytest.approx(own["test"][name]["value"]), name
    assert again["test"]["mean_average_precision"]["value"] == pytest.approx(
        own["test"]["mean_average_precision"]["value"], abs=1e-4
    )
    assert {"signal", "calibrated", "overfits", "slices_fail"} <= {claim["name"] for claim in again["claims"]}
    assert "Mean average precision" in told.out
