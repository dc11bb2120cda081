"""`graft check`, and the same checks within `graft fit`: planted faults are found, and corrections are heeded."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from PIL import Image, ImageOps

from small_sounds import make_audio_checkpoint, make_recordings
from small_texts import TARGETS, TEXTS, make_text_checkpoint
from small_things import make_folders

CHECKS = {
    "copies_across_splits", "copies", "conflicting_labels", "nearly_the_same", "label_errors", "shortcuts", "groups",
    "outliers", "small_classes", "imbalance",
}  # fmt: skip


def findings(folder: Path) -> dict[str, Any]:
    found = json.loads((folder / "checks.json").read_text(encoding="utf-8"))
    assert found["form"] == "graft-checks-1"
    return {finding["check"]: finding for finding in found["findings"]}


@pytest.fixture
def faulty(tmp_path: Path) -> Path:
    """Pictures of three colours in train and test; two of test and one of train are copies, that with another label."""
    folder = tmp_path / "faulty"
    make_folders(folder / "train", 10, seed=1)
    make_folders(folder / "test", 6, seed=2)
    shutil.copy(folder / "train" / "red" / "03.png", folder / "test" / "red" / "copy.png")
    Image.open(folder / "train" / "blue" / "04.png").save(folder / "test" / "blue" / "again.jpg", quality=90)
    shutil.copy(folder / "train" / "green" / "05.png", folder / "train" / "red" / "other.png")
    return folder


@pytest.fixture
def checked(here: Callable[..., Any], faulty: Path, checkpoint: Path, tmp_path: Path) -> tuple[Any, Path]:
    out = tmp_path / "checks"
    return here("check", faulty, "--model", checkpoint, "--out", out, "--workers", 0), out


def test_planted_faults_are_found_and_told(checked: tuple[Any, Path]) -> None:
    told, out = checked
    assert told.code == 0, told.err
    found = findings(out)
    assert set(found) == CHECKS
    across = found["copies_across_splits"]
    assert {s["id"]: s["other"] for s in across["suspects"]} == {
        "test/red/copy.png": "train/red/03.png",
        "test/blue/again.jpg": "train/blue/04.png",
    }
    assert (across["severity"], across["details"]["test"]["n_exact"]) == ("warning", 1)
    assert across["without"]["n"] == 18
    assert {s["id"] for s in found["conflicting_labels"]["suspects"]} == {
        "train/green/05.png", "train/red/other.png",
    }  # fmt: skip
    assert found["conflicting_labels"]["without"]["how"].startswith("head fitted without them")
    assert found["small_classes"]["details"]["few_in_test"] == ["blue", "green", "red"]
    assert "Copies across splits: 2 of 20 pictures of test (1 byte for byte)" in told.out
    assert "--fix-splits" in told.out


def test_the_template_lists_each_suspect_once_and_an_edited_one_is_kept(
    checked: tuple[Any, Path], here: Callable[..., Any], faulty: Path, checkpoint: Path
) -> None:
    out = checked[1]
    rows = list(csv.DictReader((out / "corrections.csv").read_text().splitlines()))
    assert {"test/red/copy.png", "train/red/other.png"} <= {row["id"] for row in rows}
    assert len({row["id"] for row in rows}) == len(rows)
    assert {row["action"] for row in rows} == {""}
    own = (out / "corrections.csv").read_bytes() + b"\n"
    (out / "corrections.csv").write_bytes(own)
    here("check", faulty, "--model", checkpoint, "--out", out, "--workers", 0)
    assert (out / "corrections.csv").read_bytes() == own
    assert (out / "corrections-2.csv").is_file()


def test_fit_has_the_checks_heeds_corrections_and_mends_splits(
    here: Callable[..., Any], faulty: Path, checkpoint: Path, tmp_path: Path
) -> None:
    file, out = tmp_path / "c.csv", tmp_path / "run"
    file.write_text("id,action,label\ntrain/red/other.png,relabel,green\ntest/red/00.png,drop,\n", encoding="utf-8")
    words = ("fit", faulty, "--model", checkpoint, "--out", out, "--workers", 0)
    told = here(*words, "--corrections", file, "--fix-splits")
    assert told.code == 0, told.err
    assert "corrections: 1 dropped, 1 relabelled, 0 looked at and kept" in told.out
    assert "2 pictures of test moved to train, where a copy stands" in told.out
    manifest = json.loads((out / "manifest.json").read_text())
    assert {name: part["n"] for name, part in manifest["splits"].items()} == {"train": 33, "test": 17}
    assert manifest["class_counts"] == [11, 11, 11]
    found = findings(out)
    assert found["copies_across_splits"]["severity"] == "ok"
    assert found["conflicting_labels"]["n"] == 0
    assert found["copies"]["n"] == 3
    report = (out / "report.html").read_text(encoding="utf-8")
    assert "Is the data sound?" in report
    assert "Copies within train" in report


def test_wrong_corrections_name_the_row(
    here: Callable[..., Any], faulty: Path, checkpoint: Path, tmp_path: Path
) -> None:
    file = tmp_path / "c.csv"
    file.write_text("id,action,label\ntrain/red/99.png,drop,\n", encoding="utf-8")
    for words in (("check", faulty), ("fit", faulty, "--out", tmp_path / "run")):
        told = here(*words, "--model", checkpoint, "--corrections", file)
        assert told.code == 3
        assert "line 2: no example train/red/99.png" in told.err.replace("\n", " ")


def test_texts_and_groups(here: Callable[..., Any], tmp_path: Path) -> None:
    data = tmp_path / "texts"
    data.mkdir()
    names = ("red", "green", "blue")
    for split, more in (("train", 4), ("test", 2)):
        rows = [
            {"text": f"{text}{' very' * (i % more)} {split}", "label": names[target], "speaker": f"s{i % 3}"}
            for i in range(more)
            for text, target in zip(TEXTS, TARGETS, strict=True)
        ]
        if split == "test":
            rows.append({"text": "The rose is red, TRAIN!", "label": "red", "speaker": "new"})
        (data / f"{split}.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    model = make_text_checkpoint(tmp_path / "model")
    out = tmp_path / "checks"
    told = here("check", data, "--model", model, "--out", out, "--group-column", "speaker")
    assert told.code == 0, told.err
    found = findings(out)
    assert "test/16" in {s["id"] for s in found["copies_across_splits"]["suspects"]}
    alike = found["nearly_the_same"]
    assert (alike["severity"], set(alike["details"]["n"])) == ("note", {"train", "test"})
    assert alike["n"] == sum(alike["details"]["n"].values())
    assert all(s["id"] != s["other"] and s["id"] != "test/16" for s in alike["suspects"])
    assert (found["groups"]["severity"], found["groups"]["n"]) == ("warning", 16)
    assert found["shortcuts"]["severity"] == "ok"
    copy = next(s for s in found["copies_across_splits"]["suspects"] if s["id"] == "test/16")
    assert (copy["text"], copy["other_text"]) == ("The rose is red, TRAIN!", "the rose is red train")
    assert "test/16 “The rose is red, TRAIN!”" in told.out
    row = next(r for r in csv.DictReader((out / "corrections.csv").read_text().splitlines()) if r["id"] == "test/16")
    assert (row["text"], row["text_of_copy"], len(row["content_hash"])) == (copy["text"], copy["other_text"], 16)


def test_recordings_whose_sampling_rate_is_their_label(here: Callable[..., Any], tmp_path: Path) -> None:
    data = make_recordings(tmp_path / "data", 14)
    for path in sorted(data.iterdir())[0].iterdir():
        sound, rate = soundfile.read(path)
        soundfile.write(path, sound, rate * 2)
    model, out = make_audio_checkpoint(tmp_path / "model", "ast"), tmp_path / "checks"
    told = here("check", data, "--model", model, "--out", out, "--workers", 0)
    assert told.code == 0, told.err
    found = findings(out)
    guilty = [trait["name"] for trait in found["shortcuts"]["details"]["traits"] if trait["is_shortcut"]]
    assert "sampling rate" in guilty
    assert found["copies_across_splits"]["text"].startswith("there are no given splits")


def test_several_labels(here: Callable[..., Any], checkpoint: Path, tmp_path: Path) -> None:
    make_folders(tmp_path / "data", 14, seed=4)
    rows = [
        {"path": str(p), "label": [p.parent.name, *(["warm"] if p.parent.name == "red" else [])]}
        for p in sorted((tmp_path / "data").glob("*/*.png"))
    ]
    planted = rows[3], rows[17]  # of blue one with a label too many, of green one with the labels of blue
    for row, label in zip(planted, (["blue", "warm"], ["blue"]), strict=True):
        row["label"] = label
    table, out = tmp_path / "table.jsonl", tmp_path / "checks"
    table.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    told = here("check", table, "--model", checkpoint, "--out", out, "--workers", 0)
    assert told.code == 0, told.err
    found = findings(out)
    assert set(found) == CHECKS
    assert {name for name, finding in found.items() if finding["severity"] == "not checked"} >= {
        "shortcuts",
        "imbalance",
    }
    errors = found["label_errors"]
    assert errors["without"] is None or errors["without"]["metric"] == "mean_average_precision"
    assert errors["suspects"], errors["text"]
    written = list(csv.DictReader((out / "corrections.csv").read_text().splitlines()))
    own = {row["id"]: set(row["label_now"].split(", ")) - {""} for row in written}
    for suspect in errors["suspects"]:
        wrong = suspect["suggested"].removeprefix("not ")
        assert set(suspect["corrected"]) == own[suspect["id"]] ^ {wrong}
    for row in written:
        row |= {"action": "relabel"}
        assert "not " not in row["label"]
    (tmp_path / "c.jsonl").write_text("\n".join(map(json.dumps, written)), encoding="utf-8")
    again = here(
        "check", table, "--model", checkpoint, "--out", out, "--workers", 0, "--corrections", tmp_path / "c.jsonl"
    )
    assert f"{len(written)} relabelled" in again.out, again.err


def test_real_digits_are_no_copies_of_each_other(
    here: Callable[..., Any], checkpoint: Path, shared: Path, tmp_path: Path
) -> None:
    for split, at in (("train", slice(0, 40)), ("test", slice(0, 20))):
        for digit in "017":
            (tmp_path / "data" / split / digit).mkdir(parents=True)
            for path in sorted((shared / "data" / "mnist" / split / digit).iterdir())[at]:
                shutil.copy(path, tmp_path / "data" / split / digit)
    told = here("check", tmp_path / "data", "--model", checkpoint, "--out", tmp_path / "out", "--workers", 0)
    assert told.code == 0, told.err
    found = findings(tmp_path / "out")
    assert (found["copies"]["n"], found["copies_across_splits"]["n"]) == (0, 0)


@pytest.mark.slow
def test_real_photos_with_three_faults(here: Callable[..., Any], shared: Path, tmp_path: Path) -> None:
    """A border by class, 3 copies (two cropped) and 15 flipped labels in 150 photos of flowers."""
    random = np.random.default_rng(0)
    source = shared / "data" / "flowers5" / "train"
    names = sorted(path.name for path in source.iterdir())
    colours = random.integers(0, 256, (len(names), 3))
    flipped = set()
    for c, name in enumerate(names):
        for i, path in enumerate(sorted((source / name).iterdir())[:38]):
            picture = ImageOps.expand(Image.open(path).convert("RGB"), 6, tuple(colours[c].tolist()))
            split, label = ("train", name) if i < 30 else ("test", name)
            if i % 10 == 0 and i < 30:
                label = names[(c + 1) % len(names)]
                flipped.add(f"train/{label}/{path.stem}.jpg")
            folder = tmp_path / "data" / split / label
            folder.mkdir(parents=True, exist_ok=True)
            picture.save(folder / f"{path.stem}.jpg", quality=90)
    test = tmp_path / "data" / "test"
    for name, share in zip(names[:3], (1.0, 0.9, 0.75), strict=True):
        picture = Image.open(sorted((tmp_path / "data" / "train" / name).iterdir())[7])
        w, h = (round(side * share**0.5) for side in picture.size)
        picture.crop((9, 5, 9 + w, 5 + h) if share < 1 else (0, 0, w, h)).save(test / name / "copy.jpg", quality=60)
    model, out = shared / "models" / "mobilenet_v2_1.0_224", tmp_path / "checks"
    told = here("check", tmp_path / "data", "--model", model, "--out", out, "--workers", 0)
    assert told.code == 0, told.err
    found = findings(out)
    copies = {s["id"] for s in found["copies_across_splits"]["suspects"]}
    assert {f"test/{name}/copy.jpg" for name in names[:3]} <= copies
    assert len(copies) <= 4
    assert found["shortcuts"]["details"]["traits"][0]["name"] == "border colour"
    assert found["shortcuts"]["severity"] == "warning"
    assert "border colour" in found["shortcuts"]["text"]
    suspects = [s["id"] for s in found["label_errors"]["suspects"]]
    assert len(flipped & set(suspects)) >= 7, suspects
    assert len(suspects) <= 30
