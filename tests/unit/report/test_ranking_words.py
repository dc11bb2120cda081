"""What is said of a choice between models: corrected, and where the correction is not positive."""

from __future__ import annotations

import pytest

from graft.report.sections.race import corrected_sentence
from graft.report.sections.ranking import corrected_choice


@pytest.mark.parametrize(("corrected", "flatters"), [(0.90, True), (0.944, False), (0.945, False)])
def test_a_choice_that_did_not_flatter_is_said_not_to(corrected: float, flatters: bool) -> None:
    bias = {"n_candidates": 2, "plain": 0.944, "corrected": {"value": corrected, "low": 0.85, "high": 0.99}}
    for sentence in (corrected_choice(bias), corrected_sentence(bias)):
        assert sentence is not None
        assert ("did not flatter" in sentence) != flatters
        assert "corrected for the choice" in sentence
