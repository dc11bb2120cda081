"""The tasks of `bench/learning_rate.py`: tables of some labels a class, drawn by seed, and of test examples."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np

from measure import shared

__all__ = ["draw"]

N_EACH = {"cifar10": 20, "mnist": 20, "trec": 35, "fsdd": 20, "letters": 20, "sst2": 100}
PLACES = {"letters": "mnist"}
N_TEST = 1_000
SPEAKERS = ("george", "jackson", "lucas", "nicolas", "theo", "yweweler")


def draw(task: str, seed: int, folder: Path) -> tuple[Path, Path]:
    """Write tables of the training examples drawn and of the test examples; return both."""
    from graft.core.seeds import generator

    train, test = _rows(task, seed)
    by_label: dict[str, list[dict[str, Any]]] = {}
    for row in train:
        by_label.setdefault(str(row["label"]), []).append(row)
    drawn = []
    for label, rows in sorted(by_label.items()):
        order = generator(seed, "draw", task, label).permutation(len(rows))
        drawn += [rows[i] for i in order[: N_EACH[task]]]
    if task == "trec":  # whose test split is small
        test = test + [row for row in train if row not in drawn]
    chosen = np.sort(np.random.default_rng(0).permutation(len(test))[:N_TEST])
    return _write(folder / "train.csv", drawn), _write(folder / "test.csv", [test[i] for i in chosen])


def _rows(task: str, seed: int) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    place = shared() / "data" / PLACES.get(task, task)
    if task in ("cifar10", "mnist", "letters"):
        return tuple(  # type: ignore[return-value]
            [{"file": str(p), "label": p.parent.name} for p in sorted((place / split).glob("*/*"))]
            for split in ("train", "test")
        )
    if task == "fsdd":
        rows = [json.loads(line) for line in (place / "metadata.jsonl").read_text(encoding="utf-8").splitlines()]
        rows = [{"file": str(place / row["audio"]), "label": row["label"], "speaker": row["speaker"]} for row in rows]
        unheard = [SPEAKERS[seed % 6], SPEAKERS[(seed + 3) % 6]]
        return [r for r in rows if r["speaker"] not in unheard], [r for r in rows if r["speaker"] in unheard]
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
