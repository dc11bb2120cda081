from __future__ import annotations

import numpy as np
import pytest
from sklearn.neighbors import KNeighborsClassifier

from graft.core.types import Predictions
from graft.methods.nearest_neighbours import nearest_neighbour_label_sets, nearest_neighbour_predictions

RANDOM = np.random.default_rng(0)
TRAIN_TARGETS = np.arange(90) % 3
CENTRES = RANDOM.normal(size=(3, 8))
TRAIN = (CENTRES[TRAIN_TARGETS] + RANDOM.normal(size=(90, 8))).astype(np.float32)
TARGETS = np.arange(30) % 3
TEST = (CENTRES[TARGETS] + RANDOM.normal(size=(30, 8))).astype(np.float32)
NAMES = ("a", "b", "c")


def predict(train: np.ndarray, train_targets: np.ndarray, names: tuple[str, ...] = NAMES) -> Predictions:
    ids = [str(i) for i in range(len(TEST))]
    return nearest_neighbour_predictions(
        train, train_targets, TEST, ids=ids, targets=TARGETS, label_names=names, split="test"
    )


def test_votes_are_scikit_learns_with_the_chosen_k() -> None:
    found = predict(TRAIN, TRAIN_TARGETS)
    k = found.extra["k"]
    reference = KNeighborsClassifier(k, metric="cosine").fit(TRAIN, TRAIN_TARGETS).predict_proba(TEST)
    smoothed = (reference * k + 1 / 3) / (k + 1)
    np.testing.assert_allclose(found.probabilities, smoothed, atol=1e-6)


def test_k_is_chosen_by_leaving_one_out() -> None:
    scores = {}
    for k in (1, 3, 5, 10, 20):
        right = 0
        for i in range(90):
            rest = np.arange(90) != i
            fit = KNeighborsClassifier(k, metric="cosine").fit(TRAIN[rest], TRAIN_TARGETS[rest])
            right += int(fit.predict(TRAIN[[i]])[0] == TRAIN_TARGETS[i])
        scores[k] = right
    assert scores[predict(TRAIN, TRAIN_TARGETS).extra["k"]] == max(scores.values())


def test_no_probability_is_zero() -> None:
    assert float(predict(TRAIN, TRAIN_TARGETS).probabilities.min()) > 0


@pytest.mark.parametrize("n", [2, 3, 5])
def test_very_few_training_examples(n: int) -> None:
    found = predict(TRAIN[:n], TRAIN_TARGETS[:n] % 2, ("a", "b"))
    assert found.extra["k"] < n
    np.testing.assert_allclose(found.probabilities.sum(1), 1)


def test_features_of_nothing_but_zeros() -> None:
    assert np.isfinite(predict(np.zeros_like(TRAIN), TRAIN_TARGETS).logits).all()


def test_label_sets_are_shares_of_the_neighbours() -> None:
    train_sets = np.stack([TRAIN_TARGETS == 0, TRAIN_TARGETS != 2, np.arange(90) < 2], axis=1).astype(np.uint8)
    sets = np.stack([TARGETS == 0, TARGETS != 2, np.zeros(30)], axis=1).astype(np.uint8)
    ids = [str(i) for i in range(30)]
    found = nearest_neighbour_label_sets(
        TRAIN, train_sets, TEST, ids=ids, targets=sets, label_names=("a", "b", "c"), split="test"
    )
    k = found.extra["k"]
    votes = KNeighborsClassifier(k, metric="cosine").fit(TRAIN, train_sets).kneighbors(TEST, return_distance=False)
    prior = (train_sets.sum(0) + 0.5) / 91
    np.testing.assert_allclose(found.probabilities, (train_sets[votes].sum(1) + prior) / (k + 1))
    assert 0 < found.probabilities.min() < found.probabilities.max() < 1
    assert found.thresholds.shape == (3,)
    assert (found.predicted == sets)[:, :2].mean() > 0.8
