"""Evidence beyond the run's own data, by the command line: other data, distortions, what to label next, sets."""

from __future__ import annotations

import csv
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from small_sounds import make_audio_checkpoint, make_recordings
from small_texts import make_text_checkpoint
from small_things import make_folders

Run = Callable[..., Any]


def metrics_of(run: Path) -> Any:
    return json.loads((run / "metrics.json").read_text())


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures of the same classes with their colours turned round: what was red is named blue."""
    folder = make_folders(tmp_path_factory.mktemp("other") / "turned", 20, seed=7)
    for path in folder.glob("*/*.png"):
        Image.fromarray(np.asarray(Image.open(path))[:, :, ::-1]).save(path)
    return folder


@pytest.fixture(scope="module")
def flat(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures without a class, all in one folder, one of them three times."""
    source = make_folders(tmp_path_factory.mktemp("pool") / "classes", 25, seed=9)
    folder = source.parent / "flat"
    folder.mkdir()
    for path in source.glob("*/*.png"):
        shutil.copy(path, folder / f"{path.parent.name}-{path.name}")
    for i in range(2):
        shutil.copy(folder / "red-00.png", folder / f"again-{i}.png")
    return folder


@pytest.fixture(scope="module")
def fitted(graft: Run, checkpoint: Path, other: Path, flat: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = tmp_path_factory.mktemp("data")
    make_folders(data / "train", 20, seed=1)
    make_folders(data / "test", 20, seed=2)
    out = tmp_path_factory.mktemp("runs") / "run"
    words = ("--shift-data", other, "--unlabeled", flat, "--corruptions", "all", "--workers", 0)
    told = graft("fit", data, "--model", checkpoint, "--out", out, *words)
    assert told.code == 0, told.err
    (out / "said.txt").write_text(told.out)
    return out


def test_loss_on_labelled_data_is_measured_beside_the_estimate_without_labels(fitted: Path) -> None:
    metrics = metrics_of(fitted)
    found = metrics["shift"]["data"]["turned"]
    assert found["n"] == found["n_labelled"] == 60
    assert found["loss"]["value"] == pytest.approx(
        metrics["test"]["accuracy"]["value"] - found["accuracy"]["value"], abs=1e-9
    )
    assert found["loss"]["low"] < found["loss"]["value"] < found["loss"]["high"]
    assert found["loss"]["value"] > 0.15
    assert found["without_labels"]["from"] == "out_of_fold"
    claim = next(c for c in metrics["claims"] if c["name"] == "shift:turned")
    assert claim["answer"] == "yes"
    assert "on turned it loses" in (fitted / "said.txt").read_text()


def test_corruptions_are_measured_at_every_severity(fitted: Path) -> None:
    metrics = metrics_of(fitted)
    found = metrics["shift"]["corruptions"]
    assert found["n"] == 60
    assert found["left_out"] == ""
    assert len(found["cells"]) == 7 * 5
    assert found["clean"] == pytest.approx(metrics["test"]["accuracy"]["value"])
    names = [c["name"] for c in metrics["claims"]]
    assert names.count("shift:distortions") == 1
    assert "costs_robustness" not in names
    for cell in found["cells"]:
        assert cell["loss"]["value"] == pytest.approx(found["clean"] - cell["accuracy"]["value"], abs=1e-9)


def test_what_to_label_next(fitted: Path, flat: Path) -> None:
    rows = list(csv.DictReader((fitted / "label-next.csv").open()))
    assert len(rows) == 50 == len({row["id"] for row in rows})
    assert [int(row["rank"]) for row in rows] == list(range(1, 51))
    assert all(Path(row["id"]).parent == flat for row in rows)
    copies = {"red-00.png", "again-0.png", "again-1.png"}
    assert sum(Path(row["id"]).name in copies for row in rows[:40]) <= 1, "copies were asked for"
    facts = metrics_of(fitted)["label_next"]
    assert facts["n_unlabelled"] == 77
    assert "to label next: 50 of 77 unlabelled pictures" in (fitted / "said.txt").read_text()


def test_slices_know_traits(fitted: Path) -> None:
    assert "the brightness" in {part["column"] for part in metrics_of(fitted)["slices"]}


def test_sets_hold_the_right_class_as_often_as_promised(here: Run, fitted: Path, tmp_path: Path) -> None:
    new = make_folders(tmp_path / "new", 30, seed=11)
    told = here("predict", fitted, new, "--coverage", 0.8, "--workers", 0)
    assert told.code == 0, told.err
    rows = list(csv.DictReader(io.StringIO(told.out)))
    assert list(rows[0]) == ["id", "prediction", "probability", "set", "error"]
    hits = [Path(row["id"]).parent.name in row["set"].split("|") for row in rows]
    assert np.mean(hits) > 0.65
    assert all(row["set"].split("|")[0] == row["prediction"] for row in rows), "no set is empty"
    assert "80.0 % of the sets hold the right class in the mean" in " ".join(told.err.split())
    lines = here("predict", fitted, new, "--coverage", 0.99, "--format", "jsonl", "--workers", 0).out.splitlines()
    assert [len(json.loads(line)["set"]) for line in lines] == [3] * len(lines), "60 examples promise no 99 %"
    wrong = here("predict", fitted, new, "--coverage", 1.5)
    assert wrong.code == 2
    assert "between 0 and 1" in wrong.err


def test_unlabelled_other_data_is_estimated_under_assumption(
    here: Run, checkpoint: Path, pictures: Path, flat: Path, tmp_path: Path
) -> None:
    words = ("--shift-data", flat, "--corruptions", "none", "--workers", 0)
    told = here("fit", pictures, "--model", checkpoint, "--out", tmp_path / "run", *words)
    assert told.code == 0, told.err
    found = metrics_of(tmp_path / "run")["shift"]
    assert list(found) == ["data"]
    assert found["data"]["flat"]["n_labelled"] == 0
    assert found["data"]["flat"]["accuracy"]["method"].endswith("under assumption")
    claim = next(c for c in metrics_of(tmp_path / "run")["claims"] if c["name"] == "shift:flat")
    assert "assumes that its confidence means the same there" in claim["sentence"]


def test_an_unknown_label_is_named(here: Run, checkpoint: Path, pictures: Path, other: Path, tmp_path: Path) -> None:
    strange = tmp_path / "strange"
    shutil.copytree(other, strange)
    (strange / "red").rename(strange / "purple")
    told = here(
        "fit", pictures, "--model", checkpoint, "--out", tmp_path / "run", "--shift-data", strange, "--workers", 0
    )
    assert told.code == 3
    assert "purple" in told.err
    assert "--shift-data" in told.err


def test_evaluate_as_shift_compares_with_the_run_s_own_test(here: Run, fitted: Path, other: Path, flat: Path) -> None:
    out = fitted.parent / "shift.json"
    told = here("evaluate", fitted, other, "--as-shift", "--json", out)
    assert told.code == 0, told.err
    found = json.loads(out.read_text())["shift"]["data"]["turned"]
    kept = metrics_of(fitted)["shift"]["data"]["turned"]
    assert found["loss"]["value"] == pytest.approx(kept["loss"]["value"], abs=0.05)
    assert "on turned it loses" in " ".join(told.out.split())
    table = pd.read_parquet(fitted / "predictions.parquet")
    assert set(table.split) == {"out_of_fold", "test"}
    told = here("evaluate", fitted, flat, "--as-shift", "--json", out)
    assert told.code == 0, told.err
    assert json.loads(out.read_text())["shift"]["data"]["flat"]["n_labelled"] == 0


def test_a_fine_tuned_network_is_held_against_the_probe(
    here: Run, checkpoint: Path, divided: Path, tmp_path: Path
) -> None:
    words = ("--strategy", "lp-ft", "--epochs", 1, "--fewest-steps", 4, "--corruptions", "all", "--workers", 0)
    told = here("fit", divided, "--model", checkpoint, "--out", tmp_path / "run", *words)
    assert told.code == 0, told.err
    metrics = metrics_of(tmp_path / "run")
    assert metrics["strategy"]["kept"] == "lp-ft"
    beside = metrics["shift"]["corruptions"]["beside_probe"]
    assert beside["n_corruptions"] == 7
    assert beside["difference"]["low"] <= beside["difference"]["value"] <= beside["difference"]["high"]
    assert beside["clean_probe"] == pytest.approx(metrics["baselines"]["probe"]["accuracy"]["value"])
    assert "costs_robustness" in [c["name"] for c in metrics["claims"]]


@pytest.mark.parametrize("kind", ["texts", "recordings"])
def test_texts_and_recordings_are_distorted_too(here: Run, kind: str, tmp_path: Path) -> None:
    """Unlabelled examples and labelled other data of these kinds go the same way."""
    if kind == "texts":
        model = make_text_checkpoint(tmp_path / "encoder")
        fillers = ("", "very", "very very", "like a", "like the sea", "a", "like blood", "like grass")
        said = {"red": "the rose is {} red", "green": "a leaf is {} green", "blue": "the sky is {} blue"}
        rows = [(text.format(filler), label) for label, text in said.items() for filler in fillers]
        data, pool = tmp_path / "said.csv", tmp_path / "new.txt"
        pd.DataFrame(rows, columns=["text", "label"]).to_csv(data, index=False)
        pool.write_text("".join(f"{text}\n" for text, _ in rows[::2]), encoding="utf-8")
        other = tmp_path / "other.csv"
        pd.DataFrame([(text.upper(), label) for text, label in rows], columns=["text", "label"]).to_csv(other)
    else:
        model = make_audio_checkpoint(tmp_path / "encoder", "ast")
        data = pool = other = make_recordings(tmp_path / "recordings", 8)
    words = ("--corruptions", "all", "--unlabeled", pool, "--shift-data", other, "--workers", 0)
    told = here("fit", data, "--model", model, "--out", tmp_path / "run", *words)
    assert told.code == 0, told.err
    metrics = metrics_of(tmp_path / "run")
    assert len(metrics["shift"]["corruptions"]["cells"]) == 4 * 5
    assert metrics["shift"]["data"][other.name]["n_labelled"] == 24
    assert metrics["label_next"]["n"] == (12 if kind == "texts" else 24)
