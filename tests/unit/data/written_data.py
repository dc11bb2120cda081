"""Folders and tables of tiny pictures, written for the readers."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from datasets import Dataset
from PIL import Image as Pillow


def picture(number: int) -> bytes:
    file = io.BytesIO()
    Pillow.new("RGB", (4, 4), (number % 256, 7, 9)).save(file, "PNG")
    return file.getvalue()


def make_folder(folder: Path, counts: dict[str, int], *, start: int = 0) -> Path:
    for label, count in counts.items():
        (folder / label).mkdir(parents=True, exist_ok=True)
        for i in range(count):
            (folder / label / f"{i}.png").write_bytes(picture(start + i))
    return folder


def make_files(folder: Path, n: int) -> list[str]:
    (folder / "pics").mkdir(parents=True, exist_ok=True)
    for i in range(n):
        (folder / "pics" / f"{i}.png").write_bytes(picture(i))
    return [f"pics/{i}.png" for i in range(n)]


Rows = Sequence[dict[str, Any]]


def write_csv(path: Path, rows: Rows, delimiter: str = ",") -> None:
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), delimiter=delimiter)
        writer.writeheader()
        writer.writerows(rows)


def write_jsonl(path: Path, rows: Rows) -> None:
    path.write_text("".join(json.dumps(row) + "\n\n" for row in rows), encoding="utf-8")


def write_table(path: Path, rows: Rows) -> None:
    writers: dict[str, Callable[[], object]] = {
        ".csv": lambda: write_csv(path, rows),
        ".tsv": lambda: write_csv(path, rows, "\t"),
        ".jsonl": lambda: write_jsonl(path, rows),
        ".json": lambda: path.write_text(json.dumps(list(rows)), encoding="utf-8"),
        ".parquet": lambda: Dataset.from_list(list(rows)).to_parquet(str(path)),
    }
    writers[path.suffix]()


KINDS = [".csv", ".tsv", ".jsonl", ".json", ".parquet"]
