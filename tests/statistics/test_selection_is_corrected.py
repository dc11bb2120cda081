"""Choosing among equals flatters: by how much, and how much is left of it after the correction."""

from __future__ import annotations

import numpy as np
import pytest

from graft.evaluation.selection_bias import selection_bias

N_SIMULATIONS = 200


@pytest.mark.parametrize("correlation", [0.0, 0.3])
@pytest.mark.parametrize("accuracy", [0.7, 0.85])
def test_the_best_of_24_equals_is_flattered_and_corrected(accuracy: float, correlation: float) -> None:
    """24 configurations, equally good, on 100 examples; with `correlation` they share some of their mistakes."""
    rng = np.random.default_rng(7)
    plain, corrected = [], []
    for _ in range(N_SIMULATIONS):
        own = rng.random((100, 24)) < accuracy
        shared = rng.random((100, 1)) < accuracy
        right = np.where(rng.random((100, 24)) < correlation, shared, own).astype(float)
        found = selection_bias(right, n_draws=200)
        plain.append(100 * (found.plain - accuracy))
        corrected.append(100 * (found.corrected.value - accuracy))
    error = np.std(corrected) / np.sqrt(N_SIMULATIONS)
    assert np.mean(plain) > 4, "nothing to correct"
    assert abs(np.mean(corrected)) < 0.5 + error


def test_a_real_difference_is_left() -> None:
    """One of 24 is 25 points better: it is chosen, and its corrected figure is its own."""
    rng = np.random.default_rng(3)
    found = []
    for _ in range(100):
        right = (rng.random((100, 24)) < np.r_[0.95, np.full(23, 0.7)]).astype(float)
        found.append(100 * selection_bias(right, n_draws=200).corrected.value)
    assert abs(np.mean(found) - 95) < 0.5
