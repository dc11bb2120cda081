from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from graft.core.errors import ResourceError
from graft.core.types import Predictions, Preview
from graft.evaluation import fit_learning_curve, judge
from graft.report import wording as w
from graft.report.budget import ExampleBudget

from .conftest import Run, make_run
from .hostile import HOSTILE
from .pages import jpeg, pictures_of, write


def test_says_what_was_found(tmp_path: Path, run: Run) -> None:
    page = write(tmp_path / "report.html", run)
    accuracy = run.metrics["test"]["accuracy"]
    assert f"{100 * accuracy['value']:.1f}" in page.text
    assert "The graft took." in page.text
    for words in (
        "Nearest neighbours",
        "Most frequent class",
        "Log-loss",
        "Surest mistakes",
        "Calibration error",
        "graft fit pictures --out run",
        "graft 0.1.0",
        "model.id",
        "computing features",
        "3 pictures were skipped.",
        "Insects & others",
        "out of fold",
        "31 s",
    ):
        assert words in page.text
    counts = np.array(run.metrics["confusion"]["counts"])
    titles = [a.get("title") or "" for t, a in page.tags if t == "td"]
    drawn = [int(m.group(1)) for t in titles if (m := re.match(r"(\d+) of \d+: true", t))]
    assert drawn == counts[counts > 0].tolist()


def test_a_recording_is_heard_once_and_no_folder_of_the_machine_is_told(tmp_path: Path) -> None:
    run = make_run(("a", "b", "c"), n=60, signal=0.5, prefix="/home/somebody/sounds/")
    names = run.predictions.ids
    wav = b"RIFF\x24\0\0\0WAVEfmt " + bytes(100)
    suspects = [{"id": names[0], "split": "train", "label": "a", "other": names[1]}]
    finding = {"check": "copies", "severity": "note", "text": "2 copies", "n": 1, "suspects": suspects, "details": {}}
    page = write(
        tmp_path / "report.html",
        run,
        previews={name: Preview(sound=wav) for name in names},
        checks=[finding | {"without": None}],
        manifest={"backbone": {"id": "/home/somebody/nets/ear/model", "weights_hash": "0" * 32}},
    )
    assert "somebody" not in (tmp_path / "report.html").read_text(encoding="utf-8")
    heard = [a["title"] for t, a in page.tags if t == "audio"][:-2]  # the last two are the suspects'
    assert len(heard) == len(set(heard)) > 12
    ids = {a.get("id") for _, a in page.tags}
    links = [a["href"] for t, a in page.tags if t == "a" and (a.get("href") or "").startswith("#surest-")]
    assert len(links) > 3
    assert {(link or "").removeprefix("#") for link in links} <= ids
    assert "copy of 1.jpg" in page.text
    assert "ear" in page.text


def test_what_repeats_it_is_rounded_and_named(tmp_path: Path, run: Run) -> None:
    manifest = {
        "versions": {"graft": "0.1.0", "torch": "2.13"},
        "backbone": {"id": "owner/net", "licence": "", "n_parameters": 3_206_400, "weights_hash": "0" * 32},
        "saved_model_check": {"n_examples": 4, "largest_difference": 0.0012143147177994251},
        "head": {"scaling": "none", "penalty": 0.038652755320072174},
    }
    page = write(tmp_path / "report.html", run, manifest=manifest)
    for words in ("none stated", "graft 0.1.0, torch 2.13", "0.00121", "0.0387", "3 206 400 parameters"):
        assert words in page.text
    assert "0.0012143" not in page.text
    assert "versions." not in page.text
    assert "scalingnone" in page.text


def test_phases_that_took_no_time_are_left_out(tmp_path: Path, run: Run) -> None:
    seconds = {"model": 4.0, "fine-tuning": 0.0, "head": 1.0, "total": 5.0}
    page = write(tmp_path / "report.html", run, metrics=run.metrics | {"seconds": seconds})
    assert "fine-tuning0.00" not in page.text
    assert "loading the model4.0 s" in page.text
    assert "went into loading the model." in page.text


def test_each_of_the_five_is_one_sentence_and_the_rest_is_folded_away(tmp_path: Path, run: Run) -> None:
    write(tmp_path / "report.html", run)
    raw = (tmp_path / "report.html").read_text(encoding="utf-8")
    words = raw[raw.index('class="words"') :]
    shown, rest = words[: words.index("</dl>")], words[words.index("</dl>") : words.index("</section>")]
    told = re.findall(r"<dd>(.*?)</dd>", shown)
    assert len(told) == 5
    assert not [text for text in told if re.search(r"[.!?] [A-Z]", text)]
    assert '<details class="also">' in rest
    assert "<dd>" in rest


def hostile_finding(name: str) -> dict[str, Any]:
    suspect = {"id": name, "split": "train", "label": name, "other": name, "suggested": name}
    finding = {"check": name, "severity": "warning", "text": name, "n": 9, "suspects": [suspect], "details": {}}
    return finding | {"without": {"metric": "accuracy", "value": 0.5, "without": 0.6, "n": 3, "how": name}}


def hostile_claim(name: str) -> dict[str, Any]:
    evidence = {"accuracy": {"value": 0.5, "low": 0.4, "high": 0.6, "n": 9, "method": name}}
    told = {"question": name, "answer": "yes", "strength": "weak", "sentence": name, "evidence": evidence}
    return {"name": f"shift:{name}", "test": name, "p_value": 0.01, "n": 9, "n_more": None} | told


def test_hostile_names_stay_text(tmp_path: Path) -> None:
    hostile = make_run(HOSTILE, signal=1.0, prefix="<script>alert(5)</script>\udce9")
    page = write(
        tmp_path / "report.html",
        hostile,
        manifest={"command": HOSTILE[1], HOSTILE[5]: {HOSTILE[1]: HOSTILE[0]}, "title": HOSTILE[0]}
        | {"notes": list(HOSTILE), "noun": HOSTILE[0]},
        config={"a": list(HOSTILE)},
        previews=pictures_of(hostile, b"<svg xmlns='x' onload='alert(6)'>"),
        missing=list(HOSTILE),
        checks=[hostile_finding(name) for name in HOSTILE],
        metrics=hostile.metrics | {"claims": [hostile_claim(name) for name in HOSTILE]},
    )
    assert [tag for tag, _ in page.tags].count("script") == 1
    assert "alert" not in page.scripts[0]
    assert {tag for tag, _ in page.tags}.isdisjoint({"iframe", "object", "embed", "link", "base", "form"})
    assert not any(name.startswith("on") for _, attributes in page.tags for name in attributes)
    assert not any("javascript" in (a.get("href") or a.get("src") or "") for _, a in page.tags)
    assert not any(tag == "img" for tag, _ in page.tags)
    assert "<script>alert(1)</script>" in page.text
    assert "{{ 7 * 7 }}" in page.text
    assert "49" not in re.findall(r"(\S+) javascript:alert\(3\)", page.text)
    raw = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "\u202e" not in raw
    assert "\x1b" not in raw
    assert "x" * 500 not in raw
    assert len(raw) < 1_000_000


def test_needs_no_network_and_forbids_it(tmp_path: Path, run: Run) -> None:
    page = write(tmp_path / "report.html", run, previews=pictures_of(run))
    raw = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert not re.search(r"https?://|@import|url\(", raw)
    assert all((a.get("src") or "data:image/").startswith("data:image/") for _, a in page.tags)
    assert all((a.get("href") or "#").startswith("#") for _, a in page.tags)
    policy = next(a["content"] for t, a in page.tags if t == "meta" and a.get("http-equiv"))
    assert policy is not None
    assert policy.startswith("default-src 'none'; img-src data:")
    digest = base64.b64encode(hashlib.sha256(page.scripts[0].encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy
    assert policy.count("unsafe-inline") == 1  # of styles


def test_mistakes_are_shown_with_their_pictures_surest_first(tmp_path: Path, run: Run) -> None:
    page = write(tmp_path / "report.html", run, previews=pictures_of(run))
    alts = [a["alt"] or "" for t, a in page.tags if t == "img"]
    p = run.predictions
    wrong = np.flatnonzero(~p.is_correct)
    surest = wrong[np.argsort(-p.probabilities[wrong].max(axis=1))][:12]
    assert [a.split(":")[0] for a in alts[: len(surest)]] == [p.ids[int(i)] for i in surest]
    assert all("taken for" in a for a in alts)
    assert {a.split(":")[0] for a in alts} <= {p.ids[int(i)] for i in wrong}


def test_stays_under_4_mb_with_large_pictures_and_many_classes(tmp_path: Path) -> None:
    many = make_run(tuple(f"a_class_with_a_rather_long_name_{i}" for i in range(150)), n=3000, signal=0.5)
    content = [jpeg(160, k, 95) for k in range(20)]
    previews = {name: Preview(content[k % 20], "text " * 60) for k, name in enumerate(many.predictions.ids)}
    page = write(tmp_path / "report.html", many, previews=previews)
    assert (tmp_path / "report.html").stat().st_size < 4_000_000
    assert sum(t == "img" for t, _ in page.tags) > 20
    assert not any("confusion" in (a.get("class") or "") for t, a in page.tags if t == "table")
    assert any("pairs" in (a.get("class") or "") for t, a in page.tags if t == "table")


@pytest.mark.parametrize("n_classes", [30, 200])
def test_stays_under_4_mb_whatever_the_names(tmp_path: Path, n_classes: int) -> None:
    names = tuple(f"{'<&' * 5000}{i}" for i in range(n_classes))
    run = make_run(names, n=2 * n_classes if n_classes > 30 else 3000, signal=0.0, prefix='"<' * 400)
    content = jpeg(160, 0, 95)
    previews = {name: Preview(content, "<&" * 500) for name in run.predictions.ids}
    page = write(tmp_path / "report.html", run, previews=previews)
    assert 1_000_000 < (tmp_path / "report.html").stat().st_size < 4_000_000
    assert "Class by class" in page.text


def test_five_sentences_then_question_by_question(tmp_path: Path, run: Run) -> None:
    p = run.predictions
    assert isinstance(p, Predictions)
    claims = [claim.as_dict() for claim in judge(p, train=p, valid=p, is_frozen=True)]
    page = write(tmp_path / "report.html", run, metrics=run.metrics | {"claims": claims})
    first = page.text[: page.text.index("Question by question")]
    assert "Does it overfit?" in first
    assert "Can its probabilities be taken at face value?" in first
    raw = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert raw[raw.index('class="words"') : raw.index("</dl>")].count("<dt>") == 5
    for claim in claims:
        assert w.plain(claim["question"]) in page.text
        assert page.text.count(w.plain(claim["sentence"])) <= 2


def test_the_curve_is_drawn_and_told(tmp_path: Path, run: Run) -> None:
    sizes = [20, 40, 80, 160, 320]
    errors = np.array([[0.5], [0.4], [0.3], [0.25], [0.2]]) + np.random.default_rng(0).normal(size=(5, 6)) * 0.01
    curve = fit_learning_curve(sizes, 1 - errors).as_dict()
    page = write(tmp_path / "report.html", run, metrics=run.metrics | {"learning_curve": curve})
    band = next(a["points"] or "" for t, a in page.tags if t == "polygon")
    places = [tuple(map(float, pair.split(","))) for pair in band.split()]
    assert len(places) == 2 * len(curve["curve"])
    assert all(0 <= x <= 100 and 0 <= y <= 100 for x, y in places)
    assert "1 280" in page.text  # four times the labels
    assert page.text.count("ahead") == sum(row["at"] > 320 for row in curve["curve"])


def test_other_data_and_corruptions_by_severity(tmp_path: Path, run: Run) -> None:
    claims = [hostile_claim("x") | {"name": f"shift:{name}"} for name in ("blur 1", "blur 2", "noise 1", "my photos")]
    page = write(tmp_path / "report.html", run, metrics=run.metrics | {"claims": claims})
    for words in ("Other data", "my photos", "Corruptions by severity", "blur", "noise"):
        assert words in page.text
    assert "blur 1" not in page.text


def test_there_is_one_verdict_on_calibration(tmp_path: Path, run: Run) -> None:
    """The bins are drawn without a p-value of their own, which could contradict the claim's."""
    p = run.predictions
    assert isinstance(p, Predictions)
    (claim,) = (c.as_dict() for c in judge(p) if c.name == "calibrated")
    page = write(tmp_path / "report.html", run, metrics=run.metrics | {"claims": [claim]})
    section = page.text[page.text.index("Can its confidence be believed?") :][:900]
    assert " ".join(claim["sentence"].split()) in section
    assert len(re.findall(r"p [<=] ", section)) == 1
    assert "Calibration error" not in section


def test_what_corruptions_used_is_not_called_left_out(tmp_path: Path, run: Run) -> None:
    cell = {"corruption": "blur", "severity": 3, "accuracy": {"value": 0.7, "low": 0.5, "high": 0.8, "n": 43}}
    used = {"n": 43, "clean": 0.9, "cells": [cell], "left_out": "43 of 48 examples, severity 3: more took too long"}
    page = write(tmp_path / "report.html", run, metrics=run.metrics | {"shift": {"corruptions": used}})
    assert "Used: 43 of 48 examples" in page.text
    assert "Left out" not in page.text


@pytest.mark.parametrize("missing", ["baselines", "calibration", "confusion", "seconds"])
def test_leaves_out_what_is_not_known(tmp_path: Path, run: Run, missing: str) -> None:
    metrics = {k: v for k, v in run.metrics.items() if k != missing}
    page = write(tmp_path / "report.html", run, metrics=metrics, leaderboard=[], predictions={}, manifest={}, config={})
    gone = {
        "baselines": "Beside the baselines",
        "calibration": "Calibration error",
        "confusion": "Class by class",
        "seconds": "Where the time went",
    }[missing]
    assert gone not in page.text
    assert "How it was chosen" not in page.text


def test_a_perfect_model_and_two_classes(tmp_path: Path) -> None:
    page = write(tmp_path / "report.html", make_run(("no", "yes"), n=60, signal=50.0))
    assert "No mistake on this split." in page.text
    assert "no interval" in page.text


def test_says_where_it_cannot_write(tmp_path: Path, run: Run) -> None:
    (tmp_path / "report.html").mkdir()
    with pytest.raises(ResourceError):
        write(tmp_path / "report.html", run)
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]


def test_unequal_classes_lead_with_macro_f1(tmp_path: Path) -> None:
    page = write(tmp_path / "report.html", make_run(("ant", "bee", "cat"), n=300, n_rare=20))
    assert "macro F1 on 300 test examples" in page.text
    assert "Macro F1 on the same examples" in page.text
    assert "paired bootstrap" in page.text
    assert "The classes are unequal" in page.text
    equal = write(tmp_path / "equal.html", make_run(("ant", "bee", "cat"), n=300))
    assert "accuracy on 300 test examples" in equal.text
    assert "exact McNemar test" in equal.text


def test_a_sound_is_taken_only_as_a_wav_and_within_the_budget() -> None:
    wav = b"RIFF\x24\0\0\0WAVEfmt " + bytes(1000)
    previews = {name: Preview(sound=wav) for name in "acd"} | {"b": Preview(sound=b"<script>")}
    budget = ExampleBudget(previews, max_bytes=2 * len(wav))
    addresses = [budget.shown(name)["sound"] for name in ("a", "b", "none", "c", "d")]
    assert [address != "" for address in addresses] == [True, False, False, True, False]
    assert addresses[0].startswith("data:audio/wav;base64,UklGR")
