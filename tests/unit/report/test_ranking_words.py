"""What is said of a choice between models: corrected, and where the correction is not positive."""

from __future__ import annotations

import pytest

from graft.report.sections.race import corrected_sentence, taken_name
from graft.report.sections.ranking import corrected_choice


@pytest.mark.parametrize(("corrected", "flatters"), [(0.90, True), (0.944, False), (0.945, False)])
def test_a_choice_that_did_not_flatter_is_said_not_to(corrected: float, flatters: bool) -> None:
    bias = {"n_candidates": 2, "plain": 0.944, "corrected": {"value": corrected, "low": 0.85, "high": 0.99}}
    race = {"selection": bias, "standings": [{"name": "lp-ft", "learning_rate": 1e-4}]}
    for sentence in (corrected_choice(bias), corrected_sentence(race)):
        assert sentence is not None
        assert ("did not flatter" in sentence) != flatters
        assert "corrected for the choice" in sentence


def test_a_leader_that_is_not_taken_is_named() -> None:
    bias = {"n_candidates": 5, "plain": 0.67, "corrected": {"value": 0.63, "low": 0.5, "high": 0.7}}
    standings = [{"name": "a", "learning_rate": 1.2e-4}, {"name": "b", "learning_rate": 4e-5}]
    told = corrected_sentence({"selection": bias, "standings": standings, "learning_rate": 4e-5})
    assert told.startswith("The leader of 5 (0.00012, which is not taken) was right on 67")
    assert taken_name({"standings": standings, "learning_rate": 4e-5}) == "b"
    assert taken_name({"standings": standings, "learning_rate": 7e-5}) == "a", "a parabola's lowest point"
