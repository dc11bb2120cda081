"""The decision's offset: rare classes are said more often, the probabilities are never touched."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from graft.core.errors import DataError
from graft.core.types import Predictions
from graft.evaluation import (
    accuracy,
    balanced_accuracy,
    brier,
    choose_decision,
    decision_offset,
    evaluate,
    expected_calibration_error,
    log_loss,
    macro_f1,
    top_k,
)

SHARES = np.array([0.75, 0.15, 0.07, 0.03])


def calibrated(n: int, *, seed: int) -> Predictions:
    """Return true posteriors of four overlapping classes of unequal frequency."""
    rng = np.random.default_rng(seed)
    targets = rng.choice(4, size=n, p=SHARES)
    centres = 1.6 * np.eye(4)
    x = centres[targets] + rng.normal(size=(n, 4))
    logits = x @ centres.T - (centres**2).sum(1) / 2 + np.log(SHARES)
    return Predictions([str(i) for i in range(n)], targets, logits, ("a", "b", "c", "d"), "test")


TRAIN, TEST = calibrated(600, seed=0), calibrated(20_000, seed=1)
COUNTS = np.bincount(TRAIN.targets, minlength=4)


def value(estimate: object) -> float:
    return float(estimate.value)  # type: ignore[attr-defined]


def test_macro_f1_and_mean_recall_rise_and_no_probability_changes() -> None:
    rule = choose_decision(TRAIN.logits, COUNTS)
    decided = replace(TEST, decision_offset=rule.offset)
    assert 0 < rule.strength < 1
    assert value(macro_f1(decided)) > value(macro_f1(TEST)) + 0.01
    assert value(balanced_accuracy(decided)) > value(balanced_accuracy(TEST)) + 0.03
    np.testing.assert_array_equal(decided.probabilities, TEST.probabilities)
    for figure in (log_loss, brier):
        assert figure(decided).as_dict() == figure(TEST).as_dict()


def test_full_strength_is_the_best_for_the_mean_recall() -> None:
    by_strength = {
        s: value(balanced_accuracy(replace(TEST, decision_offset=decision_offset(COUNTS, strength=s))))
        for s in (0.0, 0.5, 1.0, 1.5)
    }
    assert max(by_strength, key=lambda s: by_strength[s]) == 1.0


def test_the_chosen_strength_is_close_to_the_best_there_is() -> None:
    def on_test(strength: float) -> float:
        return value(macro_f1(replace(TEST, decision_offset=decision_offset(COUNTS, strength=strength))))

    rule = choose_decision(TRAIN.logits, COUNTS)
    assert on_test(rule.strength) > max(on_test(s) for s in np.linspace(0, 1, 9)) - 0.015
    assert rule.expected_macro_f1[f"{rule.strength:g}"] == max(rule.expected_macro_f1.values())
    assert rule.as_dict()["rule"] == "logit-adjustment"


def test_what_is_said_is_still_calibrated() -> None:
    """The confidence is that of the class that was said, not of the likeliest."""
    decided = replace(calibrated(3_000, seed=2), decision_offset=decision_offset(COUNTS))
    assert (decided.predicted != decided.logits.argmax(1)).any()
    assert expected_calibration_error(decided).p_value > 0.05


def test_the_first_of_the_top_is_the_one_that_is_said() -> None:
    decided = replace(TEST, decision_offset=decision_offset(COUNTS))
    assert value(top_k(decided, 1)) == value(accuracy(decided))
    assert evaluate(decided).as_dict()["test"]["accuracy"]["value"] == float(decided.is_correct.mean())


def test_equal_classes_need_no_offset() -> None:
    rule = choose_decision(np.random.default_rng(3).normal(size=(200, 2)), np.array([100, 100]))
    assert rule.strength == 0
    np.testing.assert_allclose(rule.offset, 0)


def test_a_class_without_examples_and_a_wrong_length() -> None:
    assert np.isfinite(decision_offset(np.array([10, 0, 5]))).all()
    with pytest.raises(DataError, match="decision offset"):
        replace(TEST, decision_offset=np.zeros(3))
