"""`graft fit` from pictures to a model and its evidence, on every form of data."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import graft as package
from small_things import COLOURS, make_folders, make_table

FIGURES = {"accuracy", "balanced_accuracy", "macro_f1", "log_loss", "brier", "top_2"}


def read_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def test_the_run_folder_holds_what_it_promises(finished: Path, pictures: Path, checkpoint: Path) -> None:
    names = {path.name for path in finished.iterdir()}
    assert names == {
        "checks.json", "config.toml", "leaderboard.json", "log.txt", "manifest.json", "metrics.json", "model",
        "predictions.parquet", "previews.parquet", "reads.json", "report.html", "strategy.json",
    }  # fmt: skip
    with open(finished / "config.toml", "rb") as file:
        config = tomllib.load(file)
    assert (config["data"], config["model"], config["seed"]) == (str(pictures), str(checkpoint), 0)


def test_metrics_have_their_form(finished: Path) -> None:
    metrics = read_json(finished / "metrics.json")
    assert set(metrics["test"]) == FIGURES
    for estimate in metrics["test"].values():
        assert {"value", "low", "high", "n", "method"} <= estimate.keys()
        assert estimate["n"] == 7
        assert estimate["low"] is None or estimate["low"] <= estimate["value"] <= estimate["high"]
    assert set(metrics["baselines"]) == {"majority", "knn"}
    for baseline in metrics["baselines"].values():
        assert "p_value" in baseline["paired"]
    assert metrics["test_reads"] == 1
    seconds = metrics["seconds"]
    assert {"start-up", "data", "model", "features", "head", "save", "evaluation", "total"} <= seconds.keys()
    assert all(isinstance(value, float) and value >= 0 for value in seconds.values())
    assert seconds["total"] >= seconds["head"]


def test_the_manifest_says_what_it_takes_to_repeat_the_run(finished: Path) -> None:
    manifest = read_json(finished / "manifest.json")
    assert manifest["form"] == "graft-run-1"
    assert manifest["seed"] == 0
    assert manifest["command"].startswith("graft fit ")
    assert manifest["labels"] == ["blue", "green", "red"]
    assert {name: part["n"] for name, part in manifest["splits"].items()} == {"train": 29, "test": 7}
    assert all(len(part["fingerprint"]) == 32 for part in manifest["splits"].values())
    assert len(manifest["backbone"]["weights_hash"]) == 32
    assert {"scaling", "penalty", "temperature"} <= manifest["head"].keys()
    assert manifest["saved_model_check"]["largest_difference"] <= 1e-5
    assert {"graft", "python", "torch", "transformers"} <= manifest["versions"].keys()


def test_predictions_have_a_row_an_example(finished: Path, pictures: Path) -> None:
    table = pd.read_parquet(finished / "predictions.parquet")
    assert list(table.columns) == ["id", "split", "target", "prediction", "p_blue", "p_green", "p_red"]
    assert table.split.value_counts().to_dict() == {"out_of_fold": 29, "test": 7}
    assert sorted(table.id) == sorted(path.relative_to(pictures).as_posix() for path in pictures.glob("*/*.png"))
    assert (table.target == table.id.str.partition("/")[0]).all()
    probabilities = table[["p_blue", "p_green", "p_red"]]
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)
    assert (probabilities.idxmax(axis=1).str.removeprefix("p_") == table.prediction).all()
    metrics = read_json(finished / "metrics.json")
    test = table[table.split == "test"]
    assert metrics["test"]["accuracy"]["value"] == pytest.approx((test.target == test.prediction).mean())
    own = test.to_numpy()[np.arange(len(test)), [table.columns.get_loc(f"p_{t}") for t in test.target]]
    assert metrics["test"]["log_loss"]["value"] == pytest.approx(-np.log(own.astype(float)).mean(), rel=1e-3)


def test_a_pipeline_loads_the_model_with_equal_scores(finished: Path, pictures: Path) -> None:
    from transformers import pipeline

    classify = pipeline("image-classification", model=str(finished / "model"), top_k=None)
    table = pd.read_parquet(finished / "predictions.parquet")
    engine = read_json(finished / "manifest.json")["engine"]
    tolerance = 0.05 if engine.endswith("bf16") else 1e-4
    test = table[table.split == "test"]
    for row in test.itertuples():
        scores = {entry["label"]: entry["score"] for entry in classify(str(pictures / str(row.id)))}
        assert scores == pytest.approx({name: getattr(row, f"p_{name}") for name in COLOURS}, abs=tolerance)


def test_the_report_is_one_file_that_asks_no_network(finished: Path) -> None:
    text = (finished / "report.html").read_text(encoding="utf-8")
    assert text.lstrip().lower().startswith("<!doctype html>")
    for sign in ('src="http', "src='http", "@import", '<link rel="stylesheet"'):
        assert sign not in text


def test_a_second_fit_computes_nothing(
    finished: Path, pictures: Path, checkpoint: Path, tmp_path: Path, here: Callable[..., Any]
) -> None:
    told = here("fit", pictures, "--model", checkpoint, "--out", tmp_path / "run", "--workers", 0)
    assert told.code == 0
    assert "features of 36 pictures: all in the cache, nothing to compute" in told.out
    assert "computed in" not in told.out
    first, second = read_json(finished / "metrics.json"), read_json(tmp_path / "run" / "metrics.json")
    assert "engine set-up" not in second["seconds"]
    assert second.pop("test_split_reads") == {"n_reads": 2, "n_runs": 2}, "one cache, the same test split"
    for metrics in (first, second):
        metrics.pop("test_split_reads", None)
        del metrics["seconds"]
    assert first == second
    pd.testing.assert_frame_equal(
        pd.read_parquet(finished / "predictions.parquet"), pd.read_parquet(tmp_path / "run" / "predictions.parquet")
    )


def test_no_test_split_is_said_and_made(finished: Path) -> None:
    log = (finished / "log.txt").read_text()
    assert "no test split given: 7 of 36 pictures held out, stratified by class" in log
    assert "5-fold cross-validation on train" in log


def test_folds_are_told_once_as_they_are(checkpoint: Path, tmp_path: Path) -> None:
    fit(make_folders(tmp_path / "few", 4), checkpoint, tmp_path / "run", cache=str(tmp_path / "cache"))
    log = (tmp_path / "run" / "log.txt").read_text()
    assert "choices are made by cross-validation on train" in log
    assert "3 folds, as the smallest class has 3 examples" in log
    assert "5-fold" not in log


def fit(data: object, checkpoint: Path, out: Path, **options: Any) -> package.api.fit.FitResult:
    options = {"strategy": "head", **options}
    return package.fit(
        str(data), model=str(checkpoint), out=out, workers=0, engine="eager", precision="fp32", **options
    )


@pytest.fixture(autouse=True)
def _shared_cache(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    monkeypatch.setenv("GRAFT_CACHE", str(cache))


def splits_of(result: Any) -> dict[str, int]:
    return {name: part["n"] for name, part in read_json(result.out / "manifest.json")["splits"].items()}


def test_divided_folders(divided: Path, checkpoint: Path, tmp_path: Path) -> None:
    result = fit(divided, checkpoint, tmp_path / "run")
    assert splits_of(result) == {"train": 24, "test": 15}
    table = pd.read_parquet(tmp_path / "run" / "predictions.parquet")
    assert set(table[table.split == "test"].id.str.partition("/")[0]) == {"test"}
    assert result.metrics["test"]["accuracy"]["value"] > 0.5
    assert result.metrics == read_json(result.out / "metrics.json")
    assert result.model.is_dir()
    assert result.report.is_file()


def test_a_table_with_test_named_apart(divided: Path, checkpoint: Path, tmp_path: Path) -> None:
    train = make_table(divided / "train", tmp_path / "train.csv", path_column="file", label_column="colour")
    test = make_table(divided / "test", tmp_path / "test.csv", path_column="file", label_column="colour")
    result = fit(train, checkpoint, tmp_path / "run", test=test, valid=test, path_column="file", label_column="colour")
    assert splits_of(result) == {"train": 24, "valid": 15, "test": 15}
    whole = fit(divided, checkpoint, tmp_path / "folders")
    assert result.metrics["test"] == whole.metrics["test"]
    assert "valid" in result.metrics["held_out"]


def test_a_saved_dataset(divided: Path, checkpoint: Path, tmp_path: Path) -> None:
    from datasets import ClassLabel, Dataset, Features, Value
    from datasets import Image as ImageFeature

    files = sorted((divided / "train").glob("*/*.png"))
    names = list(COLOURS)
    features = Features({"image": ImageFeature(), "label": ClassLabel(names=names), "note": Value("string")})
    rows = {
        "image": [{"bytes": file.read_bytes(), "path": None} for file in files],
        "label": [names.index(file.parent.name) for file in files],
        "note": ["x"] * len(files),
    }
    Dataset.from_dict(rows, features=features).save_to_disk(tmp_path / "saved")
    result = fit(tmp_path / "saved", checkpoint, tmp_path / "run")
    assert sum(splits_of(result).values()) == 24


def test_views_are_fitted_and_figures_stay_those_of_plain_pictures(
    divided: Path, checkpoint: Path, tmp_path: Path
) -> None:
    result = fit(divided, checkpoint, tmp_path / "run", views=3)
    assert splits_of(result) == {"train": 24, "test": 15}
    table = pd.read_parquet(result.out / "predictions.parquet")
    assert len(table) == 24 + 15
    assert result.metrics["test"] != fit(divided, checkpoint, tmp_path / "plain").metrics["test"]


def test_copies_are_counted_and_share_a_fold(checkpoint: Path, tmp_path: Path) -> None:
    data = make_folders(tmp_path / "d", 8, seed=4)
    for file in sorted((data / "red").glob("*.png"))[:3]:
        Image.open(file).save(data / "red" / f"copy-{file.name}")
    result = fit(data, checkpoint, tmp_path / "run")
    assert "3 pictures of train are copies or near copies of another" in (result.out / "log.txt").read_text()
    table = pd.read_parquet(result.out / "predictions.parquet")
    for i in range(3):
        pair = table[table.id.isin([f"red/0{i}.png", f"red/copy-0{i}.png"])]
        assert pair.split.nunique() == 1


def test_odd_pictures_are_read(checkpoint: Path, tmp_path: Path) -> None:
    """CMYK, alpha, palette, 16-bit grey, animation, one pixel, a wrong suffix."""
    data = make_folders(tmp_path / "d", 4, seed=5)
    Image.new("CMYK", (30, 20), (9, 90, 90, 10)).save(data / "red" / "cmyk.jpg")
    Image.new("RGBA", (30, 20), (200, 60, 60, 40)).save(data / "red" / "alpha.png")
    Image.new("P", (30, 20), 3).save(data / "red" / "palette.gif")
    Image.fromarray(np.linspace(0, 65535, 600).reshape(20, 30).astype(np.uint16)).save(data / "green" / "grey16.png")
    frames = [Image.new("RGB", (20, 20), (0, 200, shade)) for shade in (0, 100, 200)]
    frames[0].save(data / "green" / "animated.gif", save_all=True, append_images=frames[1:])
    Image.new("RGB", (1, 1), (0, 0, 255)).save(data / "blue" / "dot.png")
    Image.new("RGB", (20, 20), (0, 0, 255)).save(data / "blue" / "really-png.jpg", "PNG")
    result = fit(data, checkpoint, tmp_path / "run")
    assert sum(splits_of(result).values()) == 12 + 7


def test_two_examples_a_class_end_to_end(checkpoint: Path, tmp_path: Path) -> None:
    make_folders(tmp_path / "d" / "train", 2, seed=6)
    make_folders(tmp_path / "d" / "test", 2, seed=7)
    result = fit(tmp_path / "d", checkpoint, tmp_path / "run")
    assert "2 folds" in (result.out / "log.txt").read_text()


@pytest.mark.parametrize("n_each", [2, 3])
def test_two_or_three_examples_a_class_without_a_test_split(checkpoint: Path, tmp_path: Path, n_each: int) -> None:
    """The split leaves a class one or two training examples: the run goes through, and says how little it rests on."""
    result = fit(make_folders(tmp_path / "d", n_each, seed=8), checkpoint, tmp_path / "run")
    assert splits_of(result) == {"train": 3 * n_each - 3, "test": 3}
    assert "rests on" in (result.out / "log.txt").read_text()


def test_the_from_scratch_baseline(divided: Path, checkpoint: Path, tmp_path: Path) -> None:
    result = fit(divided, checkpoint, tmp_path / "run", from_scratch=True)
    assert set(result.metrics["baselines"]) == {"majority", "knn", "from_scratch"}
    assert "p_value" in result.metrics["baselines"]["from_scratch"]["paired"]
