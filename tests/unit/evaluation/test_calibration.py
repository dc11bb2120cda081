from __future__ import annotations

import numpy as np
import pytest
from scipy import optimize

from graft.core.errors import DataError
from graft.core.types import Predictions
from graft.evaluation import expected_calibration_error, fit_temperature


def stated(confidence: list[float], is_right: list[bool]) -> Predictions:
    """Return two-class predictions of class 0 with the given confidences."""
    c = np.array(confidence)
    logits = np.log(np.stack([c, 1 - c], axis=1))
    return Predictions([str(i) for i in range(c.size)], np.where(is_right, 0, 1), logits, ("a", "b"))


def test_error_by_hand() -> None:
    # Bins of width 1/15: 0.61 and 0.65 share [9/15, 10/15), 0.92 stands in [13/15, 14/15).
    found = expected_calibration_error(stated([0.61, 0.65, 0.92, 0.92], [True, False, True, True]))
    assert found.error == pytest.approx(0.5 * abs(0.5 - 0.63) + 0.5 * abs(1 - 0.92))
    assert [b.n for b in found.bins] == [2, 2]
    assert found.bins[0].confidence == pytest.approx(0.63)
    assert found.gap == pytest.approx(0.775 - 0.75)


def test_null_is_the_one_of_these_confidences() -> None:
    rng = np.random.default_rng(0)
    z = rng.normal(size=(100, 10)) * 1.5
    p = Predictions([str(i) for i in range(100)], np.zeros(100, dtype=np.int64), z, tuple("abcdefghij"))
    found = expected_calibration_error(p)
    confidence = p.probabilities.max(axis=1)
    place = np.minimum((confidence * 15).astype(int), 14)
    errors = []
    for _ in range(3_000):
        right = rng.random(100) < confidence
        errors.append(sum(abs((right - confidence)[place == b].sum()) for b in range(15)) / 100)
    assert found.null_median == pytest.approx(np.median(errors), rel=0.05)
    assert found.null_95 == pytest.approx(np.quantile(errors, 0.95), rel=0.05)


def test_certain_and_right_has_no_error_and_no_evidence_against_it() -> None:
    z = np.array([[800.0, 0.0]] * 20)
    found = expected_calibration_error(Predictions([str(i) for i in range(20)], np.zeros(20, int), z, ("a", "b")))
    assert found.error == 0
    assert found.p_value == 1


def test_no_examples_is_an_error() -> None:
    with pytest.raises(DataError):
        expected_calibration_error(stated([], []))


def test_temperature_is_where_the_log_loss_is_least() -> None:
    rng = np.random.default_rng(1)
    z = rng.normal(size=(4_000, 5)) * 3
    p = np.exp(z / 2.5) / np.exp(z / 2.5).sum(axis=1, keepdims=True)
    t = (p.cumsum(axis=1) < rng.random((4_000, 1))).sum(axis=1)

    def loss(log_t: float) -> float:
        return float(
            -Predictions([""] * 4_000, t, z / np.exp(log_t), tuple("abcde")).log_probabilities[range(4_000), t].mean()
        )

    least = float(np.exp(optimize.minimize_scalar(loss, bounds=(-2, 3), method="bounded").x))
    found = fit_temperature(z, t)
    assert found == pytest.approx(least, rel=0.005)
    assert found == pytest.approx(2.5, rel=0.06)
    assert fit_temperature(z * 7, t) == pytest.approx(7 * found, rel=1e-6)
    assert fit_temperature(z + rng.normal(size=(4_000, 1)), t) == pytest.approx(found, rel=1e-6)


def test_temperature_ignores_unknown_targets() -> None:
    z = np.random.default_rng(2).normal(size=(200, 3))
    t = np.random.default_rng(3).integers(0, 3, 200)
    t[100:] = -1
    assert fit_temperature(z, t) == fit_temperature(z[:100], t[:100])


def test_all_right_does_not_become_certain() -> None:
    z = 8 * np.eye(2)[np.zeros(50, int)]
    t = np.zeros(50, dtype=np.int64)
    temperature = fit_temperature(z, t)
    confidence = 1 / (1 + np.exp(-8 / temperature))
    assert 0.97 < confidence < 0.995  # about one wrong answer in 2 (n + 1)


def test_logits_that_say_nothing() -> None:
    assert fit_temperature(np.zeros((5, 3)), np.array([0, 1, 2, 0, 1])) == 1.0
    assert fit_temperature(np.eye(2)[[0, 0, 1, 1]], np.array([1, 1, 0, 0])) == 1_000.0


@pytest.mark.parametrize(("logits", "targets"), [(np.eye(2), [-1, -1]), (np.full((2, 2), np.nan), [0, 1])])
def test_temperature_refuses_nothing_to_fit(logits: np.ndarray, targets: list[int]) -> None:
    with pytest.raises(DataError):
        fit_temperature(logits, np.array(targets))
