"""The data sets of `bench/rank.py`: tables of some labels a class, drawn by seed, and of test examples."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np

from measure import shared

__all__ = ["DATA", "TASK_OF", "draw"]

DATA: dict[str, tuple[str, tuple[int, int, int]]] = {
    "flowers5": ("image", (10, 40, 120)),
    "cifar10": ("image", (5, 20, 60)),
    "mnist": ("image", (5, 20, 60)),
    "banking77": ("text", (2, 4, 8)),
    "trec": ("text", (8, 33, 100)),
    "sst2": ("text", (25, 100, 300)),
}
"""Kind of example, and labels a class: about 50, 200 and 600 in all (150, 300, 600 of 77 intents)."""

TASK_OF = {"image": "image-classification", "text": "text-classification"}


def draw(data: str, n_each: int, seed: int, folder: Path, *, n_test: int = 1_000) -> tuple[Path, Path]:
    """Write tables of the training examples drawn and of the test examples; return both."""
    from graft.core.seeds import generator

    train, test = rows_of(data)
    by_label: dict[str, list[dict[str, Any]]] = {}
    for row in train:
        by_label.setdefault(str(row["label"]), []).append(row)
    drawn, left = [], []
    for label, rows in sorted(by_label.items()):
        order = generator(seed, "draw", data, label).permutation(len(rows))
        drawn += [rows[i] for i in order[:n_each]]
        left += [rows[i] for i in order[n_each:]]
    if data == "trec":  # whose test split is small
        test = test + left
    chosen = np.sort(np.random.default_rng(0).permutation(len(test))[:n_test])
    return _write(folder / "train.csv", drawn), _write(folder / "test.csv", [test[i] for i in chosen])


def rows_of(data: str) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the rows of train and test of a data set."""
    place = shared() / "data" / data
    if DATA[data][0] == "image":
        return tuple(  # type: ignore[return-value]
            [{"file": str(p), "label": p.parent.name} for p in sorted((place / split).glob("*/*"))]
            for split in ("train", "test")
        )
    return tuple(  # type: ignore[return-value]
        [json.loads(line) for line in (place / f"{split}.jsonl").read_text(encoding="utf-8").splitlines()]
        for split in ("train", "test")
    )


def _write(path: Path, rows: list[dict[str, Any]]) -> Path:
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path
