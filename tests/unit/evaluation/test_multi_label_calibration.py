"""A temperature about the labels' shares, and thresholds that make F1 large on examples that nobody has seen."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import expit

from graft.core.errors import DataError
from graft.evaluation.multi_label_calibration import (
    choose_thresholds,
    fit_prior_temperature,
    prior_log_odds,
    tempered,
)

Floats = NDArray[np.float64]


def simulate(rng: np.random.Generator, n: int, *, n_labels: int = 6) -> tuple[Floats, NDArray[np.uint8]]:
    """Return true log-odds (n, n_labels), from frequent to rare labels, and labels drawn from them."""
    middle = np.linspace(0, -3.5, n_labels)
    z = middle + 1.5 * rng.normal(size=(n, n_labels))
    return z, (rng.random(z.shape) < expit(z)).astype(np.uint8)


def loss(z: Floats, y: NDArray[np.uint8]) -> float:
    return float(np.logaddexp(0, np.where(y == 1, -z, z)).mean())


def f1(p: Floats, y: NDArray[np.uint8], thresholds: Floats | float) -> Floats:
    said = p >= thresholds
    return np.asarray(2 * (said & (y == 1)).sum(0) / np.maximum(said.sum(0) + y.sum(0), 1))


@pytest.mark.parametrize("true", [0.5, 1.0, 2.5])
def test_the_temperature_is_recovered(true: float) -> None:
    z, y = simulate(np.random.default_rng(0), 20_000)
    centre = prior_log_odds(y)
    overstated = (z - centre) * true + centre
    assert fit_prior_temperature(overstated, y, centre=centre) == pytest.approx(true, rel=0.05)


def test_the_temperature_has_the_least_loss_but_for_its_smoothing() -> None:
    z, y = simulate(np.random.default_rng(1), 800)
    centre = prior_log_odds(y)
    z = 3 * z
    found = loss(tempered(z, fit_prior_temperature(z, y, centre=centre), centre=centre).astype(float), y)
    best = minimize_scalar(lambda t: loss((z - centre) / np.exp(t) + centre, y), bounds=(-3, 3), method="bounded").fun
    assert found == pytest.approx(best, abs=1e-4)


def test_noise_goes_to_the_shares_and_perfection_stays_finite() -> None:
    rng = np.random.default_rng(2)
    y = (rng.random((100, 3)) < [0.5, 0.1, 0.05]).astype(np.uint8)
    centre = prior_log_odds(y)
    wrong = np.where(y == 1, -3.0, 3.0)
    assert fit_prior_temperature(wrong, y, centre=centre) == 1_000
    np.testing.assert_allclose(tempered(wrong, 1_000.0, centre=centre), np.tile(centre, (100, 1)), atol=0.02)
    right = np.where(y == 1, 0.5, -0.5) + centre
    assert 0.001 < fit_prior_temperature(right, y, centre=centre) < 0.5
    with pytest.raises(DataError, match="bad logits"):
        fit_prior_temperature(np.full((100, 3), np.nan), y, centre=centre)


def test_tempering_logits_is_tempering_weights_and_bias() -> None:
    rng = np.random.default_rng(3)
    x, weights, bias, centre = rng.normal(size=(5, 4)), rng.normal(size=(3, 4)), rng.normal(size=3), rng.normal(size=3)
    whole = tempered(x @ weights.T + bias, 2.0, centre=centre)
    np.testing.assert_allclose(x @ (weights / 2).T + tempered(bias, 2.0, centre=centre), whole, rtol=1e-5)
    np.testing.assert_allclose(tempered(bias, 2.0), bias / 2, rtol=1e-6)


def test_with_many_examples_the_threshold_is_half_of_the_best_f1() -> None:
    """What Lipton and others prove for calibrated probabilities."""
    z, y = simulate(np.random.default_rng(4), 60_000)
    p = expit(z)
    thresholds = choose_thresholds(p, y)
    np.testing.assert_allclose(thresholds, f1(p, y, thresholds) / 2, atol=0.03)


def test_few_examples_are_not_taken_at_their_word() -> None:
    """On fresh examples these thresholds do better than those of the highest F1 seen, and than one half."""
    rng = np.random.default_rng(5)
    gains, gains_on_half = [], []
    for _ in range(40):
        z, y = simulate(rng, 80)
        fresh_z, fresh_y = simulate(rng, 4_000)
        p, fresh = expit(z), expit(fresh_z)
        greedy = np.array([max(p[:, j], key=lambda t, j=j: f1(p, y, t)[j]) for j in range(y.shape[1])])
        mine = f1(fresh, fresh_y, choose_thresholds(p, y)).mean()
        gains.append(mine - f1(fresh, fresh_y, greedy).mean())
        gains_on_half.append(mine - f1(fresh, fresh_y, 0.5).mean())
    assert np.mean(gains) > 2 * np.std(gains) / np.sqrt(len(gains))
    assert np.mean(gains_on_half) > 0.05


def test_equal_probabilities_are_not_torn_apart_and_ends_are_probabilities() -> None:
    p = np.array([[0.5, 1.0, 0.0], [0.5, 1.0, 0.0], [0.5, 1.0, 0.0]])
    y = np.array([[1, 1, 0], [0, 1, 0], [0, 1, 0]], np.uint8)
    thresholds = choose_thresholds(p, y)
    assert ((thresholds >= 0) & (thresholds <= 1)).all()
    assert thresholds[0] <= 0.5
    assert thresholds[1] <= 1.0
