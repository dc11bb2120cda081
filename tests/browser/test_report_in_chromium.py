"""The report in a real browser, where there is one: nothing sticks out at either width, the pictures load."""

from __future__ import annotations

import io
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from graft.core.types import MultiLabelPredictions, Predictions
from graft.evaluation import evaluate, evaluate_multi_label, frequency_baseline, majority_baseline
from graft.report import write_report

BROWSER = next((b for b in ("chromium", "chromium-browser", "google-chrome") if shutil.which(b)), None)
# The test adds this to a copy without the policy that forbids scripts; the report itself has none.
PROBE = """<script>addEventListener("load", () => {
  const width = document.documentElement.clientWidth;
  const isClipped = e => e && (getComputedStyle(e).overflowX !== "visible" || isClipped(e.parentElement));
  const out = [...document.querySelectorAll("main *")].filter(e =>
    e.getBoundingClientRect().right > width + 1 && !e.closest("svg") && !isClipped(e.parentElement));
  parent.postMessage("probe width=" + width + " page=" + document.documentElement.scrollWidth
    + " out=" + out.map(e => e.tagName + "." + e.className).join("+")
    + " broken=" + [...document.images].filter(i => !i.naturalWidth).length
    + " pictures=" + document.images.length + " end", "*");
});</script>"""
# A headless window is never narrower than 500 px; a frame is.
FRAME = """<!doctype html><title>waiting</title>
<script>addEventListener("message", e => { document.title = e.data; });</script>
<iframe src="probed.html" style="border:0;width:{width}px;height:1000px"></iframe>"""


IDS = [f"{'folder/' * 20}{i}.png" for i in range(400)]


def names_of(n: int) -> tuple[str, ...]:
    return tuple(f"a_long_class_name_that_goes_on_{'x' * (5 * (i % 5))}{i}" for i in range(n))


def classes(n_classes: int) -> tuple[Predictions, dict[str, Any]]:
    targets = np.arange(400) % n_classes
    logits = np.random.default_rng(0).normal(size=(400, n_classes)) + 2 * np.eye(n_classes)[targets]
    p = Predictions(IDS, targets, logits, names_of(n_classes), "test")
    majority = majority_baseline(targets, IDS, targets, label_names=p.label_names)
    return p, evaluate(p, baselines={"majority": majority}).as_dict()


def label_sets(n_labels: int) -> tuple[MultiLabelPredictions, dict[str, Any]]:
    rng = np.random.default_rng(0)
    targets = (rng.random((400, n_labels)) < 0.3).astype(np.uint8)
    p = MultiLabelPredictions(
        IDS, targets, 2.0 * targets - 1 + rng.normal(size=targets.shape), names_of(n_labels), "test"
    )
    prior = frequency_baseline(targets, IDS, targets, label_names=p.label_names)
    return p, evaluate_multi_label(p, baselines={"prior": prior}, n_draws=50).as_dict()


@pytest.mark.skipif(BROWSER is None, reason="no chromium on this machine")
@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize(("made", "n"), [(classes, 2), (classes, 10), (classes, 40), (label_sets, 3), (label_sets, 30)])
def test_nothing_sticks_out(tmp_path: Path, width: int, made: Callable[[int], Any], n: int) -> None:
    p, figures = made(n)
    metrics = figures | {"seconds": {"embed": 12.0, "solve": 1.0}}
    ids, rng = IDS, np.random.default_rng(1)
    file = io.BytesIO()
    Image.fromarray(rng.integers(0, 256, (24, 24, 3), dtype=np.uint8)).save(file, "PNG")
    path = tmp_path / "report.html"
    write_report(
        path,
        metrics=metrics,
        manifest={"command": "graft fit " + "a/very/long/path" * 12, "weights": {"hash": "0" * 64}},
        config={"model": "x" * 90},
        predictions={"test": p},
        leaderboard=[
            {
                "scaling": s,
                "penalty": q,
                "log_loss": 1.0 + q,
                "standard_error": 0.1,
                "accuracy": 0.7,
                "is_chosen": q == 0.1,
            }
            for s in ("none",)
            for q in (0.01, 0.1, 1.0)
        ],
        notes=["word" * 40],
        thumbnails=dict.fromkeys(ids, file.getvalue()),
        title="t" * 80,
    )
    page = path.read_text(encoding="utf-8")
    page = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page).replace("</body>", PROBE + "</body>")
    (tmp_path / "probed.html").write_text(page.replace('loading="lazy"', ""), encoding="utf-8")
    (tmp_path / "frame.html").write_text(FRAME.replace("{width}", str(width)), encoding="utf-8")
    assert BROWSER is not None
    command = [
        BROWSER,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        f"--user-data-dir={tmp_path / 'profile'}",
        "--window-size=1400,1000",
        "--virtual-time-budget=3000",
        "--dump-dom",
        (tmp_path / "frame.html").as_uri(),
    ]
    dom = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False).stdout
    found = re.search(r"<title>probe width=(\d+) page=(\d+) out=(.*?) broken=(\d+) pictures=(\d+) end", dom)
    assert found, dom[:500]
    assert int(found[2]) <= int(found[1]), found[0]
    assert found[3] == "", found[0]
    assert found[4] == "0"
    assert int(found[5]) > 5
