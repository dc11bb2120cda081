"""Classes of unequal size: said, and with `--class-weights auto` the decision alone moves."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as parquet
import pytest

from small_things import make_picture

Run = Callable[..., Any]


def read_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def make_unequal(folder: Path, counts: dict[str, int], *, seed: int) -> Path:
    colours = {"blue": (90, 90, 150), "green": (90, 150, 90), "red": (150, 90, 90)}
    for k, (name, n) in enumerate(counts.items()):
        (folder / name).mkdir(parents=True)
        for i in range(n):
            make_picture(colours[name], seed=1_000 * seed + 100 * k + i, noise=170).save(folder / name / f"{i:03d}.png")
    return folder


def test_unequal_classes_are_said_and_auto_moves_the_decision_alone(
    here: Run, checkpoint: Path, tmp_path: Path
) -> None:
    data = make_unequal(tmp_path / "data" / "train", {"blue": 90, "green": 20, "red": 12}, seed=3).parent
    make_unequal(data / "test", {"blue": 60, "green": 14, "red": 12}, seed=4)
    common = ("fit", data, "--model", checkpoint, "--workers", 0)
    plain = here(*common, "--out", tmp_path / "plain")
    auto = here(*common, "--out", tmp_path / "auto", "--class-weights", "auto")
    assert plain.code == auto.code == 0, auto.err
    assert "the classes are unequal: 90 pictures of 'blue', 12 of 'red' (7.5 to 1)" in plain.out
    before, after = (read_json(tmp_path / name / "metrics.json") for name in ("plain", "auto"))
    assert before["headline"] == after["headline"] == "macro_f1"
    assert next(iter(after["test"])) == "macro_f1"
    assert before["test"]["log_loss"] == after["test"]["log_loss"], "probabilities are not touched"
    assert "decision" not in before
    assert after["decision"]["strength"] > 0
    assert after["test"]["balanced_accuracy"]["value"] > before["test"]["balanced_accuracy"]["value"]
    offset = np.array(read_json(tmp_path / "auto/model/graft.json")["decision"]["offset"])
    assert offset[0] < offset[2]
    names = ["blue", "green", "red"]
    table = [r for r in parquet.read_table(tmp_path / "auto/predictions.parquet").to_pylist() if r["split"] == "test"]
    moved = 0
    for row in table:
        p = np.array([row[f"p_{name}"] for name in names])
        assert row["prediction"] == names[int((np.log(p) + offset).argmax())]
        moved += row["prediction"] != names[int(p.argmax())]
    assert moved > 0
    out = tmp_path / "said.jsonl"
    assert here("predict", tmp_path / "auto", data / "test", "--out", out, "--workers", 0).code == 0
    said = [json.loads(line) for line in out.read_text().splitlines()]
    assert any(s["probability"] < max(s["probabilities"]) for s in said), "the probability is that of what is said"
    told = here("evaluate", tmp_path / "auto", data / "test", "--json", tmp_path / "m.json")
    assert told.code == 0, told.err
    found = read_json(tmp_path / "m.json")
    assert found["headline"] == "macro_f1"
    assert found["test"]["macro_f1"]["value"] == pytest.approx(after["test"]["macro_f1"]["value"], abs=0.03)
