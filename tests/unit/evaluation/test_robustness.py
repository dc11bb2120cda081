"""Loss by corruption, and two models under the same corruptions: what is planted is found, what is not is not."""

from __future__ import annotations

import numpy as np
import pytest

from graft.core.errors import DataError
from graft.core.types import Predictions
from graft.evaluation.conformal import fit_conformal, scores_to_keep, sets_from_scores
from graft.evaluation.robustness import compare_robustness, judge_corruptions, measure_corruptions

RNG = np.random.default_rng(0)


def right(share: float, n: int = 200, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).permutation(n) < share * n


def test_the_corruption_that_costs_is_named_with_its_loss() -> None:
    clean = right(0.9)
    blurred = clean & (right(0.7, seed=1))
    worse = {("noise", 3): clean, ("blur", 3): blurred, ("noise", 5): clean, ("blur", 5): np.zeros(200, bool)}
    measured = measure_corruptions(clean, worse)
    claim = judge_corruptions(clean, measured)
    assert claim.answer == "yes"
    assert claim.evidence["severity"] == 3
    assert "on blur" in claim.sentence
    assert "holds under noise" in claim.sentence
    cell = next(c for c in measured if (c.corruption, c.severity) == ("blur", 3))
    assert cell.loss.value == pytest.approx(clean.mean() - blurred.mean())
    assert cell.loss.low < cell.loss.value < cell.loss.high
    assert cell.adjusted_p_value == pytest.approx(2 * cell.test.p_value)


def test_nothing_lost_is_a_no_and_few_examples_cannot_tell() -> None:
    clean = right(0.9)
    claim = judge_corruptions(clean, measure_corruptions(clean, {("noise", 3): clean, ("blur", 3): clean}))
    assert claim.answer == "no"
    few = right(0.9, n=30)
    lost = few & (np.arange(30) != int(np.argmax(few)))
    assert judge_corruptions(few, measure_corruptions(few, {("noise", 3): lost})).answer == "can't tell"


def test_where_medium_was_not_measured_the_nearest_is_judged() -> None:
    clean = right(0.9)
    claim = judge_corruptions(clean, measure_corruptions(clean, {("noise", 5): clean, ("noise", 4): clean}))
    assert claim.evidence["severity"] == 4


def test_two_models_under_the_same_corruptions() -> None:
    probe = RNG.random((300, 7)) < 0.7
    worse, better = probe & (RNG.random((300, 7)) < 0.85), probe | (RNG.random((300, 7)) < 0.3)
    assert compare_robustness(worse, probe, clean=(0.9, 0.88)).answer == "yes"
    claim = compare_robustness(better, probe, clean=(0.9, 0.88))
    assert claim.answer == "no"
    assert claim.evidence["difference"].value == pytest.approx(better.mean() - probe.mean())
    assert compare_robustness(probe, probe, clean=(0.9, 0.9)).answer == "no"
    with pytest.raises(DataError, match="the same for both"):
        compare_robustness(probe, probe[:10], clean=(0.9, 0.9))


def test_ten_corruptions_of_few_examples_are_not_taken_for_many_examples() -> None:
    """The interval must not shrink where all corruptions say the same."""
    a, b = right(0.6, n=40, seed=1)[:, None], right(0.6, n=40, seed=2)[:, None]
    one = compare_robustness(a, b, clean=(0.6, 0.6)).evidence["difference"]
    ten = compare_robustness(a.repeat(10, axis=1), b.repeat(10, axis=1), clean=(0.6, 0.6)).evidence["difference"]
    assert (one.low, one.high) == pytest.approx((ten.low, ten.high))


def held_out(n: int, seed: int) -> Predictions:
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 4, n)
    return Predictions([str(i) for i in range(n)], y, 1.5 * np.eye(4)[y] + rng.normal(size=(n, 4)), tuple("abcd"))


@pytest.mark.parametrize("coverage", [0.5, 0.8, 0.9, 0.97])
def test_kept_scores_give_sets_that_cover(coverage: float) -> None:
    kept = scores_to_keep(held_out(500, 1))
    sets = sets_from_scores(kept, coverage=coverage)
    exact = fit_conformal(held_out(500, 1), coverage=coverage)
    assert 0 <= exact.threshold - sets.threshold < 1e-5
    share = sets.measured(held_out(4_000, 2))["coverage"].value
    low, high = sets.realised(level=0.999)
    by_threshold = held_out(4_000, 2)
    hits = by_threshold.probabilities[np.arange(4_000), by_threshold.targets] >= sets.threshold
    assert low - 0.01 < hits.mean() < high + 0.01
    assert share >= hits.mean(), "with the likeliest class in every set coverage can only rise"


def test_no_set_is_empty_and_the_mean_size_counts_that() -> None:
    sure = held_out(500, 1)
    sure = Predictions(sure.ids, sure.targets, 4 * sure.logits, sure.label_names)
    sets = fit_conformal(sure, coverage=0.5)
    assert sets.threshold > 0.9
    found = sets.sets(sure)
    assert found.sum(axis=1).min() == 1
    assert (sure.probabilities.max(axis=1) < sets.threshold).any()
    assert found[np.arange(500), sure.predicted].all()
    assert sets.measured(sure)["mean_size"] >= 1


def test_few_scores_hold_all_classes_and_many_are_thinned_out() -> None:
    assert sets_from_scores(np.array([0.3, 0.9]), coverage=0.9).threshold == 0
    kept = scores_to_keep(held_out(5_000, 3))
    assert len(kept) == 2_000
    share = sets_from_scores(kept, coverage=0.9).measured(held_out(4_000, 2))["coverage"].value
    assert share == pytest.approx(0.9, abs=0.03)
    with pytest.raises(DataError, match="no held-out example"):
        sets_from_scores(np.array([]))
