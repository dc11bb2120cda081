from __future__ import annotations

import io
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from graft.core.errors import ResourceError
from graft.report import write_report
from graft.report.mistakes import PictureBudget

from .conftest import Run, make_label_run, make_run

VOID = {"meta", "img", "br", "wbr", "link", "input", "hr", "line", "circle", "rect", "polyline"}
HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(2)>',
    "a'b\"c onload=x",
    "{{ 7 * 7 }} javascript:alert(3)",
    "\u202egnp.exe \x1b[31m",
    "</style></title><svg onload=alert(4)>",
)


class Page(HTMLParser):
    """Collects tags, attributes and text, and refuses tags that are not closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] != "style":
            self.words.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", "".join(self.words))


def write(path: Path, run: Run, **changes: Any) -> Page:
    given: dict[str, Any] = {
        "metrics": run.metrics,
        "manifest": {"command": "graft fit pictures --out run", "seed": 0, "versions": {"graft": "0.1.0"}},
        "config": {"folds": 5, "test": None, "model": {"id": "m"}},
        "predictions": {"test": run.predictions},
        "leaderboard": run.leaderboard,
        "notes": ["3 pictures were skipped."],
        "thumbnails": {},
        "title": "Insects & others",
    }
    write_report(path, **(given | changes))
    return Page(path.read_text(encoding="utf-8"))


def jpeg(size: int = 32, seed: int = 0, quality: int = 75) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (size, size, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=quality)
    return file.getvalue()


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
        "versions.graft",
        "model.id",
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


def test_hostile_names_stay_text(tmp_path: Path) -> None:
    hostile = make_run(HOSTILE, signal=1.0, prefix="<script>alert(5)</script>\udce9")
    page = write(
        tmp_path / "report.html",
        hostile,
        title=HOSTILE[0],
        notes=list(HOSTILE),
        manifest={"command": HOSTILE[1], HOSTILE[5]: {HOSTILE[1]: HOSTILE[0]}},
        config={"a": list(HOSTILE)},
        thumbnails=dict.fromkeys(hostile.predictions.ids, b"<svg xmlns='x' onload='alert(6)'>"),
    )
    assert {tag for tag, _ in page.tags}.isdisjoint({"script", "iframe", "object", "embed", "link", "base", "form"})
    assert not any(name.startswith("on") for _, attributes in page.tags for name in attributes)
    assert not any("javascript" in (a.get("href") or a.get("src") or "") for _, a in page.tags)
    assert not any(tag == "img" for tag, _ in page.tags)
    assert "<script>alert(1)</script>" in page.text
    assert "{{ 7 * 7 }}" in page.text
    assert "49" not in re.findall(r"(\S+) javascript:alert\(3\)", page.text)
    raw = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "\u202e" not in raw
    assert "\x1b" not in raw


def test_needs_no_network_and_forbids_it(tmp_path: Path, run: Run) -> None:
    pictures = {i: jpeg(seed=k) for k, i in enumerate(run.predictions.ids)}
    page = write(tmp_path / "report.html", run, thumbnails=pictures)
    raw = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert not re.search(r"https?://|@import|url\(", raw)
    assert all((a.get("src") or "data:image/").startswith("data:image/") for _, a in page.tags)
    assert not any("href" in a for _, a in page.tags)
    policy = next(a["content"] for t, a in page.tags if t == "meta" and a.get("http-equiv"))
    assert policy is not None
    assert policy.startswith("default-src 'none'; img-src data:")


def test_mistakes_are_shown_with_their_pictures_surest_first(tmp_path: Path, run: Run) -> None:
    pictures = {i: jpeg(seed=k) for k, i in enumerate(run.predictions.ids)}
    page = write(tmp_path / "report.html", run, thumbnails=pictures)
    alts = [a["alt"] or "" for t, a in page.tags if t == "img"]
    p = run.predictions
    wrong = np.flatnonzero(~p.is_correct)
    surest = wrong[np.argsort(-p.probabilities[wrong].max(axis=1))][:12]
    assert [a.split(":")[0] for a in alts[: len(surest)]] == [p.ids[int(i)] for i in surest]
    assert all("taken for" in a for a in alts)
    assert {a.split(":")[0] for a in alts} <= {p.ids[int(i)] for i in wrong}


def test_stays_under_4_mb_with_large_pictures_and_many_classes(tmp_path: Path) -> None:
    many = make_run(tuple(f"a_class_with_a_rather_long_name_{i}" for i in range(150)), n=3000, signal=0.5)
    pictures = {i: jpeg(160, k, 95) for k, i in enumerate(many.predictions.ids[:400])}
    pictures |= dict.fromkeys(many.predictions.ids[400:], pictures[many.predictions.ids[0]])
    page = write(tmp_path / "report.html", many, thumbnails=pictures)
    assert (tmp_path / "report.html").stat().st_size < 4_000_000
    assert sum(t == "img" for t, _ in page.tags) > 20
    assert not any("confusion" in (a.get("class") or "") for t, a in page.tags if t == "table")
    assert any("pairs" in (a.get("class") or "") for t, a in page.tags if t == "table")


@pytest.mark.parametrize("missing", ["baselines", "calibration", "confusion", "seconds"])
def test_leaves_out_what_is_not_known(tmp_path: Path, run: Run, missing: str) -> None:
    metrics = {k: v for k, v in run.metrics.items() if k != missing}
    page = write(
        tmp_path / "report.html", run, metrics=metrics, leaderboard=[], notes=[], predictions={}, manifest={}, config={}
    )
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


def test_label_sets_have_a_table_of_labels_and_no_confusion(tmp_path: Path) -> None:
    run = make_label_run(("sea", "sky", "boat"), signal=2.0)
    pictures = {i: jpeg(seed=k) for k, i in enumerate(run.predictions.ids)}
    page = write(tmp_path / "report.html", run, thumbnails=pictures, noun="pictures")
    for words in (
        "mean average precision on 240 test pictures",
        "Mean average precision on the same pictures",
        "paired bootstrap",
        "Label by label",
        "Label frequencies",
        "Surest mistakes",
        "Each label of each example counts",
    ):
        assert words in page.text
    assert "Rows are the true class" not in page.text
    assert not any("confusion" in (a.get("class") or "") for t, a in page.tags if t == "table")
    p = run.predictions
    off = np.where(p.predicted != p.targets, np.abs(p.probabilities - p.targets), -1).max(axis=1)
    shown = [(a["alt"] or "").split(":")[0] for t, a in page.tags if t == "img"]
    assert shown == [p.ids[int(i)] for i in np.argsort(-off, kind="stable")[:12]]


def test_hostile_label_names_stay_text(tmp_path: Path) -> None:
    page = write(tmp_path / "report.html", make_label_run(HOSTILE, signal=1.0, prefix="<script>alert(5)</script>"))
    assert {tag for tag, _ in page.tags}.isdisjoint({"script", "iframe", "object", "embed", "link", "base", "form"})
    assert not any(name.startswith("on") for _, attributes in page.tags for name in attributes)
    assert "\u202e" not in (tmp_path / "report.html").read_text(encoding="utf-8")


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
    budget = PictureBudget({}, sounds={"a": wav, "b": b"<script>", "c": wav, "d": wav}, max_bytes=2 * len(wav))
    addresses = [budget.sound(name) for name in ("a", "b", "none", "c", "d")]
    assert [address is not None for address in addresses] == [True, False, False, True, False]
    assert str(addresses[0]).startswith("data:audio/wav;base64,UklGR")
