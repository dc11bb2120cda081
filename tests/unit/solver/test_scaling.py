from __future__ import annotations

import numpy as np
import pytest

from graft.core.errors import UsageError
from graft.solver.scaling import SCALING_NAMES, fit_scaling

FEATURES = np.random.default_rng(0).normal(3, [0.1, 1, 50], (40, 3)).astype(np.float32)


def test_z_score_divides_by_the_deviation_and_leaves_the_mean_to_the_bias() -> None:
    scaled = fit_scaling("z-score", FEATURES).apply(FEATURES)
    np.testing.assert_allclose(scaled.std(0), 1, rtol=1e-5)
    assert (np.abs(scaled.mean(0)) > 0.01).all()


def test_unit_norm_gives_every_example_the_same_length() -> None:
    scaled = fit_scaling("unit-norm", FEATURES).apply(FEATURES)
    np.testing.assert_allclose(np.linalg.norm(scaled, axis=1), np.sqrt(3), rtol=1e-5)
    zero = np.zeros((1, 3), np.float32)
    assert np.array_equal(fit_scaling("unit-norm", zero).apply(zero), zero)


def test_none_changes_nothing() -> None:
    assert fit_scaling("none", FEATURES).apply(FEATURES) is FEATURES


@pytest.mark.parametrize("name", [name for name in SCALING_NAMES if name != "unit-norm"])
def test_weights_take_a_linear_scaling_up(name: str) -> None:
    scaling = fit_scaling(name, FEATURES)
    assert scaling.is_linear
    weights = np.random.default_rng(1).normal(size=(4, 3)).astype(np.float32)
    unscaled, bias = scaling.unscale(weights, np.ones(4, np.float32))
    np.testing.assert_allclose(FEATURES @ unscaled.T + bias, scaling.apply(FEATURES) @ weights.T + 1, rtol=1e-4)


def test_unit_norm_is_not_linear() -> None:
    assert not fit_scaling("unit-norm", FEATURES).is_linear


def test_features_that_do_not_vary_are_left_alone() -> None:
    features = FEATURES.copy()
    features[:, 1] = 1234.5
    features[:, 2] = 0
    scaling = fit_scaling("z-score", features)
    assert scaling.divisor[1:].tolist() == [1, 1]
    assert np.isfinite(scaling.apply(features)).all()


def test_a_feature_that_is_almost_always_off_does_not_grow_without_bound() -> None:
    features = np.abs(np.random.default_rng(0).normal(size=(500, 6))).astype(np.float32)
    features[:, 0] = 0
    features[3, 0] = 1e-3
    scaled = fit_scaling("z-score", features).apply(np.ones((1, 6), np.float32))
    assert scaled[0, 0] < 25 * scaled[0, 1]


def test_an_unknown_scaling_names_the_nearest() -> None:
    with pytest.raises(UsageError, match="Did you mean 'z-score'"):
        fit_scaling("zscore", FEATURES)
