"""The confusion matrix as cells, and the mistakes themselves with their pictures."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from graft.core.types import MultiLabelPredictions, Predictions
from graft.report import wording as w

__all__ = [
    "MAX_GRID_CLASSES",
    "PictureBudget",
    "confused_pairs",
    "confusion_cells",
    "farthest_off",
    "most_confident",
    "pair_groups",
]

MAX_GRID_CLASSES = 25
_MAX_PICTURE_BYTES = 100_000
_MAX_TEXT = 300
_SIGNATURES = ((b"\x89PNG\r\n\x1a\n", "png"), (b"\xff\xd8\xff", "jpeg"), (b"GIF8", "gif"))


class PictureBudget:
    """Hands out pictures as data addresses until their bytes are spent.

    Parameters
    ----------
    thumbnails : encoded small pictures by example id.
    texts : the examples themselves, where they are texts; of a long one the beginning is shown.
    sounds : short WAV files by example id.
    max_bytes : of all pictures and sounds together, before base64 makes them a third larger.
    """

    def __init__(
        self,
        thumbnails: Mapping[str, bytes],
        texts: Mapping[str, str] | None = None,
        sounds: Mapping[str, bytes] | None = None,
        *,
        max_bytes: int = 2_400_000,
    ) -> None:
        self._thumbnails, self._texts, self._sounds = thumbnails, texts or {}, sounds or {}
        self._left = max_bytes

    def take(self, example: str) -> str | None:
        """Return ``data:image/...`` of an example, or None: no picture, no known format, too large, budget spent."""
        content = self._thumbnails.get(example)
        if not content or len(content) > min(self._left, _MAX_PICTURE_BYTES):
            return None
        kind = next((name for signature, name in _SIGNATURES if content.startswith(signature)), None)
        if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
            kind = "webp"
        if kind is None:
            return None
        self._left -= len(content)
        return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"

    def sound(self, example: str) -> str | None:
        """Return ``data:audio/wav`` of an example, or None: no sound, no WAV file, too large, budget spent."""
        content = self._sounds.get(example)
        if not content or len(content) > min(self._left, _MAX_PICTURE_BYTES):
            return None
        if content[:4] != b"RIFF" or content[8:12] != b"WAVE":
            return None
        self._left -= len(content)
        return f"data:audio/wav;base64,{base64.b64encode(content).decode()}"

    def text(self, example: str) -> str:
        """Return the text of an example, 300 characters at most; empty where it is none."""
        text = self._texts.get(example, "")
        return w.plain(text if len(text) <= _MAX_TEXT else text[: _MAX_TEXT - 1] + "…")


def confusion_cells(confusion: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return one row for each true class, with for each predicted class the count and how dark its cell is."""
    labels, counts = confusion["labels"], confusion["counts"]
    rows = []
    for i, row in enumerate(counts):
        total = sum(row)
        cells = []
        for j, n in enumerate(row):
            share = n / total if total else 0.0
            # Mistakes are rare: the square root keeps 1 of 60 visible.
            ink = 10 + 90 * share if i == j else 50 * share**0.5
            cells.append(
                {
                    "n": n,
                    "ink": round(ink) if n else 0,
                    "is_right": i == j,
                    "is_dark": i == j and ink > 86,
                    "title": f"{n} of {total}: true {w.quoted(labels[i])}, predicted {w.quoted(labels[j])}",
                }
            )
        rows.append({"name": w.plain(labels[i]), "total": total, "cells": cells})
    return rows


def confused_pairs(confusion: Mapping[str, Any], *, most: int = 20) -> list[dict[str, Any]]:
    """Return the pairs (true, predicted) with the most mistakes, and which share of the true class they are."""
    counts = np.array(confusion["counts"], dtype=np.int64)
    totals = counts.sum(axis=1)
    np.fill_diagonal(counts, 0)
    order = np.argsort(-counts, axis=None, kind="stable")[:most]
    pairs = [(int(k) // len(counts), int(k) % len(counts)) for k in order]
    labels = confusion["labels"]
    return [
        {
            "true": w.plain(labels[i]),
            "predicted": w.plain(labels[j]),
            "n": int(counts[i, j]),
            "total": int(totals[i]),
            "share": w.percent(counts[i, j] / totals[i]),
            "width": round(100 * float(counts[i, j] / totals[i]), 2),
        }
        for i, j in pairs
        if counts[i, j] > 0
    ]


def most_confident(predictions: Predictions, budget: PictureBudget, *, most: int = 12) -> list[dict[str, Any]]:
    """Return the mistakes with the highest confidence, most confident first."""
    return _shown(predictions, _mistakes(predictions)[:most], budget)


def farthest_off(predictions: MultiLabelPredictions, budget: PictureBudget, *, most: int = 12) -> list[dict[str, Any]]:
    """Return the examples with a label wrongly given or missing, those first whose probability was farthest off."""
    p, said, has = predictions.probabilities, predictions.predicted, predictions.targets
    distance = np.where(said != has, np.abs(p - has), -1.0)
    distance[~predictions.is_known] = -1.0
    worst = distance.argmax(axis=1)
    farthest = distance.max(axis=1)
    rows = [int(i) for i in np.argsort(-farthest, kind="stable")[:most] if farthest[i] >= 0]

    def names(row: int, sets: Any) -> str:
        found = [w.plain(predictions.label_names[k]) for k in np.flatnonzero(sets[row] == 1)]
        return ", ".join(found) or "none"

    return [
        {
            "id": w.plain(predictions.ids[i]),
            "short_id": _short(w.plain(predictions.ids[i])),
            "true": names(i, has),
            "predicted": names(i, said),
            "confidence": f"{w.plain(predictions.label_names[worst[i]])} {100 * p[i, worst[i]]:.0f}{w.THIN}%",
            "picture": budget.take(predictions.ids[i]),
            "text": budget.text(predictions.ids[i]),
            "sound": budget.sound(predictions.ids[i]),
        }
        for i in rows
    ]


def pair_groups(
    predictions: Predictions, budget: PictureBudget, *, most_groups: int = 12, most_each: int = 6
) -> list[dict[str, Any]]:
    """Return the mistakes by (true, predicted), the most frequent pair first, most confident first in each."""
    groups: dict[tuple[int, int], list[int]] = {}
    predicted = predictions.predicted
    for i in _mistakes(predictions):
        groups.setdefault((int(predictions.targets[i]), int(predicted[i])), []).append(i)
    largest = sorted(groups.items(), key=lambda item: -len(item[1]))[:most_groups]
    return [
        {
            "true": w.plain(predictions.label_names[t]),
            "predicted": w.plain(predictions.label_names[p]),
            "n": len(members),
            "n_more": max(0, len(members) - most_each),
            "examples": _shown(predictions, members[:most_each], budget),
        }
        for (t, p), members in largest
    ]


def _mistakes(predictions: Predictions) -> list[int]:
    is_wrong = ~predictions.is_correct & (predictions.targets >= 0)
    rows = np.flatnonzero(is_wrong)
    confidence = predictions.probabilities[rows, predictions.predicted[rows]]
    return [int(i) for i in rows[np.argsort(-confidence, kind="stable")]]


def _shown(predictions: Predictions, rows: Sequence[int], budget: PictureBudget) -> list[dict[str, Any]]:
    log_p = predictions.log_probabilities
    predicted = predictions.predicted
    return [
        {
            "id": w.plain(predictions.ids[i]),
            "short_id": _short(w.plain(predictions.ids[i])),
            "true": w.plain(predictions.label_names[int(predictions.targets[i])]),
            "predicted": w.plain(predictions.label_names[int(predicted[i])]),
            "confidence": f"{100 * float(np.exp(log_p[i, predicted[i]])):.0f}{w.THIN}%",
            "picture": budget.take(predictions.ids[i]),
            "sound": budget.sound(predictions.ids[i]),
            "text": budget.text(predictions.ids[i]),
        }
        for i in rows
    ]


def _short(example: str) -> str:
    return example if len(example) <= 60 else "…" + example[-59:]
