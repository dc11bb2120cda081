from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from graft.core.errors import DataError
from graft.core.types import UNKNOWN, Estimate, MultiLabelPredictions, Predictions

LOGITS = np.array([[1000.0, 0.0], [-1.0, 1.0], [0.0, 0.5]])
PREDICTIONS = Predictions(["a", "b", "c"], np.array([0, 0, -1]), LOGITS, ("x", "y"), "test")


def test_predictions_derive_what_is_asked_of_them() -> None:
    assert len(PREDICTIONS) == 3
    assert PREDICTIONS.predicted.tolist() == [0, 1, 1]
    assert PREDICTIONS.is_correct.tolist() == [True, False, False]
    np.testing.assert_allclose(PREDICTIONS.probabilities.sum(1), 1)
    np.testing.assert_allclose(PREDICTIONS.log_probabilities[0], [0, -1000])
    np.testing.assert_allclose(PREDICTIONS.probabilities[1, 1], 1 / (1 + np.exp(-2)))


@pytest.mark.parametrize(
    ("ids", "targets", "names"),
    [(["a"], [0, 0, 1], ("x", "y")), (["a", "b", "c"], [0, 0], ("x", "y")), (["a", "b", "c"], [0, 0, 1], ("x",))],
)
def test_lengths_that_do_not_fit_are_refused(ids: list[str], targets: list[int], names: tuple[str, ...]) -> None:
    with pytest.raises(DataError, match="predictions with"):
        Predictions(ids, np.array(targets), LOGITS, names)


SETS = np.array([[1, 0], [0, 0], [UNKNOWN, UNKNOWN]], np.uint8)
ODDS = np.array([[1000.0, -1000.0], [-1.0, 0.0], [3.0, 3.0]], np.float32)


def test_predictions_of_several_labels_derive_what_is_asked_of_them() -> None:
    p = MultiLabelPredictions(["a", "b", "c"], SETS, ODDS, ("x", "y"), "test")
    assert len(p) == 3
    np.testing.assert_allclose(p.probabilities, 1 / (1 + np.exp(-np.clip(ODDS.astype(float), -700, 700))), atol=1e-300)
    assert p.predicted.tolist() == [[1, 0], [0, 1], [1, 1]]
    assert p.predicted.dtype == np.uint8
    assert p.is_correct.tolist() == [True, False, False]
    assert p.is_known.tolist() == [True, True, False]
    strict = MultiLabelPredictions(["a", "b", "c"], SETS, ODDS, ("x", "y"), thresholds=np.array([0.2, 0.51]))
    assert strict.predicted.tolist() == [[1, 0], [1, 0], [1, 1]]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"ids": ["a"]}, "predictions with 1 ids"),
        ({"targets": SETS[:2]}, "predictions with 3 ids"),
        ({"label_names": ("x",)}, "1 label names"),
        ({"thresholds": np.array([0.5, 1.5])}, "thresholds"),
        ({"thresholds": np.array([0.5, np.nan])}, "thresholds"),
        ({"thresholds": np.full(3, 0.5)}, "for 2 labels"),
    ],
)
def test_shapes_and_thresholds_that_do_not_fit_are_refused(changes: dict[str, Any], words: str) -> None:
    given: dict[str, Any] = {"ids": ["a", "b", "c"], "targets": SETS, "logits": ODDS, "label_names": ("x", "y")}
    with pytest.raises(DataError, match=words):
        MultiLabelPredictions(**(given | changes))


def test_an_estimate_goes_there_and_back() -> None:
    estimate = Estimate(0.5, 0.4, 0.6, 100, "wilson")
    assert Estimate.from_dict(estimate.as_dict()) == estimate
    assert list(estimate.as_dict()) == ["value", "low", "high", "n", "method", "level"]
