"""The head that cross-validation chose: its weights carry scaling and temperature, its evidence is out of fold."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from graft.methods.head_only import HeadFit, HeadOnly
from graft.solver.cross_validation import cross_validate
from graft.solver.scaling import fit_scaling


def blobs(
    n: int, d: int = 12, n_classes: int = 3, *, noise: float = 2.0, seed: int = 0
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    random = np.random.default_rng(seed)
    targets = np.arange(n) % n_classes
    features = random.normal(size=(n_classes, d))[targets] + noise * random.normal(size=(n, d))
    sizes = np.exp(2 * random.normal(size=d))
    return np.maximum(features * sizes, 0).astype(np.float32), targets


def log_loss(logits: NDArray[np.float32], targets: NDArray[np.int64]) -> float:
    z = logits.astype(np.float64)
    z = z - np.logaddexp.reduce(z, axis=1, keepdims=True)
    return float(-z[np.arange(len(z)), targets].mean())


@pytest.fixture(scope="module")
def fitted() -> tuple[NDArray[np.float32], NDArray[np.int64], HeadFit]:
    features, targets = blobs(90)
    return features, targets, HeadOnly(n_folds=4).fit(features, targets, n_classes=3)


def test_the_weights_carry_scaling_and_temperature(
    fitted: tuple[NDArray[np.float32], NDArray[np.int64], HeadFit],
) -> None:
    """Fit again by hand with the chosen scaling; the folded head must be that fit over the temperature."""
    features, targets, head = fitted
    scaling = fit_scaling(head.scaling, features)
    again = cross_validate(features, targets, n_classes=3, folds=head.folds, scaling=scaling)
    assert again.best.penalty == pytest.approx(head.penalty)
    np.testing.assert_allclose(head.weights * head.temperature, again.weights, rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(
        head.out_of_fold_logits * head.temperature, again.out_of_fold_logits, rtol=1e-4, atol=1e-5
    )
    scaled = scaling.apply(features) @ (again.weights * scaling.divisor).T + again.bias
    np.testing.assert_allclose(head.logits(features), scaled / head.temperature, rtol=1e-3, atol=1e-3)


def test_the_temperature_is_the_best_for_out_of_fold_logits(
    fitted: tuple[NDArray[np.float32], NDArray[np.int64], HeadFit],
) -> None:
    _, targets, head = fitted
    at_one = log_loss(head.out_of_fold_logits, targets)
    best = minimize_scalar(
        lambda t: log_loss(head.out_of_fold_logits / np.exp(t), targets), bounds=(-2, 2), method="bounded"
    )
    assert at_one == pytest.approx(best.fun, abs=1e-4)


def test_the_leaderboard_lists_all_and_marks_one(
    fitted: tuple[NDArray[np.float32], NDArray[np.int64], HeadFit],
) -> None:
    _, _, head = fitted
    (chosen,) = [row for row in head.leaderboard if row["is_chosen"]]
    assert (chosen["scaling"], chosen["penalty"]) == (head.scaling, head.penalty)
    assert {row["scaling"] for row in head.leaderboard} == {"none", "z-score", "unit-norm"}


@pytest.mark.parametrize("seed", range(3))
def test_unit_norm_is_listed_and_never_chosen(seed: int) -> None:
    """Directions alone tell the classes apart here; lengths are noise: unit norm is the best by far."""
    random = np.random.default_rng(seed)
    targets = np.arange(120) % 3
    directions = random.normal(size=(3, 10))[targets] + 0.7 * random.normal(size=(120, 10))
    features = (directions * np.exp(3 * random.normal(size=(120, 1)))).astype(np.float32)
    head = HeadOnly().fit(features, targets, n_classes=3)
    least = min(head.leaderboard, key=lambda row: row["log_loss"])
    assert least["scaling"] == "unit-norm"
    assert head.scaling != "unit-norm"
    assert any("unit-norm features would lower the out-of-fold log-loss by" in note for note in head.notes)


def test_two_examples_a_class() -> None:
    features, targets = blobs(6, noise=0.3)
    head = HeadOnly().fit(features, targets, n_classes=3)
    assert np.unique(head.folds).tolist() == [0, 1]
    for k in (0, 1):
        assert sorted(targets[head.folds == k]) == [0, 1, 2]
    assert np.isfinite(head.weights).all()
    assert np.isfinite(head.out_of_fold_logits).all()
    assert any("2 folds" in note for note in head.notes)
    assert any("rests on very few held-out answers" in note for note in head.notes)


def test_copies_share_a_fold() -> None:
    features, targets = blobs(60, d=80, noise=50.0)
    groups = np.tile(np.arange(60), 2)
    head = HeadOnly(scalings=("none",)).fit(np.tile(features, (2, 1)), np.tile(targets, 2), n_classes=3, groups=groups)
    np.testing.assert_array_equal(head.folds[:60], head.folds[60:])
    right = head.out_of_fold_logits.argmax(1) == np.tile(targets, 2)
    assert right.mean() < 0.7, "noise cannot be predicted out of fold unless copies leak"


def test_noise_gets_the_shares_of_the_classes() -> None:
    features, _ = blobs(200, d=20)
    targets = np.random.default_rng(7).permutation(np.repeat([0, 1, 2], [120, 50, 30]))
    head = HeadOnly().fit(features, targets, n_classes=3)
    shares = np.array([120, 50, 30]) / 200
    entropy = -(shares * np.log(shares)).sum()
    assert log_loss(head.out_of_fold_logits, targets) < entropy + 0.05
    probabilities = np.exp(head.logits(features) - np.logaddexp.reduce(head.logits(features), axis=1, keepdims=True))
    np.testing.assert_allclose(probabilities.mean(0), shares, atol=0.03)


def test_the_same_seed_gives_the_same_head(fitted: tuple[NDArray[np.float32], NDArray[np.int64], HeadFit]) -> None:
    features, targets, head = fitted
    again = HeadOnly(n_folds=4).fit(features, targets, n_classes=3)
    np.testing.assert_array_equal(again.weights, head.weights)
    np.testing.assert_array_equal(again.out_of_fold_logits, head.out_of_fold_logits)
    other = HeadOnly(n_folds=4).fit(features, targets, n_classes=3, seed=1)
    assert (other.folds != head.folds).any()
