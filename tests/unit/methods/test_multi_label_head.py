"""The head of several labels an example: what it carries, and what its evidence is."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from graft.data.splitting import stratified_folds
from graft.evaluation.multi_label_calibration import choose_thresholds, prior_log_odds, tempered
from graft.methods.head_only import HeadFit, HeadOnly, refit_head
from graft.solver.cross_validation import cross_validate
from graft.solver.scaling import fit_scaling

Data = tuple[NDArray[np.float32], NDArray[np.uint8]]
WEIGHTS = np.random.default_rng(9).normal(size=(12, 5)) * 0.8
MIDDLE = np.array([0.0, -0.5, -1.5, -2.5, -3.5])
SIZES = np.exp(np.random.default_rng(8).normal(size=12))


def label_sets(n: int, *, seed: int = 0) -> Data:
    """Return features of very different size and five labels, from frequent to rare."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 12))
    y = rng.random((n, 5)) < expit(x @ WEIGHTS + MIDDLE)
    return (x * SIZES).astype(np.float32), y.astype(np.uint8)


@pytest.fixture(scope="module")
def fitted() -> tuple[Data, HeadFit]:
    features, targets = label_sets(200)
    return (features, targets), HeadOnly().fit(features, targets, n_classes=5)


def test_the_head_carries_scaling_temperature_and_thresholds(fitted: tuple[Data, HeadFit]) -> None:
    (features, targets), head = fitted
    scaling = fit_scaling(head.scaling, features)
    again = cross_validate(features, targets, n_classes=5, folds=head.folds, scaling=scaling)
    assert again.best.penalty == pytest.approx(head.penalty)
    centre = prior_log_odds(targets)
    assert head.centre is not None
    assert head.thresholds is not None
    np.testing.assert_allclose(head.centre, centre)
    plain = features @ again.weights.T + again.bias
    np.testing.assert_allclose(head.logits(features), tempered(plain, head.temperature, centre=centre), atol=2e-3)
    np.testing.assert_allclose(
        head.out_of_fold_logits, tempered(again.out_of_fold_logits, head.temperature, centre=centre), atol=2e-3
    )
    np.testing.assert_allclose(
        head.thresholds, choose_thresholds(expit(head.out_of_fold_logits.astype(float)), targets)
    )


def test_it_is_as_good_as_scikit_learn_label_by_label(fitted: tuple[Data, HeadFit]) -> None:
    (features, targets), head = fitted
    fresh_x, fresh_y = label_sets(4_000, seed=1)
    mine = head.logits(fresh_x).astype(float)
    divisor = fit_scaling("z-score", features).divisor
    theirs = np.stack(
        [
            LogisticRegression(max_iter=5_000)
            .fit(features / divisor, targets[:, k])
            .decision_function(fresh_x / divisor)
            for k in range(5)
        ],
        axis=1,
    )

    def loss(z: NDArray[np.float64]) -> float:
        return float(np.logaddexp(0, np.where(fresh_y == 1, -z, z)).mean())

    assert loss(mine) < loss(theirs) + 0.005


def test_every_label_of_the_folds_is_spread_and_losses_are_means_over_labels(fitted: tuple[Data, HeadFit]) -> None:
    (_, targets), head = fitted
    counts = np.stack([targets[head.folds == k].sum(0) for k in range(5)])
    assert (np.ptp(counts, axis=0) <= 3).all()
    (chosen,) = [row for row in head.leaderboard if row["is_chosen"]]
    z = head.out_of_fold_logits.astype(float)
    assert np.logaddexp(0, np.where(targets == 1, -z, z)).mean() <= chosen["log_loss"] + 1e-3
    assert 0 < chosen["standard_error"] < 0.1


def test_thresholds_lift_the_rare_labels(fitted: tuple[Data, HeadFit]) -> None:
    _, head = fitted
    x, y = label_sets(4_000, seed=2)
    p = expit(head.logits(x).astype(float))

    def macro_f1(thresholds: NDArray[np.float64] | float) -> float:
        said = p >= thresholds
        return float(np.mean(2 * (said & (y == 1)).sum(0) / (said.sum(0) + y.sum(0))))

    assert head.thresholds is not None
    assert macro_f1(head.thresholds) > macro_f1(0.5) + 0.03


def test_a_rare_label_is_said_and_costs_no_folds() -> None:
    features, targets = label_sets(120)
    targets[:, 4] = 0
    targets[:2, 4] = 1
    head = HeadOnly(scalings=("none",)).fit(features, targets, n_classes=5)
    assert int(head.folds.max()) == 4
    assert any("1 of 5 labels have fewer than 5 examples" in note for note in head.notes)
    assert np.isfinite(head.weights).all()


def test_copies_share_a_fold() -> None:
    features, targets = label_sets(60)
    groups = np.tile(np.arange(60), 2)
    head = HeadOnly(scalings=("none",)).fit(np.tile(features, (2, 1)), np.tile(targets, (2, 1)), n_classes=5,
                                            groups=groups)  # fmt: skip
    np.testing.assert_array_equal(head.folds[:60], head.folds[60:])


def test_a_refit_on_the_same_rows_is_the_same_head(fitted: tuple[Data, HeadFit]) -> None:
    (features, targets), head = fitted
    weights, bias = refit_head(head, features, targets, n_classes=5)
    np.testing.assert_allclose(features @ weights.T + bias, head.logits(features), atol=5e-3)


def test_views_of_an_example_share_its_labels() -> None:
    features, targets = label_sets(80)
    noisy = features + 0.1 * np.random.default_rng(0).normal(size=features.shape).astype(np.float32)
    head = HeadOnly(scalings=("none",)).fit(np.concatenate([features, noisy]), targets, n_classes=5, n_views=2)
    assert head.out_of_fold_logits.shape == (80, 5)
    folds = stratified_folds(targets, n_folds=5, seed=0)
    np.testing.assert_array_equal(head.folds, folds)
