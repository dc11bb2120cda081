from __future__ import annotations

import json

import numpy as np
import pytest

from graft.core.decision import Decision
from graft.core.types import MultiLabelPredictions, Predictions

LOGITS = np.array([[2.0, 0.0, -1.0], [-800.0, 0.0, 800.0]], np.float32)
NAMES = ("a", "b", "c")


def test_the_likeliest_class_where_nothing_is_said() -> None:
    found = Decision().predictions(["x", "y"], np.array([0, 1]), logits=LOGITS, label_names=NAMES, split="test")
    assert isinstance(found, Predictions)
    assert found.predicted.tolist() == [0, 2]
    np.testing.assert_allclose(Decision().probabilities(LOGITS), found.probabilities, rtol=1e-6)


def test_an_offset_changes_what_is_said_and_no_probability() -> None:
    moved = Decision(offset=np.array([-3.0, 0.0, 3.0]))
    found = moved.predictions(["x", "y"], np.array([0, 1]), logits=LOGITS, label_names=NAMES, split="test")
    assert found.predicted.tolist() == [2, 2]
    np.testing.assert_array_equal(moved.probabilities(LOGITS), Decision().probabilities(LOGITS))


def test_thresholds_make_label_sets() -> None:
    several = Decision(thresholds=np.array([0.5, 0.6, 0.2]))
    assert several.is_multi_label
    sets = np.zeros((2, 3), np.uint8)
    found = several.predictions(["x", "y"], sets, logits=LOGITS, label_names=NAMES, split="test")
    assert isinstance(found, MultiLabelPredictions)
    assert found.predicted.tolist() == [[1, 0, 1], [0, 0, 1]]
    np.testing.assert_allclose(several.probabilities(LOGITS), found.probabilities)


@pytest.mark.parametrize(
    "decision", [Decision(), Decision(offset=np.array([0.5, -0.5])), Decision(thresholds=np.array([0.1, 0.9]))]
)
def test_there_and_back(decision: Decision) -> None:
    again = Decision.from_dict(json.loads(json.dumps(decision.as_dict())))
    assert again.as_dict() == decision.as_dict()
    assert Decision.from_dict({}).as_dict() == {"thresholds": None, "offset": None}
