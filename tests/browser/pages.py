"""Reports of small runs whose labels and file names are hostile: pictures, texts, recordings, label sets."""

from __future__ import annotations

import io
import math
import struct
import wave
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from graft.core.findings import Finding, Suspect, Without
from graft.core.types import MultiLabelPredictions, Predictions, Preview
from graft.evaluation import (
    evaluate,
    evaluate_multi_label,
    fit_learning_curve,
    frequency_baseline,
    judge,
    majority_baseline,
)
from graft.report import write_report

HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(2)>',
    "a'b\"c onload=alert(3)",
    "\u202egnp.exe",
    "</style></title><svg onload=alert(4)>",
    "\u05d0\u05d1\u05d2 \u200f(x)",
    "y" * 10_000,
)
N = 300


def picture(seed: int) -> bytes:
    file = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (24, 24, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def sound() -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(8000)
        out.writeframes(b"".join(struct.pack("<h", int(8000 * math.sin(i / 3))) for i in range(8000)))
    return file.getvalue()


def names_of(n: int) -> tuple[str, ...]:
    """Return label names, the hostile ones among them where there is room."""
    plain = tuple(f"a_long_class_name_that_goes_on_{'x' * (5 * (i % 5))}{i}" for i in range(n))
    return plain if n < len(HOSTILE) else HOSTILE + plain[len(HOSTILE) :]


def ids_of() -> list[str]:
    return [f"{'folder/' * 12}{HOSTILE[i % len(HOSTILE)][:300]}{i}.png" for i in range(N)]


def classes(n: int) -> tuple[Predictions, dict[str, Any]]:
    rng = np.random.default_rng(0)
    targets = np.arange(N) % n
    logits = rng.normal(size=(N, n)) + 2 * np.eye(n)[targets]
    p = Predictions(ids_of(), targets, logits, names_of(n), "test")
    majority = majority_baseline(targets, p.ids, targets, label_names=p.label_names)
    found = evaluate(p, baselines={"majority": majority}).as_dict()
    sizes = [20, 40, 80, 160, 320]
    errors = np.array([[0.5], [0.4], [0.3], [0.25], [0.2]]) + rng.normal(size=(5, 6)) * 0.01
    curve = fit_learning_curve(sizes, 1 - errors)
    other = Predictions([f"other {i}" for i in range(N)], targets, logits[::-1], p.label_names, "test")
    claims = judge(p, train=p, valid=p, curve=curve, shift={HOSTILE[1]: other}, slices={HOSTILE[0]: ["a", "b"] * 150})
    return p, found | {"claims": [c.as_dict() for c in claims], "learning_curve": curve.as_dict()}


def label_sets(n: int) -> tuple[MultiLabelPredictions, dict[str, Any]]:
    rng = np.random.default_rng(0)
    targets = (rng.random((N, n)) < 0.3).astype(np.uint8)
    p = MultiLabelPredictions(
        ids_of(), targets, 2.0 * targets - 1 + rng.normal(size=targets.shape), names_of(n), "test"
    )
    prior = frequency_baseline(targets, p.ids, targets, label_names=p.label_names)
    return p, evaluate_multi_label(p, baselines={"prior": prior}, n_draws=50).as_dict()


def preview(form: str, i: int) -> Preview:
    if form == "pictures":
        return Preview(picture=picture(i))
    if form == "sounds":
        return Preview(sound=sound())
    return Preview(text=f"{HOSTILE[i % len(HOSTILE)]} {'a text that goes on ' * (i % 20)}" if form == "texts" else "")


def write(path: Path, p: Predictions | MultiLabelPredictions, figures: dict[str, Any], form: str) -> Path:
    """Write the report; `form` is ``"pictures"``, ``"texts"``, ``"sounds"`` or ``"names"``."""
    suspects = tuple(Suspect(p.ids[i], "test", HOSTILE[0], p.ids[i + 1], HOSTILE[1], 0.5) for i in range(4))
    findings = [
        Finding("label_errors", "warning", HOSTILE[0], 9, suspects, Without("accuracy", 0.8, 0.85, 90, "left out")),
        Finding("outliers", "ok", "no picture lies far off"),
    ]
    row = {"standard_error": 0.1, "accuracy": 0.7, "scaling": "none"}
    write_report(
        path,
        metrics=figures | {"seconds": {"embed": 12.0, "solve": 1.0}},
        manifest={"command": "graft fit " + "a/very/long/path" * 12, "weights": {"hash": "0" * 64}, "noun": form}
        | {"title": HOSTILE[0] + "t" * 80, "notes": ["word" * 40, *HOSTILE]},
        config={"model": "x" * 90},
        predictions={"test": p},
        leaderboard=[
            row | {"penalty": 10.0**-k, "log_loss": 1 + abs(k - 2) / 5, "is_chosen": k == 2} for k in range(8)
        ],
        checks=[finding.as_dict() for finding in findings],
        previews={name: preview(form, i) for i, name in enumerate(p.ids)},
        missing=["A sentence on what is not there."],
    )
    return path
