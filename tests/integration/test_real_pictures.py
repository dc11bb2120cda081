"""Real photographs and real ImageNet weights, a few of them: the whole way must find the signal."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

pytestmark = pytest.mark.shared


def write_table(path: Path, folder: Path, n_each: int) -> Path:
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "label"])
        for flower in sorted(folder.iterdir()):
            writer.writerows([str(picture), flower.name] for picture in sorted(flower.iterdir())[:n_each])
    return path


def test_flowers_with_twenty_labels_a_class(graft: Callable[..., Any], shared: Path, tmp_path: Path) -> None:
    train = write_table(tmp_path / "train.csv", shared / "data" / "flowers5" / "train", 20)
    test = write_table(tmp_path / "test.csv", shared / "data" / "flowers5" / "test", 20)
    model = shared / "models" / "resnet18_trunk3"
    told = graft(
        "fit", train, "--test", test, "--model", model, "--out", tmp_path / "run", "--cache", tmp_path / "cache"
    )
    assert told.code == 0, told.err
    table = pd.read_parquet(tmp_path / "run" / "predictions.parquet")
    found = table[table.split == "test"]
    accuracy = (found.target == found.prediction).mean()
    assert len(found) == 100
    assert accuracy > 0.6  # chance is 0.2
    from transformers import pipeline

    classify = pipeline("image-classification", model=str(tmp_path / "run" / "model"), top_k=None)
    for row in found.iloc[::25].itertuples():
        name = str(row.id)
        place = name if Path(name).is_absolute() else str(tmp_path / name)
        scores = {entry["label"]: entry["score"] for entry in classify(place)}
        assert scores == pytest.approx({label: getattr(row, f"p_{label}") for label in scores}, abs=0.05)
