from __future__ import annotations

import numpy as np
import pytest

from graft.core.errors import DataError
from graft.core.types import Estimate, Predictions

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


def test_an_estimate_goes_there_and_back() -> None:
    estimate = Estimate(0.5, 0.4, 0.6, 100, "wilson")
    assert Estimate.from_dict(estimate.as_dict()) == estimate
    assert list(estimate.as_dict()) == ["value", "low", "high", "n", "method", "level"]
