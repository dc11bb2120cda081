"""`fit` of a language model: texts beside the base model's, what was forgotten, and the report of it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as parquet
import pytest

import graft
from graft.core.errors import DataError, UsageError
from small_language import make_language, questions


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model with random weights, questions, other questions, and a text."""
    folder = tmp_path_factory.mktemp("evidence")
    make_language(folder / "model", n_places=320)
    write = {"data": questions(60), "other": [{"prompt": f"say {i}", "completion": "yes"} for i in range(20)]}
    for name, rows in write.items():
        (folder / f"{name}.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    (folder / "stories.txt").write_text("\n\n".join(f"Once upon a time {i} cats ran." for i in range(30)))
    return folder


def fitted(folder: Path, name: str, **options: Any) -> dict[str, Any]:
    given: dict[str, Any] = {
        "strategy": "full",
        "epochs": 1,
        "fewest_steps": 8,
        "learning_rate": 1e-2,
        "device": "cpu",
        "seed": 0,
    }
    run = graft.fit(
        str(folder / "data.jsonl"),
        model=str(folder / "model"),
        out=str(folder / name),
        offline=True,
        **(given | options),
    )
    return run.metrics


def test_texts_losses_and_claims_of_a_fit(folder: Path) -> None:
    others = f"own,{folder / 'stories.txt'},{folder / 'other.jsonl'}"
    metrics = fitted(folder, "run", general_text=others, generations=10, metric="chrf")
    json.dumps(metrics, allow_nan=False)
    assert metrics["headline"] == "chrf"
    assert set(metrics["baselines"]) == {"base-zero-shot", "base-few-shot"}
    assert metrics["baselines"]["base-few-shot"]["loss_per_token"]["n"] == 10
    assert metrics["test"]["n_examples"] == 10
    assert metrics["test"]["loss_per_token"]["n"] > 10  # losses are of the whole split
    assert metrics["test"]["loss_per_token"]["value"] < metrics["before"]["test"]["loss_per_token"]["value"]
    assert set(metrics["forgetting"]) == {"what it wrote before", "stories.txt", "other.jsonl"}
    assert metrics["forgetting"]["stories.txt"]["change"]["n"] == 30
    claims = {claim["name"]: claim["answer"] for claim in metrics["claims"]}
    assert claims["learned"] == "yes"
    assert {"stops", "repeats", "contaminated", "forgets:stories.txt"} <= set(claims)
    page = (folder / "run" / "report.html").read_text(encoding="utf-8")
    for text in ("Did it forget stories.txt?", "What it was trained on", "Base model, few-shot", "worst answers"):
        assert text in page, text
    texts = parquet.read_table(folder / "run" / "texts.parquet").to_pydict()
    assert len(texts["id"]) == 10
    assert all(len(text) > 0 for text in texts["reference"])
    assert set(texts) >= {"text", "ended", "score", "base-zero-shot", "base-few-shot"}


def test_a_metric_of_ones_own_and_no_baselines_by_examples(folder: Path) -> None:
    file = folder / "mine.py"
    file.write_text("def same_length(generated, reference):\n    return len(generated) == len(reference)\n")
    metrics = fitted(folder, "own", metric=f"{file}:same_length", shots=0, general_text="none", generations=5)
    sys.modules.pop("graft_metric_mine")
    assert metrics["headline"].endswith("mine.py:same_length")
    assert set(metrics["baselines"]) == {"base-zero-shot"}
    assert metrics["forgetting"] == {}
    (forgets,) = (claim for claim in metrics["claims"] if claim["name"] == "forgets")
    assert forgets["answer"] == "can't tell"


def test_what_cannot_be_had_is_said_before_training(folder: Path) -> None:
    with pytest.raises(UsageError, match="no such metric"):
        fitted(folder, "a", metric="exactmatch")
    with pytest.raises(UsageError, match="there is no such file"):
        fitted(folder, "b", general_text="nowhere.txt")
    with pytest.raises(DataError, match="true answer without a number"):
        fitted(folder, "c", metric="numeric-match")
    for name in ("a", "b", "c"):
        assert not (folder / name / "model").exists()
