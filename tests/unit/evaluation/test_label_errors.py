from __future__ import annotations

import numpy as np
import pytest

from graft.core.types import MultiLabelPredictions, Predictions
from graft.evaluation.label_errors import find_label_errors
from graft.evaluation.outliers import far_out


def noisy(n: int = 2000, *, seed: int = 0) -> tuple[Predictions, np.ndarray]:
    """Predictions that are right nine times in ten, of labels of which a tenth was flipped."""
    random = np.random.default_rng(seed)
    true = random.integers(0, 4, n)
    logits = random.normal(0, 1, (n, 4)) + 3 * np.eye(4)[true]
    flipped = random.permutation(n)[: n // 10]
    labels = true.copy()
    labels[flipped] = (labels[flipped] + random.integers(1, 4, len(flipped))) % 4
    return Predictions([str(i) for i in range(n)], labels, logits, tuple("abcd")), flipped


def test_flipped_labels_stand_first_and_their_number_is_about_right() -> None:
    predictions, flipped = noisy()
    found = find_label_errors(predictions)
    assert sorted(found.ranked.tolist()) == list(range(2000))
    assert np.isin(found.ranked[:100], flipped).mean() > 0.95
    assert np.isin(found.likely, flipped).mean() > 0.7
    assert np.isin(flipped, found.likely).mean() > 0.7
    first = found.margin[: found.n_likely]
    assert (np.diff(first) >= 0).all()


def test_a_class_the_model_is_never_sure_of_does_not_accuse_all_of_it() -> None:
    """Its own examples reach 0.4 on average; that is its threshold, and half of them is not contradicted."""
    random = np.random.default_rng(1)
    targets = np.repeat([0, 1], 300)
    p = np.where(targets == 0, 0.95, 0.6) + random.uniform(-0.04, 0.04, 600)
    logits = np.log(np.stack([p, 1 - p], axis=1))
    found = find_label_errors(Predictions([""] * 600, targets, logits, ("sure", "unsure")))
    assert found.n_likely == 0


def test_unknown_labels_are_left_out() -> None:
    predictions, _ = noisy(40)
    predictions.targets[:5] = -1
    assert sorted(find_label_errors(predictions).ranked.tolist()) == list(range(5, 40))


def test_with_several_labels_the_doubtful_one_is_named() -> None:
    random = np.random.default_rng(2)
    true = (random.uniform(size=(500, 3)) < 0.4).astype(np.uint8)
    logits = random.normal(0, 0.7, (500, 3)) + 6 * (true - 0.5)
    given = true.copy()
    rows = random.permutation(500)[:40]
    given[rows, 1] ^= 1
    found = find_label_errors(MultiLabelPredictions([str(i) for i in range(500)], given, logits, ("a", "b", "c")))
    assert np.isin(found.ranked[:30], rows).mean() > 0.9
    assert (found.suggested[:30][np.isin(found.ranked[:30], rows)] == 1).all()


def test_far_out_is_far_out() -> None:
    usual = np.random.default_rng(0).lognormal(0, 0.3, 2000)
    assert far_out(usual, usual).mean() < 0.005
    assert far_out(np.array([1.0, 20.0]), usual).tolist() == [False, True]
    copies = np.concatenate([np.zeros(900), np.ones(100)])
    assert far_out(np.array([0.0]), copies).tolist() == [False]
    assert far_out(np.array([1.0]), np.zeros(0)).tolist() == [False]


def calibrated(n: int, n_classes: int, *, spread: float, seed: int = 0) -> Predictions:
    """Predictions as right as they say, of labels that are all right; the less spread, the weaker."""
    random = np.random.default_rng(seed)
    z = random.normal(size=(n, n_classes)) * spread
    p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    targets = (p.cumsum(axis=1) < random.random((n, 1))).sum(axis=1).clip(max=n_classes - 1)
    return Predictions([str(i) for i in range(n)], targets, z, tuple(map(str, range(n_classes))))


@pytest.mark.parametrize("n_classes", [3, 5, 20])
def test_a_weak_model_calls_no_clean_label_wrong(n_classes: int) -> None:
    found = find_label_errors(calibrated(400, n_classes, spread=1.0))
    assert found.is_too_weak
    assert found.n_likely == 0
    assert sorted(found.ranked.tolist()) == list(range(400)), "the order is there all the same"


@pytest.mark.parametrize("spread", [2.0, 3.0, 5.0, 8.0])
def test_a_better_one_calls_few_clean_labels_wrong(spread: float) -> None:
    """The share falls with the skill; it was 17 % and more at the least skill."""
    predictions = calibrated(2_000, 5, spread=spread)
    found = find_label_errors(predictions)
    assert found.skill >= 0.5
    assert found.n_likely / 2_000 <= 0.12
    assert found.n_likely <= 0.4 * (~predictions.is_correct).sum()


def test_with_several_labels_a_weak_model_is_not_asked_either() -> None:
    random = np.random.default_rng(3)
    given = (random.uniform(size=(300, 3)) < 0.4).astype(np.uint8)
    logits = random.normal(0, 1.0, (300, 3)) + 0.5 * (given - 0.5)
    found = find_label_errors(MultiLabelPredictions([str(i) for i in range(300)], given, logits, ("a", "b", "c")))
    assert found.is_too_weak
    assert found.n_likely == 0
