"""Any number of labels an example, from the data to the saved model and back."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as parquet
import pytest
import soundfile
from PIL import Image

import graft as graft_package
from small_sounds import PITCHES, RATE, make_audio_checkpoint, tone
from small_texts import make_text_checkpoint
from small_things import SIDE

Run = Callable[..., Any]
LABELS = ("bluish", "greenish", "reddish")  # one a channel, in the order of the alphabet
CHANNEL = {"reddish": 0, "greenish": 1, "bluish": 2}


def read_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def make_labelled_pictures(folder: Path, n: int, *, seed: int) -> list[dict[str, Any]]:
    """Write pictures of any mixture of three colours; return a row for each: its path and its list of labels."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    rows = []
    for i in range(n):
        own = [label for label in LABELS if rng.random() < 0.45]
        colour = [190 if any(CHANNEL[label] == c for label in own) else 60 for c in range(3)]
        values = rng.normal(np.add(colour, rng.normal(0, 30, 3)), 90, (SIDE, SIDE, 3))
        Image.fromarray(values.clip(0, 255).astype(np.uint8)).save(folder / f"{i:03d}.png")
        rows.append({"path": f"{folder.name}/{i:03d}.png", "labels": own})
    return rows


def write_jsonl(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with train.jsonl and test.jsonl, whose label cells are lists; some are empty."""
    folder = tmp_path_factory.mktemp("colours")
    write_jsonl(folder / "train.jsonl", make_labelled_pictures(folder / "a", 60, seed=1))
    write_jsonl(folder / "test.jsonl", make_labelled_pictures(folder / "b", 40, seed=2))
    return folder


@pytest.fixture(scope="module")
def colours(graft: Run, checkpoint: Path, tables: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run on lists of labels, by the command line; nobody said that they were lists."""
    out = tmp_path_factory.mktemp("runs") / "colours"
    told = graft("fit", tables, "--model", checkpoint, "--out", out, "--workers", 0)
    assert told.code == 0, told.err
    assert "any number of labels" in told.out
    assert "Mean average precision" in told.out
    return out


def test_lists_are_found_and_all_figures_are_there(colours: Path) -> None:
    metrics = read_json(colours / "metrics.json")
    assert metrics["headline"] == "mean_average_precision"
    assert list(metrics["test"]) == ["mean_average_precision", "micro_f1", "macro_f1", "exact_match", "log_loss"]
    assert metrics["labels"]["names"] == list(LABELS)
    assert list(metrics["baselines"]) == ["prior", "knn"]
    prior = metrics["baselines"]["prior"]
    assert metrics["test"]["mean_average_precision"]["value"] > prior["mean_average_precision"]["value"] + 0.1
    assert prior["paired"]["adjusted_p_value"] < 0.05
    assert set(metrics["held_out"]["out_of_fold"]) == {"mean_average_precision", "exact_match", "log_loss"}
    report = (colours / "report.html").read_text(encoding="utf-8")
    assert "Label by label" in report
    assert "mean average precision on 40 test pictures" in report
    rows = parquet.read_table(colours / "predictions.parquet").to_pylist()
    train = [row["target"] for row in rows if row["split"] == "out_of_fold"]
    assert len(train) == 60
    assert read_json(colours / "manifest.json")["class_counts"] == [sum(k in own for own in train) for k in LABELS]


def test_kinds_of_example_and_distortions_are_judged_by_exact_sets(colours: Path) -> None:
    metrics = read_json(colours / "metrics.json")
    exact = metrics["test"]["exact_match"]["value"]
    columns = {part["column"] for part in metrics["slices"]}
    assert {"the number of labels", *(f"the label {label}" for label in LABELS)} & columns
    for part in metrics["slices"]:
        n, rest = part["n"], 40 - part["n"]
        assert (n * part["accuracy"]["value"] + rest * part["rest"]["value"]) / 40 == pytest.approx(exact)
    corruptions = metrics["shift"]["corruptions"]
    assert corruptions["n"] == 40
    assert corruptions["clean"] == pytest.approx(exact, abs=0.1)  # by another engine, perhaps
    claims = {claim["name"]: claim for claim in metrics["claims"]}
    assert "slices_fail" in claims
    assert "exactly their own labels" in claims["shift:distortions"]["sentence"]
    seen = metrics["learning_curve"]["observed"]
    assert 0.0 < seen[0]["accuracy"] < seen[-1]["accuracy"] < 1.0
    assert "exact label sets" in claims["more_labels"]["sentence"]
    report = (colours / "report.html").read_text(encoding="utf-8")
    for words in (
        "Exact label sets of the frozen network",
        "Corruptions by severity",
        "Exact label sets by kind",
    ):
        assert words in report


def test_the_checkpoint_is_one_of_several_labels_with_equal_scores(colours: Path, tables: Path) -> None:
    from transformers import pipeline

    config, kept = read_json(colours / "model" / "config.json"), read_json(colours / "model" / "graft.json")
    assert config["problem_type"] == "multi_label_classification"
    thresholds = np.array(kept["decision"]["thresholds"])
    assert thresholds.shape == (3,)
    assert kept["decision"]["offset"] is None
    table = [r for r in parquet.read_table(colours / "predictions.parquet").to_pylist() if r["split"] == "test"]
    classify = pipeline("image-classification", model=str(colours / "model"), top_k=None)
    for row in table[:8]:
        scores = {s["label"]: s["score"] for s in classify(str(tables / row["id"]))}
        own = np.array([row[f"p_{label}"] for label in LABELS])
        np.testing.assert_allclose([scores[label] for label in LABELS], own, atol=0.02)  # cached features are bf16
        assert row["prediction"] == [label for label, p, t in zip(LABELS, own, thresholds, strict=True) if p >= t]
    assert any(len(row["target"]) == 0 for row in table)
    assert any(len(row["target"]) > 1 for row in table)


def test_predict_writes_all_labels_above_their_thresholds(
    here: Run, colours: Path, tables: Path, tmp_path: Path
) -> None:
    files = sorted((tables / "b").glob("*.png"))[:12]
    assert here("predict", colours, *files, "--out", tmp_path / "a.jsonl", "--workers", 0).code == 0
    assert here("predict", colours, *files, "--out", tmp_path / "a.csv", "--workers", 0).code == 0
    thresholds = read_json(colours / "model" / "graft.json")["decision"]["thresholds"]
    with open(tmp_path / "a.csv", newline="", encoding="utf-8") as file:
        cells = list(csv.DictReader(file))
    for line, cell in zip((tmp_path / "a.jsonl").read_text().splitlines(), cells, strict=True):
        said = json.loads(line)
        above = {label for label, p, t in zip(LABELS, said["probabilities"], thresholds, strict=True) if p >= t}
        assert set(said["prediction"]) == above
        assert said["probability"] == sorted(said["probability"], reverse=True)
        assert cell["prediction"] == "|".join(said["prediction"])
        assert [float(p) for p in cell["probability"].split("|") if p] == said["probability"]


def test_evaluate_gives_the_same_figures(here: Run, colours: Path, tables: Path, tmp_path: Path) -> None:
    told = here("evaluate", colours, tables / "test.jsonl", "--json", tmp_path / "m.json")
    assert told.code == 0, told.err
    found, kept = read_json(tmp_path / "m.json"), read_json(colours / "metrics.json")
    for name in ("mean_average_precision", "micro_f1", "exact_match", "log_loss"):
        assert found["test"][name]["value"] == pytest.approx(kept["test"][name]["value"], abs=0.02)
    assert "Mean average precision" in told.out
    prior = "prior"
    assert found["baselines"][prior]["micro_f1"] == kept["baselines"][prior]["micro_f1"]


def test_texts_of_labels_are_taken_apart_when_asked_and_fine_tuned(here: Run, tmp_path: Path) -> None:
    from transformers import pipeline

    model = make_text_checkpoint(tmp_path / "encoder")
    rng = np.random.default_rng(0)
    words = {"plant": ("rose", "grass", "leaf"), "sky": ("sky", "blue"), "red": ("red", "blood")}
    with open(tmp_path / "texts.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "topics"])
        for _ in range(150):
            own = [label for label in words if rng.random() < 0.4]
            said = [str(rng.choice(words[label])) for label in own] + ["the", "is", "very"][: int(rng.integers(1, 4))]
            writer.writerow([" ".join(rng.permutation(said)), "|".join(own)])
    told = here(
        "fit", tmp_path / "texts.csv", "--model", model, "--out", tmp_path / "run", "--multi-label", "--label-column",
        "topics", "--strategy", "lp-ft", "--epochs", 4, "--fewest-steps", 40, "--workers", 0,
    )  # fmt: skip
    assert told.code == 0, told.err
    metrics, kept = read_json(tmp_path / "run/metrics.json"), read_json(tmp_path / "run/model/graft.json")
    assert metrics["strategy"]["kept"] == "lp-ft"
    assert metrics["strategy"]["score"] == "exact label sets"
    assert metrics["labels"]["names"] == ["plant", "red", "sky"]
    assert metrics["test"]["mean_average_precision"]["value"] > 0.8
    assert "probe" in metrics["baselines"]
    assert len(kept["decision"]["thresholds"]) == 3
    classify = pipeline("text-classification", model=str(tmp_path / "run" / "model"), top_k=None)
    (found,) = classify(["the rose is red"])
    scores = {s["label"]: s["score"] for s in found}
    assert sum(scores.values()) > 1.2, "two labels, each of its own probability"


def test_labels_that_nobody_asked_to_take_apart_are_classes(
    here: Run, checkpoint: Path, tables: Path, tmp_path: Path
) -> None:
    rows = [json.loads(line) for line in (tables / "train.jsonl").read_text().splitlines()]
    with open(tables / "flat.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "label"])
        writer.writerows([row["path"], "|".join(row["labels"]) or "none"] for row in rows)
    told = here("fit", tables / "flat.csv", "--model", checkpoint, "--out", tmp_path / "run", "--workers", 0)
    assert told.code == 0, told.err
    assert len(read_json(tmp_path / "run/manifest.json")["labels"]) > 4


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--class-weights", "balanced"), 2, "with any number of labels an example"),
        (("--from-scratch",), 2, "--from-scratch with any number of labels"),
    ],
)
def test_options_for_one_class_are_refused(
    here: Run, checkpoint: Path, tables: Path, tmp_path: Path, words: tuple[str, ...], code: int, said: str
) -> None:
    told = here("fit", tables, "--model", checkpoint, "--out", tmp_path / "run", "--workers", 0, *words)
    assert told.code == code
    assert said in told.err


def test_a_label_of_the_test_split_that_train_does_not_have(
    here: Run, checkpoint: Path, tables: Path, tmp_path: Path
) -> None:
    rows = [json.loads(line) for line in (tables / "test.jsonl").read_text().splitlines()]
    odd = write_jsonl(tables / "odd.jsonl", [*rows[:3], rows[3] | {"labels": ["redish"]}])
    told = here(
        "fit", tables / "train.jsonl", "--test", odd, "--model", checkpoint, "--out", tmp_path / "run", "--workers", 0
    )
    assert told.code == 3
    assert "line 4 has the label 'redish'" in told.err
    assert "Did you mean 'reddish'?" in told.err


def test_recordings_of_several_tones_with_speakers_kept_together(here: Run, tmp_path: Path) -> None:
    from transformers import pipeline

    base = make_audio_checkpoint(tmp_path / "base", "ast")
    rng, rows = np.random.default_rng(0), []
    for i in range(72):
        own = [name for name in PITCHES if rng.random() < 0.5]
        wave = sum((tone(PITCHES[name], seed=10 * i + k) for k, name in enumerate(own)), tone(30.0, seed=i))
        soundfile.write(tmp_path / f"{i:02d}.wav", wave, RATE)
        rows.append({"file": f"{i:02d}.wav", "labels": own, "speaker": f"s{i % 9}"})
    told = here(
        "fit", write_jsonl(tmp_path / "table.jsonl", rows), "--model", base, "--out", tmp_path / "run", "--strategy",
        "lp-ft", "--epochs", 1, "--fewest-steps", 6, "--group-column", "speaker", "--workers", 0,
    )  # fmt: skip
    assert told.code == 0, told.err
    assert "out-of-fold share of exactly right label sets of the head" in told.out
    metrics = read_json(tmp_path / "run/metrics.json")
    assert metrics["headline"] == "mean_average_precision"
    assert metrics["strategy"]["kept"] == "lp-ft"
    classify = pipeline("audio-classification", model=str(tmp_path / "run" / "model"), top_k=None, device="cpu")
    files = sorted(tmp_path.glob("*.wav"))[:5]
    for said in graft_package.predict(tmp_path / "run", files, workers=0, precision="fp32"):
        wave, _ = soundfile.read(said.id, dtype="float32")
        scores = {s["label"]: s["score"] for s in classify(wave)}
        np.testing.assert_allclose([scores[name] for name in PITCHES], said.probabilities, atol=1e-4)
