"""Settings of speech."""

from __future__ import annotations

import pytest

from graft.api.config import FitConfig
from graft.api.speech_training import settings_of


@pytest.mark.parametrize(("family", "asked", "passes"), [("ctc", None, 30), ("seq2seq", None, 6), ("ctc", 2.0, 2)])
def test_passes_are_those_asked_for_or_the_familys(family: str, asked: float | None, passes: float) -> None:
    assert settings_of(FitConfig(model="m", out="o", epochs=asked), family).epochs == passes
