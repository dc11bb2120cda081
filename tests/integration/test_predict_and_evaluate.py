"""A finished run at work: `graft predict` and `graft evaluate`."""

from __future__ import annotations

import csv
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import graft as package
from small_things import make_folders, make_table

Run = Callable[..., Any]


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_standard_output_is_a_clean_csv(graft: Run, finished: Path, pictures: Path) -> None:
    """By a process of its own: nothing but the table may stand on standard output."""
    told = graft("predict", finished, pictures, "--workers", 0)
    assert told.code == 0
    rows = rows_of(told.out)
    assert [row["id"] for row in rows] == sorted(str(path) for path in pictures.glob("*/*.png"))
    assert list(rows[0]) == ["id", "prediction", "probability", "error"]
    table = pd.read_parquet(finished / "predictions.parquet")
    test = table[table.split == "test"].set_index("id")
    for row in rows:
        name = Path(row["id"]).relative_to(pictures).as_posix()
        if name in test.index:
            own = test.loc[name]
            assert float(row["probability"]) == pytest.approx(max(own[["p_blue", "p_green", "p_red"]]), abs=0.05)


def test_files_by_ending(here: Run, finished: Path, pictures: Path, tmp_path: Path) -> None:
    files = sorted((pictures / "red").glob("*.png"))[:5]
    assert here("predict", finished, *files, "--out", tmp_path / "a.jsonl", "--workers", 0).code == 0
    assert here("predict", finished, *files, "--out", tmp_path / "a.csv", "--workers", 0).code == 0
    lines = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text().splitlines()]
    rows = rows_of((tmp_path / "a.csv").read_text())
    assert [line["id"] for line in lines] == [row["id"] for row in rows] == [str(file) for file in files]
    assert [line["prediction"] for line in lines] == [row["prediction"] for row in rows]
    for line in lines:
        assert sum(line["probabilities"]) == pytest.approx(1, abs=1e-4)
        assert line["probability"] == max(line["probabilities"])


def test_the_format_can_be_named(here: Run, finished: Path, pictures: Path) -> None:
    told = here("predict", finished, pictures / "red" / "00.png", "--format", "jsonl", "--workers", 0)
    assert json.loads(told.out)["prediction"] in ("blue", "green", "red")


def test_an_unreadable_file(here: Run, finished: Path, pictures: Path, tmp_path: Path) -> None:
    folder = tmp_path / "new"
    shutil.copytree(pictures / "red", folder)
    (folder / "05.png").write_bytes(b"text")
    out = tmp_path / "a.csv"
    told = here("predict", finished, folder, "--out", out, "--workers", 0)
    assert told.code == 3
    assert "05.png cannot be read as a picture" in told.err
    assert not out.exists(), "a half-written file was left"
    told = here("predict", finished, folder, "--out", out, "--workers", 0, "--skip-unreadable")
    assert told.code == 0
    rows = rows_of(out.read_text())
    assert len(rows) == 12
    assert [bool(row["error"]) for row in rows] == [i == 5 for i in range(12)]
    assert "skipped: " in told.err


@pytest.mark.parametrize(
    ("run", "inputs", "code", "words"),
    [
        ("none", "pictures", 4, "holds no model of Graft"),
        ("finished", "none", 3, "no such file or folder"),
        ("finished", "empty", 3, "no picture found"),
    ],
)
def test_mistakes(
    here: Run, finished: Path, pictures: Path, tmp_path: Path, run: str, inputs: str, code: int, words: str
) -> None:
    (tmp_path / "empty").mkdir()
    places = {"finished": finished, "pictures": pictures, "none": tmp_path / "none", "empty": tmp_path / "empty"}
    told = here("predict", places[run], places[inputs], "--workers", 0)
    assert told.code == code
    assert words in told.err


def test_a_folder_of_out_that_is_not_there_yet_is_made(
    here: Run, finished: Path, pictures: Path, tmp_path: Path
) -> None:
    out = tmp_path / "new" / "a.csv"
    assert here("predict", finished, pictures / "red", "--out", out, "--workers", 0).code == 0
    assert len(rows_of(out.read_text())) == 12


def test_the_python_call_streams(finished: Path, pictures: Path) -> None:
    stream = package.predict(finished, pictures / "red", workers=0)
    first = next(stream)
    assert first.id == str(pictures / "red" / "00.png")
    assert len(list(stream)) == 11


@pytest.fixture
def own_run(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "own"))


def test_evaluate_on_new_pictures(here: Run, own_run: Path, tmp_path: Path) -> None:
    data = make_folders(tmp_path / "new", 6, seed=9)
    told = here("evaluate", own_run, data, "--json", tmp_path / "m.json")
    assert told.code == 0
    metrics = json.loads((tmp_path / "m.json").read_text())
    assert metrics["test"]["accuracy"]["n"] == 18
    assert "read" not in told.out.split("Accuracy")[0] or "own test split" not in told.out
    first = json.loads((own_run / "metrics.json").read_text())
    assert metrics["baselines"]["majority"]["accuracy"]["n"] == 18
    assert "Most frequent class" in told.out
    assert "nothing to compare it with" not in told.out
    assert first["test_split_reads"]["n_runs"] >= 1
    by_prediction = rows_of(here("predict", own_run, data, "--workers", 0).out)
    right = sum(row["prediction"] == Path(row["id"]).parent.name for row in by_prediction)
    assert metrics["test"]["accuracy"]["value"] == pytest.approx(right / 18, abs=0.06)


def test_evaluate_counts_readings_of_the_runs_own_test_split(
    here: Run, own_run: Path, pictures: Path, tmp_path: Path
) -> None:
    table = pd.read_parquet(own_run / "predictions.parquet")
    ids = set(table[table.split == "test"].id)
    own = make_table(pictures, tmp_path / "all.csv")
    with own.open(newline="") as file:
        rows = list(csv.reader(file))
    kept = [rows[0], *(row for row in rows[1:] if Path(row[0]).relative_to(pictures).as_posix() in ids)]
    with open(tmp_path / "test.csv", "w", newline="") as file:
        csv.writer(file).writerows(kept)
    seen = []
    for n in (2, 3):
        metrics = package.evaluate(own_run, tmp_path / "test.csv")
        assert metrics["test_reads"] == n
        seen.append(metrics["test_split_reads"])
    assert seen[1] == {"n_reads": seen[0]["n_reads"] + 1, "n_runs": seen[0]["n_runs"]}
    first = json.loads((own_run / "metrics.json").read_text())
    assert metrics["test"]["accuracy"] == first["test"]["accuracy"]
    assert metrics["test"]["log_loss"]["value"] == pytest.approx(first["test"]["log_loss"]["value"], rel=0.02)


def test_evaluate_refuses_unknown_labels(here: Run, own_run: Path, tmp_path: Path) -> None:
    data = make_folders(tmp_path / "new", 2, seed=9)
    (data / "red").rename(data / "rot")
    told = here("evaluate", own_run, data)
    assert told.code == 3
    assert "has the label 'rot'" in told.err


@pytest.mark.parametrize("gone", ["model", "metrics.json"])
def test_evaluate_refuses_a_run_that_is_not_finished(here: Run, own_run: Path, pictures: Path, gone: str) -> None:
    (own_run / gone).rename(own_run / "gone")
    (own_run / "manifest.json").unlink()
    told = here("evaluate", own_run, pictures)
    assert told.code == 4
    assert "--resume" in told.err
