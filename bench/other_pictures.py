"""Pictures unlike those that a model has learned from, written as files: other writers, and half the resolution."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["at_half_resolution", "digits_folder"]


def digits_folder(folder: Path) -> Path:
    """Write scikit-learn's digits as pictures of 8 pixels, a folder a digit."""
    from PIL import Image
    from sklearn.datasets import load_digits

    data: Any = load_digits()
    for i, (pixels, digit) in enumerate(zip(data.images, data.target, strict=True)):
        place = folder / "digits" / str(digit)
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray((pixels * 255 / 16).astype(np.uint8)).save(place / f"{i:04d}.png")
    return folder / "digits"


def at_half_resolution(part: Any, folder: Path) -> Path:
    """Write pictures that lost every second pixel of each side, at their old size."""
    from PIL import Image

    from graft.data.corruptions.corrupted import CorruptedExamples
    from graft.data.kinds import PICTURE

    worse = CorruptedExamples(part, range(len(part)), kind=PICTURE, corruption="low resolution", severity=2)
    for i, label in enumerate(part.labels):
        place = folder / "half" / part.label_names[int(label)]
        place.mkdir(parents=True, exist_ok=True)
        Image.open(io.BytesIO(worse.read(i))).save(place / f"{i:05d}.png")
    return folder / "half"
