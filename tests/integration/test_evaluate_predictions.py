"""`graft evaluate --predictions`: files of another framework, and a run's own."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graft as package

Run = Callable[..., Any]


def write(path: Path, *, n: int = 150, signal: float = 2.5, answers_only: bool = False, seed: int = 0) -> Path:
    rng, names = np.random.default_rng(seed), ("cat", "dog", "emu")
    truth = np.random.default_rng(99)  # the same examples, whoever predicts them
    lines = ["id,split,target,camera,prediction" if answers_only else "id,split,target,camera,p_cat,p_dog,p_emu"]
    for split in ("train", "valid", "test", "night"):
        for i in range(n):
            own, camera = int(truth.integers(3)), "ab"[int(truth.integers(2))]
            z = rng.normal(size=3)
            z[own] += 0.0 if split == "night" or camera == "b" else signal
            p = np.exp(z) / np.exp(z).sum()
            said = names[int(p.argmax())] if answers_only else ",".join(f"{v:.4f}" for v in p)
            target = "" if answers_only and split == "night" else names[own]
            lines.append(f"{split}{i},{split},{target},{camera},{said}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_claims_of_another_frameworks_predictions(here: Run, tmp_path: Path) -> None:
    file, other = write(tmp_path / "p.csv"), write(tmp_path / "q.csv", signal=0.0, seed=1)
    told = here("evaluate", "--predictions", file, "--baseline", f"old={other}", "--json", tmp_path / "m.json")
    assert told.code == 0, told.err
    metrics = json.loads((tmp_path / "m.json").read_text())
    answers = {claim["name"]: claim["answer"] for claim in metrics["claims"]}
    assert answers["signal"] == answers["beats:old"] == answers["shift:night"] == answers["slices_fail"] == "yes"
    assert answers["overfits"] == "no"
    assert "sets_cover" in answers
    assert metrics["slices"][0]["column"] == "camera"
    assert metrics["slices"][0]["value"] == "b"
    assert "camera is b" in told.out.replace("\n", " ")


def test_answers_alone_say_nothing_of_probabilities(tmp_path: Path) -> None:
    metrics = package.evaluate(predictions=write(tmp_path / "p.csv", answers_only=True))
    json.dumps(metrics, allow_nan=False)
    assert list(metrics["test"]) == ["accuracy", "balanced_accuracy", "macro_f1"]
    assert "calibration" not in metrics
    claims = {claim["name"]: claim for claim in metrics["claims"]}
    assert set(claims) == {"signal", "shift:night", "slices_fail"}
    assert claims["shift:night"]["sentence"].startswith("Not judged")


def test_a_runs_own_predictions_have_the_form(finished: Path) -> None:
    own = json.loads((finished / "metrics.json").read_text())
    metrics = package.evaluate(predictions=finished / "predictions.parquet")
    assert metrics["test"]["accuracy"] == own["test"]["accuracy"]


@pytest.mark.parametrize(
    ("words", "told_what"),
    [
        ((), "either a run and data, or predictions"),
        (("RUN", "DATA", "--predictions", "FILE"), "either a run and data, or predictions"),
        (("--predictions", "FILE", "--baseline", "old"), "NAME=FILE"),
        (("--predictions", "FILE", "--split", "foo"), "it has train, valid, test, night"),
    ],
)
def test_what_cannot_be_meant_is_told(here: Run, tmp_path: Path, words: tuple[str, ...], told_what: str) -> None:
    file = write(tmp_path / "p.csv", n=20)
    told = here("evaluate", *(str(file) if word == "FILE" else word for word in words))
    assert told.code == 2
    assert told_what in told.err


def test_other_data_in_a_file_of_label_sets_is_judged(here: Run, tmp_path: Path) -> None:
    rng, lines = np.random.default_rng(0), []
    for i in range(240):
        has = rng.random(2) < 0.5
        seen = has if i < 120 else rng.random(2) < 0.5  # at night the answers are chance
        p = np.where(seen, 0.8, 0.2) + rng.uniform(-0.15, 0.15, 2)
        row = {"id": str(i), "split": "test" if i < 120 else "night" if i < 200 else "unlabelled"}
        row["target"] = None if i >= 200 else [name for name, own in zip("ab", has, strict=True) if own]
        lines.append(row | {"p_a": p[0], "p_b": p[1]})
    file = tmp_path / "p.jsonl"
    file.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    told = here("evaluate", "--predictions", file, "--json", tmp_path / "m.json")
    assert told.code == 0, told.err
    claims = {claim["name"]: claim for claim in json.loads((tmp_path / "m.json").read_text())["claims"]}
    assert claims["shift:night"]["answer"] == "yes"
    assert "shift:unlabelled" in claims
