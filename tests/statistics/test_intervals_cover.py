"""Intervals hold the simulated truth as often as they say, and tests err as seldom as they say."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from graft.core.types import Estimate, Predictions
from graft.evaluation import (
    balanced_accuracy,
    clopper_pearson,
    expected_calibration_error,
    fit_temperature,
    log_loss,
    macro_f1,
    mcnemar_exact,
    wilson,
)
from graft.evaluation.clusters import share_difference_over_groups, share_over_groups
from graft.evaluation.comparisons import paired_difference, smallest_detectable


def simulate(rng: np.random.Generator, *, n: int, n_classes: int, scale: float = 1.0) -> Predictions:
    """Return predictions whose stated probabilities are the true ones; `scale` > 1 then overstates them."""
    z = rng.normal(size=(n, n_classes)) * 2.0
    p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    targets = (p.cumsum(axis=1) < rng.random((n, 1))).sum(axis=1).clip(max=n_classes - 1)
    names = tuple(f"class {c}" for c in range(n_classes))
    return Predictions([str(i) for i in range(n)], targets.astype(np.int64), z * scale, names, "test")


@pytest.mark.parametrize("n", [20, 50, 300])
@pytest.mark.parametrize("p", [0.6, 0.9, 0.97])
def test_wilson_and_clopper_pearson_cover_exactly_computed(n: int, p: float) -> None:
    outcomes = np.arange(n + 1)
    chance = stats.binom.pmf(outcomes, n, p)
    coverage = {}
    for interval in (wilson, clopper_pearson):
        ends = [interval(int(k), n) for k in outcomes]
        coverage[interval.__name__] = sum(c for c, e in zip(chance, ends, strict=True) if e.low <= p <= e.high)
    assert coverage["clopper_pearson"] >= 0.95
    assert 0.92 <= coverage["wilson"] <= 0.985


@pytest.mark.parametrize(("n", "n_classes"), [(120, 3), (300, 10)])
def test_bca_covers(n: int, n_classes: int) -> None:
    rng = np.random.default_rng(5)
    truth = simulate(rng, n=400_000, n_classes=n_classes)
    repeats = 400
    for metric in (log_loss, macro_f1, balanced_accuracy):
        true_value = metric_value(metric.__name__, truth)
        hits = done = 0
        for _ in range(repeats):
            estimate = metric(simulate(rng, n=n, n_classes=n_classes))
            if isinstance(estimate, Estimate):
                done += 1
                hits += estimate.low <= true_value <= estimate.high
        assert done > 0.9 * repeats
        assert 0.92 <= hits / done <= 0.985, (metric.__name__, hits / done)


def metric_value(name: str, p: Predictions) -> float:
    """Return the figure itself, written down anew."""
    if name == "log_loss":
        return float(-p.log_probabilities[np.arange(len(p)), p.targets].mean())
    classes = range(len(p.label_names))
    hit = [float(((p.targets == c) & (p.predicted == c)).sum()) for c in classes]
    true = [float((p.targets == c).sum()) for c in classes]
    said = [float((p.predicted == c).sum()) for c in classes]
    if name == "balanced_accuracy":
        return float(np.mean([h / t for h, t in zip(hit, true, strict=True)]))
    return float(np.mean([2 * h / (t + s) for h, t, s in zip(hit, true, said, strict=True)]))


def test_few_examples_a_class_give_a_covering_balanced_accuracy() -> None:
    rng = np.random.default_rng(6)
    recalls = np.array([0.95, 0.8, 0.6])
    hits = 0
    for _ in range(1_000):
        targets = np.repeat(np.arange(3), 6)
        right = rng.random(18) < recalls[targets]
        said = np.where(right, targets, (targets + 1) % 3)
        estimate = balanced_accuracy(
            Predictions([str(i) for i in range(18)], targets, np.eye(3)[said], ("a", "b", "c"))
        )
        assert estimate.method == "wilson-mover"
        hits += estimate.low <= recalls.mean() <= estimate.high
    assert 0.93 <= hits / 1_000 <= 0.995


def test_newcombe_covers_the_paired_difference() -> None:
    rng = np.random.default_rng(7)
    chance = [0.75, 0.12, 0.05, 0.08]  # both, only a, only b, neither
    cells = rng.multinomial(80, chance, size=1_500)
    found = [paired_difference(int(c[0]), int(c[1]), int(c[2]), 80) for c in cells]
    assert 0.93 <= np.mean([e.low <= 0.07 <= e.high for e in found]) <= 0.985


@pytest.mark.parametrize("n", [40, 200])
def test_mcnemar_rejects_equal_models_at_most_5_5_percent(n: int) -> None:
    rng = np.random.default_rng(8)
    p_values = []
    for _ in range(600):
        both = rng.random(n) < 0.7
        a, b = (both ^ (rng.random(n) < 0.15) for _ in range(2))
        p_values.append(mcnemar_exact(a, b).p_value)
    assert np.mean(np.array(p_values) <= 0.05) <= 0.055


@pytest.mark.parametrize(("n", "disagreement"), [(100, 0.2), (600, 0.1), (600, 0.0)])
def test_smallest_detectable_difference_is_found_four_times_in_five(n: int, disagreement: float) -> None:
    difference = smallest_detectable(n, disagreement)
    assert difference is not None
    either = max(disagreement, difference)
    rng = np.random.default_rng(9)
    cells = rng.multinomial(n, [(either + difference) / 2, max(0.0, (either - difference) / 2), 1 - either], size=4_000)
    p_values = [min(1.0, 2 * stats.binom.cdf(min(b, c), b + c, 0.5)) for b, c, _ in cells]
    assert 0.77 <= np.mean(np.array(p_values) <= 0.05) <= 0.83


@pytest.mark.parametrize("n", [100, 500])
def test_a_calibrated_model_is_called_miscalibrated_at_most_5_percent(n: int) -> None:
    rng = np.random.default_rng(10)
    found = [expected_calibration_error(simulate(rng, n=n, n_classes=5), n_draws=400, seed=i) for i in range(1_000)]
    rejected = np.mean([c.p_value <= 0.05 for c in found])
    assert 0.02 <= rejected <= 0.065  # 0.05 with a standard error of 0.007
    medians = np.mean([c.error <= c.null_median for c in found])
    assert 0.42 <= medians <= 0.58


def test_an_overconfident_model_is_found_out_and_its_temperature_recovered() -> None:
    rng = np.random.default_rng(11)
    found = [simulate(rng, n=500, n_classes=5, scale=2.0) for _ in range(60)]
    calibrations = [expected_calibration_error(p, n_draws=400) for p in found]
    assert np.mean([c.p_value <= 0.05 for c in calibrations]) > 0.95
    assert all(c.gap > 0 for c in calibrations)
    temperatures = [fit_temperature(p.logits, p.targets) for p in found]
    assert abs(np.mean(temperatures) - 2.0) < 0.05


@pytest.mark.parametrize("n_groups", [3, 6, 20])
@pytest.mark.parametrize(("share", "spread"), [(0.35, 0.6), (0.8, 0.8), (0.95, 1.0)])
def test_shares_over_groups_cover_the_share_of_new_groups(n_groups: int, share: float, spread: float) -> None:
    rng = np.random.default_rng(n_groups)
    middle = np.log(share / (1 - share))
    truth = float((1 / (1 + np.exp(-(middle + spread * rng.normal(size=200_000))))).mean())
    repeats, covered, covered_by_wilson = 400, 0, 0
    for _ in range(repeats):
        sizes = rng.integers(30, 170, n_groups)
        groups = np.repeat(np.arange(n_groups), sizes)
        of_group = 1 / (1 + np.exp(-(middle + spread * rng.normal(size=n_groups))))
        right = rng.random(len(groups)) < of_group[groups]
        estimate, naive = share_over_groups(right, groups), wilson(int(right.sum()), len(right))
        covered += estimate.low <= truth <= estimate.high  # type: ignore[operator]
        covered_by_wilson += naive.low <= truth <= naive.high
    assert 0.89 <= covered / repeats <= 0.985
    assert covered_by_wilson / repeats < 0.75


def test_differences_over_groups_err_as_seldom_as_they_say() -> None:
    rng = np.random.default_rng(3)
    groups = np.repeat(np.arange(5), 80)
    repeats, claimed = 600, 0
    for _ in range(repeats):
        shift = rng.normal(0, 0.1, 5)[groups]
        found = share_difference_over_groups(rng.random(400) < 0.6 + shift, rng.random(400) < 0.6 - shift, groups)
        claimed += found.low > 0 or found.high < 0  # type: ignore[operator]
    assert claimed / repeats <= 0.08
