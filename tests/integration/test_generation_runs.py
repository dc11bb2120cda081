"""What is done with finished runs of language models: the report anew, two beside each other, other conversations."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

import graft
from graft.api.report import compare_runs, report
from graft.cli.app import run as run_words
from graft.core.errors import DataError
from graft.report.comparing_texts import TextComparison
from small_language import make_language, questions


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Data, a model, and two runs: a long one and one of two steps."""
    folder = tmp_path_factory.mktemp("runs")
    make_language(folder / "model", n_places=320)
    for name, rows in {"data": questions(80), "other": questions(100)[80:]}.items():
        (folder / f"{name}.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    for name, steps in (("long", 50), ("short", 2)):
        fit(folder, name, fewest_steps=steps)
    return folder


def fit(folder: Path, name: str, **options: Any) -> None:
    given: dict[str, Any] = {
        "strategy": "full",
        "epochs": 0.1,
        "learning_rate": 1e-2,
        "metric": "exact-match",
        "precision": "fp32",
    }
    graft.fit(
        folder / "data.jsonl", model=str(folder / "model"), out=folder / name, device="cpu", offline=True, shots=0,
        general_text="none", console=Console(quiet=True), **(given | options),
    )  # fmt: skip


def test_the_report_is_made_anew_and_equal(folder: Path, tmp_path: Path) -> None:
    run = folder / "long"
    first = (run / "report.html").read_text(encoding="utf-8")
    told: list[str] = []
    again = report(run, out=tmp_path / "again.html", say=told.append)
    pages = (again.read_text(encoding="utf-8"), first)
    above = [page.partition('<section id="repeat"')[0] for page in pages]  # the file holds no options that are not set
    assert above[0] == above[1]
    assert pages[0] != above[0]
    assert told == []
    shutil.copytree(run, tmp_path / "old", ignore=shutil.ignore_patterns("example.json", "texts.parquet"))
    page = report(tmp_path / "old", say=told.append).read_text(encoding="utf-8")
    assert "the run has no example.json" in told[1]
    assert "The worst answers: the run has no texts.parquet." in page
    assert run_words(["report", str(run), "--out", str(tmp_path / "words.html")]) == 0


def test_two_runs_are_told_apart_by_paired_tests(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "both.html"
    assert run_words(["report", "--compare", str(folder / "long"), str(folder / "short"), "--out", str(out)]) == 0
    assert "difference" in capsys.readouterr().out
    found = compare_runs(folder / "long", folder / "short")
    assert isinstance(found, TextComparison)
    by_name = {row["name"]: row for row in found.rows}
    assert set(by_name) == {"exact-match", "Loss a token", "Ends by itself"}
    loss = by_name["Loss a token"]
    assert loss["difference"]["value"] < -0.2
    assert loss["p_value"] < 0.01
    test = json.loads((folder / "long" / "metrics.json").read_text())["test"]
    assert loss["values"][0]["value"] == pytest.approx(test["loss_per_token"]["value"], rel=1e-6)
    assert "long" in found.sentence
    same = compare_runs(folder / "long", folder / "long")
    assert same.sentence.startswith("No difference shows")
    assert "turn " not in "".join(item["true"] for item in found.better[0])
    page = out.read_text(encoding="utf-8")
    assert "Better by" in page
    assert "<script" not in page


def test_other_metrics_other_answers_and_other_tasks_are_said(folder: Path, tmp_path: Path) -> None:
    fit(folder, "chrf", fewest_steps=2, metric="chrf")
    found = compare_runs(folder / "long", folder / "chrf")
    assert [row["name"] for row in found.rows] == ["Loss a token", "Ends by itself"]  # type: ignore[union-attr]
    assert found.notes == ("Scores are not compared: long was judged by exact-match, chrf by chrf.",)  # type: ignore[union-attr]
    other = folder / "other-data.jsonl"
    rows = [row | {"output": row["output"] + "!"} for row in questions(80)]
    other.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    graft.fit(
        other, model=str(folder / "model"), out=tmp_path / "r", device="cpu", precision="fp32",
        fewest_steps=1, epochs=0.1, shots=0, general_text="none", console=Console(quiet=True),
    )  # fmt: skip
    with pytest.raises(DataError, match=r"test conversations have other answers in r than in long"):
        compare_runs(folder / "long", tmp_path / "r")
    (tmp_path / "r" / "texts.parquet").unlink()
    with pytest.raises(DataError, match=r"has no texts\.parquet"):
        compare_runs(folder / "long", tmp_path / "r")


def test_it_is_judged_on_other_conversations_and_its_own_test_is_counted(folder: Path, tmp_path: Path) -> None:
    found = graft.evaluate(folder / "long", folder / "other.jsonl")
    assert found["test"]["n_loss_examples"] == 20
    assert found["headline"] == "exact-match"
    assert "test_reads" not in found
    assert found["test"]["loss_per_token"]["low"] < found["test"]["loss_per_token"]["high"]
    worse = graft.evaluate(folder / "short", folder / "other.jsonl")
    assert worse["test"]["loss_per_token"]["value"] > found["test"]["loss_per_token"]["value"] + 0.2
    file = tmp_path / "figures.json"
    assert run_words(["evaluate", str(folder / "long"), str(folder / "other.jsonl"), "--json", str(file)]) == 0
    assert json.loads(file.read_text())["test"] == found["test"]
    with pytest.raises(DataError, match="has no split valid"):
        graft.evaluate(folder / "long", folder / "other.jsonl", split="valid")
    parts = tmp_path / "parts"
    parts.mkdir()
    for name, rows in (("train", questions(40)), ("test", questions(60)[40:])):
        (parts / f"{name}.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    graft.fit(
        parts, model=str(folder / "model"), out=tmp_path / "run", device="cpu", precision="fp32",
        fewest_steps=1, epochs=0.1, shots=0, general_text="none", generations=5, console=Console(quiet=True),
    )  # fmt: skip
    again = graft.evaluate(tmp_path / "run", parts)
    assert again["test_reads"] == 2
    kept = json.loads((tmp_path / "run" / "metrics.json").read_text())["test"]
    assert again["test"]["loss_per_token"]["value"] == pytest.approx(kept["loss_per_token"]["value"], rel=1e-3)


def test_check_looks_at_conversations_with_and_without_a_model(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [*questions(40), {"instruction": "turn </s> cow", "input": "", "output": "woc" * 120}, questions(1)[0]]
    data = tmp_path / "data.jsonl"
    data.write_text("".join(f"{json.dumps(row)}\n" for row in [*rows, {"instruction": "x", "input": "", "output": ""}]))
    found = graft.check(data, out=tmp_path / "checks", console=Console(quiet=True))
    assert found["copies"].n == 1
    assert found["length"].suspects[0].id.endswith("line 41")
    assert found["cut"].severity == "not checked"
    assert json.loads((tmp_path / "checks" / "checks.json").read_text())["n_left_out"] == 1
    for model in (folder / "model", folder / "long"):
        words = ["check", str(data), "--model", str(model), "--out", str(tmp_path / "c"), "--device", "cpu"]
        assert run_words(words) == 0
        said = " ".join(capsys.readouterr().out.split())
        assert "whose answers end beyond the 320 tokens that are read" in said
        assert "Copies within train: 1 conversation of train more than once" in said


def test_plan_says_what_each_strategy_takes(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["plan", str(folder / "data.jsonl"), "--model", str(folder / "model"), "--device", "cpu"]
    assert run_words([*words, "--json", str(tmp_path / "plan.json"), "--epochs", "50", "--batch-size", "8"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "80 conversations: train" in said
    assert "graft fit would take strategy lora: about" in said
    plan = json.loads((tmp_path / "plan.json").read_text())
    lora, full = plan["methods"]
    assert lora["name"] == "lora"
    assert 0 < lora["trainable_share"] < full["trainable_share"] == 1
    assert lora["n_steps"] == 50 * round(plan["data"]["splits"]["train"] / 8)
    parts = full["seconds"]
    assert parts["total"] == pytest.approx(sum(parts.values()) - parts["total"], rel=1e-4)
    assert full["fits"] == "yes"
    with_limit = graft.plan(
        folder / "data.jsonl", model=str(folder / "model"), device="cpu", epochs=10_000, time_limit="30s",
        console=Console(quiet=True),
    )  # fmt: skip
    assert "% of steps" in with_limit.method("full").fits.replace(" %", "%")
