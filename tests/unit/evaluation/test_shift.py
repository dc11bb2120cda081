"""Other data: the loss where it is measured, the estimate where it is not, on truths that are made."""

from __future__ import annotations

import numpy as np
import pytest

from graft.core.errors import DataError
from graft.core.types import UNKNOWN, MultiLabelPredictions, Predictions
from graft.evaluation.label_free import accuracy_without_labels, without_labels
from graft.evaluation.shift import judge_shift
from graft.evaluation.transport import transport_costs

NAMES = tuple("abcde")


def made(n: int, signal: float, *, seed: int, collapse: float = 0.0, known: bool = True) -> Predictions:
    """Return predictions whose probabilities are exactly calibrated, but for a pull of all towards the first class."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 5, n)
    x = signal * np.eye(5)[y] + rng.normal(size=(n, 5))
    logits = signal * x
    logits[:, 0] += collapse
    return Predictions([f"{seed}/{i}" for i in range(n)], y if known else np.full(n, -1), logits, NAMES, "test")


def accuracy_of(signal: float, *, seed: int, collapse: float = 0.0) -> float:
    return float(made(20_000, signal, seed=seed, collapse=collapse).is_correct.mean())


def test_weaker_signals_are_seen_without_labels() -> None:
    home, other = made(2_000, 2.0, seed=1), made(1_000, 1.2, seed=2, known=False)
    found, truth = accuracy_without_labels(home, other), accuracy_of(1.2, seed=2)
    for estimate in (found.confidence, found.transport):
        assert estimate.value == pytest.approx(truth, abs=0.05)
        assert estimate.low <= truth <= estimate.high
    assert found.both.low <= truth <= found.both.high


def test_a_model_that_says_one_class_of_nearly_all_is_seen_by_transport_alone() -> None:
    home, other = made(2_000, 2.0, seed=1), made(1_000, 1.2, seed=2, collapse=6.0, known=False)
    found, truth = accuracy_without_labels(home, other), accuracy_of(1.2, seed=2, collapse=6.0)
    assert truth < 0.35
    assert found.threshold.value > 0.8
    assert found.confidence.value > 0.8
    assert found.both.value == pytest.approx(truth, abs=0.1)


def test_costs_of_likeliest_classes_in_their_shares_are_the_lack_of_confidence() -> None:
    p = np.repeat(np.array([[0.7, 0.3], [0.2, 0.8]]), 30, axis=0)
    assert transport_costs(p, np.array([0.5, 0.5])) == pytest.approx(1 - p.max(axis=1))
    assert transport_costs(p, np.array([1.0, 0.0])).mean() == pytest.approx(0.55)
    with pytest.raises(DataError, match="the same classes"):
        transport_costs(p, np.ones(3) / 3)


def test_many_examples_are_matched_in_parts_and_alike() -> None:
    p = made(2_500, 1.5, seed=3).probabilities
    whole = transport_costs(p[:1_000], np.full(5, 0.2))
    parts = transport_costs(p, np.full(5, 0.2))
    assert parts.shape == (2_500,)
    assert parts.mean() == pytest.approx(whole.mean(), abs=0.03)


def test_a_gain_is_no_loss() -> None:
    claim, facts = judge_shift("sharper", made(1_000, 3.0, seed=5), made(1_000, 1.5, seed=6))
    assert claim.answer == "no"
    assert "any loss is ruled out" in claim.sentence
    assert facts["loss"].high < 0


def test_a_loss_is_measured_on_the_same_examples_where_ids_are_the_same() -> None:
    home = made(400, 2.0, seed=7)
    worse = Predictions(home.ids, home.targets, home.logits * np.where(np.arange(400) % 5 == 0, -1, 1)[:, None], NAMES)
    claim, facts = judge_shift("blur", worse, home)
    assert claim.test == "mcnemar-exact"
    assert claim.answer == "yes"
    assert facts["loss"].value == pytest.approx(home.is_correct.mean() - worse.is_correct.mean())
    other, _ = judge_shift("others", made(400, 1.0, seed=8), home)
    assert (other.test, other.answer) == ("fisher-exact", "yes")


def made_sets(n: int, signal: float, *, seed: int, known: bool = True) -> MultiLabelPredictions:
    """Return label sets whose probabilities are exactly calibrated, each label given from one half on."""
    rng = np.random.default_rng(seed)
    y = (rng.random((n, 5)) < 0.5).astype(np.uint8)
    logits = 2 * signal * (signal * (2.0 * y - 1) + rng.normal(size=(n, 5)))
    targets = y if known else np.full_like(y, UNKNOWN)
    return MultiLabelPredictions([f"{seed}/{i}" for i in range(n)], targets, logits, NAMES, "test")


def test_exact_sets_are_estimated_without_labels() -> None:
    home, other = made_sets(2_000, 1.8, seed=1), made_sets(1_000, 1.3, seed=2, known=False)
    truth = float(made_sets(20_000, 1.3, seed=3).is_correct.mean())
    found = without_labels(home, other).both
    assert home.is_correct.mean() > truth + 0.1
    assert found.low <= truth <= found.high
    assert found.value == pytest.approx(truth, abs=0.04)
    claim, facts = judge_shift("dusk", other, home)
    assert (claim.answer, claim.strength) == ("yes", "weak")
    assert "share of exact sets on dusk" in claim.sentence
    assert facts["doc"].value == found.value
    with pytest.raises(DataError, match="two of the same kind"):
        without_labels(home, made(30, 1.0, seed=1))


def test_a_loss_of_exact_sets_is_measured() -> None:
    claim, facts = judge_shift("dusk", made_sets(500, 1.0, seed=4), made_sets(500, 1.8, seed=5))
    assert (claim.test, claim.answer) == ("fisher-exact", "yes")
    assert facts["loss"].value > 0.2
