from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics as reference

from graft.core.types import Estimate, Predictions
from graft.evaluation import (
    accuracy,
    balanced_accuracy,
    brier,
    confusion_matrix,
    log_loss,
    macro_f1,
    per_class_precision,
    per_class_recall,
    top_k,
)


@pytest.fixture(scope="module")
def p() -> Predictions:
    rng = np.random.default_rng(4)
    targets = np.concatenate([np.full(c, k) for k, c in enumerate((60, 40, 25, 15))])
    logits = rng.normal(size=(140, 4)) + 1.2 * np.eye(4)[targets]
    return Predictions([str(i) for i in range(140)], targets, logits, ("a", "b", "c", "d"), "test")


def test_values_are_scikit_learns(p: Predictions) -> None:
    t, said, prob = p.targets, p.predicted, p.probabilities
    pairs = [
        (accuracy(p), reference.accuracy_score(t, said)),
        (balanced_accuracy(p), reference.balanced_accuracy_score(t, said)),
        (macro_f1(p), reference.f1_score(t, said, average="macro")),
        (log_loss(p), reference.log_loss(t, prob)),
        (brier(p), np.mean(((prob - np.eye(4)[t]) ** 2).sum(axis=1))),
        (top_k(p, 2), reference.top_k_accuracy_score(t, prob, k=2)),
    ]
    for estimate, value in pairs:
        assert estimate.value == pytest.approx(value, rel=1e-12)
        assert isinstance(estimate, Estimate)
        assert estimate.low < value < estimate.high
    assert (confusion_matrix(p) == reference.confusion_matrix(t, said)).all()
    recall, precision = per_class_recall(p), per_class_precision(p)
    assert [r.value for r in recall] == pytest.approx(reference.recall_score(t, said, average=None))
    assert [r.value for r in precision] == pytest.approx(reference.precision_score(t, said, average=None))
    assert [r.n for r in recall] == [60, 40, 25, 15]


def test_balanced_accuracy_by_counts_is_the_plain_bootstrap(p: Predictions) -> None:
    """Drawing cells of the confusion matrix is drawing examples: the interval is that of a plain loop."""
    rng = np.random.default_rng(0)
    draws = []
    for _ in range(2_000):
        i = rng.integers(0, len(p), len(p))
        t, hit = p.targets[i], p.is_correct[i]
        draws.append(np.mean([hit[t == c].mean() for c in range(4) if (t == c).any()]))
    found = balanced_accuracy(p)
    assert found.low is not None
    assert found.high is not None
    assert found.high - found.low == pytest.approx(np.subtract(*np.quantile(draws, [0.975, 0.025])), rel=0.1)


def test_equal_logits_rank_in_the_order_of_the_classes() -> None:
    flat = Predictions(["0", "1", "2"], np.array([0, 1, 2]), np.zeros((3, 3)), ("a", "b", "c"))
    assert [top_k(flat, k).value for k in (1, 2, 3)] == pytest.approx([1 / 3, 2 / 3, 1])
    assert top_k(flat, 1).value == accuracy(flat).value


def test_ten_thousand_examples_take_about_a_second() -> None:
    import time

    rng = np.random.default_rng(0)
    t = rng.integers(0, 10, 10_000)
    big = Predictions([""] * 10_000, t, rng.normal(size=(10_000, 10)) + 2 * np.eye(10)[t], tuple("abcdefghij"))
    for metric in (log_loss, macro_f1):
        start = time.process_time()
        metric(big)
        assert time.process_time() - start < 5  # measured: under 1 s; the bound allows for a busy machine
