"""The script that makes an encoder of spoken words from nothing but a speech synthesiser."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def script() -> Any:
    if shutil.which("espeak-ng") is None:
        pytest.skip("espeak-ng is not installed")
    spec = importlib.util.spec_from_file_location("pretrain_words", ROOT / "scripts" / "pretrain_words.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_utterances_of_a_word_differ_and_repeat(script: Any, tmp_path: Path) -> None:
    for name in ("first", "again"):
        script.draw_words(("about", "mother"), tmp_path / name, n_each=3)
    drawn = [np.asarray(Image.open(path)) for path in sorted((tmp_path / "first").glob("*/*.png"))]
    again = [np.asarray(Image.open(path)) for path in sorted((tmp_path / "again").glob("*/*.png"))]
    assert [picture.shape for picture in drawn] == [(64, 64)] * 6
    assert all(np.array_equal(a, b) for a, b in zip(drawn, again, strict=True))
    assert len({picture.tobytes() for picture in drawn}) == 6
    assert all(picture.max() == 255 and picture.std() > 20 for picture in drawn)


def test_the_digits_are_not_among_the_words(script: Any) -> None:
    assert len(script.WORDS) == len(set(script.WORDS)) == 106
    assert not set(script.WORDS) & {"zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"}
