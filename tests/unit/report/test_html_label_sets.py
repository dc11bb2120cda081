"""The page of a run whose examples have any number of labels."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from .conftest import make_label_run
from .hostile import HOSTILE
from .pages import noun_of, pictures_of, write


def test_label_sets_have_a_table_of_labels_and_no_confusion(tmp_path: Path) -> None:
    run = make_label_run(("sea", "sky", "boat"), signal=2.0)
    page = write(tmp_path / "report.html", run, previews=pictures_of(run), **noun_of("pictures"))
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
    assert [tag for tag, _ in page.tags].count("script") == 1
    assert {tag for tag, _ in page.tags}.isdisjoint({"iframe", "object", "embed", "link", "base", "form"})
    assert not any(name.startswith("on") for _, attributes in page.tags for name in attributes)
    assert "\u202e" not in (tmp_path / "report.html").read_text(encoding="utf-8")
