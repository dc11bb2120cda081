"""A report read back as a page, and what it is written from."""

from __future__ import annotations

import io
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from graft.core.types import Preview
from graft.report import write_report

from .conftest import Run

VOID = {"meta", "img", "br", "wbr", "link", "input", "hr", "line", "circle", "rect", "polyline", "polygon"}


class Page(HTMLParser):
    """Collects tags, attributes and text, and refuses tags that are not closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.open: list[str] = []
        self.scripts: list[str] = []
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
        if not self.open or self.open[-1] not in ("style", "script"):
            self.words.append(data)
        elif self.open[-1] == "script":
            self.scripts.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", "".join(self.words))


def write(path: Path, run: Run, **changes: Any) -> Page:
    given: dict[str, Any] = {
        "metrics": run.metrics,
        "manifest": {"command": "graft fit pictures --out run", "seed": 0, "versions": {"graft": "0.1.0"}}
        | {"title": "Insects & others", "notes": ["3 pictures were skipped."]},
        "config": {"folds": 5, "test": None, "model": {"id": "m"}},
        "predictions": {"test": run.predictions},
        "leaderboard": run.leaderboard,
        "previews": {},
    }
    write_report(path, **(given | changes))
    return Page(path.read_text(encoding="utf-8"))


def jpeg(size: int = 32, seed: int = 0, quality: int = 75) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (size, size, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=quality)
    return file.getvalue()


def pictures_of(run: Run, content: bytes | None = None) -> dict[str, Preview]:
    return {name: Preview(content or jpeg(seed=k)) for k, name in enumerate(run.predictions.ids)}


def noun_of(noun: str) -> dict[str, Any]:
    return {"manifest": {"noun": noun}}
