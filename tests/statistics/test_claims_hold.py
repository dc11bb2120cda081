"""Claims beside simulated truth: what is promised of each holds as often as it is promised."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from graft.core.types import Predictions
from graft.evaluation import (
    accuracy_without_labels,
    evaluate,
    find_slices,
    fit_conformal,
    fit_learning_curve,
    judge,
    majority_baseline,
    mcnemar_exact,
    selection_bias,
    smooth_calibration_error,
    unpaired_difference,
    wilson,
)
from graft.evaluation.intervals import proportion
from graft.evaluation.overfitting import judge_overfitting
from graft.evaluation.smooth_calibration import judge_calibration
from graft.report import build_verdict


def simulate(
    rng: np.random.Generator, n: int, n_classes: int = 5, *, scale: float = 1.0, spread: float = 2.0
) -> Predictions:
    """Return predictions whose stated probabilities are the true ones; `scale` > 1 then overstates them."""
    z = rng.normal(size=(n, n_classes)) * spread
    p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    targets = (p.cumsum(axis=1) < rng.random((n, 1))).sum(axis=1).clip(max=n_classes - 1)
    return Predictions([str(i) for i in range(n)], targets, z * scale, tuple(map(str, range(n_classes))), "test")


def test_intervals_of_shares_cover_93_percent_everywhere_and_94_to_97_on_average() -> None:
    """Exactly computed, over all outcomes."""
    found = {}
    for n in (30, 100, 500):
        ends = [proportion(k, n) for k in range(n + 1)]
        for p in (0.5, 0.9, 0.98):
            chance = stats.binom.pmf(np.arange(n + 1), n, p)
            is_inside = np.array([e.low <= p <= e.high for e in ends])  # type: ignore[operator]
            found[n, p] = float(chance @ is_inside)
    assert min(found.values()) >= 0.93, found
    assert 0.94 <= np.mean(list(found.values())) <= 0.97, found
    assert wilson(29, 30).high < 1


@pytest.mark.parametrize("n", [30, 100, 500])
@pytest.mark.parametrize(("only_a", "only_b"), [(0.05, 0.05), (0.2, 0.2)])
def test_mcnemar_rejects_a_true_null_at_most_5_5_percent(n: int, only_a: float, only_b: float) -> None:
    """Exactly computed: over the number of disagreements, and over whom they favour."""
    rejected = 0.0
    for m in range(n + 1):
        b = np.arange(m + 1)
        p = np.minimum(1.0, 2 * stats.binom.cdf(np.minimum(b, m - b), m, 0.5))
        rejected += stats.binom.pmf(m, n, only_a + only_b) * float(stats.binom.pmf(b, m, 0.5) @ (p <= 0.05))
    assert rejected <= 0.055
    a = np.arange(n) < n // 2
    assert mcnemar_exact(a, a).p_value == 1.0


def test_unpaired_differences_cover() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.binomial(100, 0.9, 800), rng.binomial(150, 0.8, 800)
    found = [unpaired_difference(int(x), 100, int(y), 150) for x, y in zip(a, b, strict=True)]
    assert 0.93 <= np.mean([e.low <= 0.1 <= e.high for e in found]) <= 0.98


@pytest.mark.parametrize(("n", "spread"), [(100, 2.0), (300, 5.0)])
def test_a_calibrated_model_is_called_off_at_most_5_percent(n: int, spread: float) -> None:
    rng = np.random.default_rng(1)
    found = [smooth_calibration_error(simulate(rng, n, spread=spread), n_draws=199, seed=i) for i in range(200)]
    assert np.mean([judge_calibration(c).answer == "no" for c in found]) <= 0.05
    assert 0.4 <= np.mean([c.error <= c.null_median for c in found]) <= 0.6
    over = [smooth_calibration_error(simulate(rng, n, scale=2.5), n_draws=199) for _ in range(30)]
    assert np.mean([judge_calibration(c).answer == "no" for c in over]) > 0.9


def test_noise_labels_are_no_signal() -> None:
    """Neither the claim nor the headline takes noise for learning more often than 5 times in 100."""
    rng, n_signal, n_headlines = np.random.default_rng(2), 0, 0
    for seed in range(100):
        noise = simulate(rng, 150)
        targets = rng.integers(0, 5, 150)
        p = Predictions(noise.ids, targets, noise.logits, noise.label_names, "test")
        base = majority_baseline(rng.integers(0, 5, 150), p.ids, targets, label_names=p.label_names)
        found = evaluate(p, baselines={"majority": base}, seed=seed)
        claims = judge(p, baselines={"majority": base}, evaluation=found, seed=seed)
        (claim,) = (c for c in claims if c.name == "signal")
        headline = build_verdict(found.as_dict() | {"claims": [claim.as_dict()]}).headline
        n_headlines += headline.startswith("No signal")
        n_signal += claim.answer == "yes"
        assert claim.answer == "yes" or claim.sentence.startswith("No signal")
    assert n_signal <= 5
    assert n_headlines >= 95


def test_the_best_of_24_equal_candidates_is_corrected_to_under_half_a_point() -> None:
    rng, plain, corrected = np.random.default_rng(3), [], []
    for seed in range(150):
        found = selection_bias((rng.random((100, 24)) < 0.8).astype(float), n_draws=200, seed=seed)
        plain.append(found.plain - 0.8)
        corrected.append(found.corrected.value - 0.8)
    assert np.mean(plain) > 0.05
    assert abs(np.mean(corrected)) < 0.005


def test_conformal_sets_hold_the_right_class_as_often_as_promised() -> None:
    rng, shares = np.random.default_rng(4), []
    for _ in range(300):
        fitted = fit_conformal(simulate(rng, 100), coverage=0.9)
        other = simulate(rng, 400)
        shares.append(fitted.sets(other)[np.arange(400), other.targets].mean())
    assert 0.895 <= np.mean(shares) <= 0.92  # 0.9 to 0.9 + 1 / 101, with a standard error of 0.002
    assert 0.02 < np.std(shares) < 0.05


def test_accuracy_without_labels_is_held_by_its_interval_where_the_assumption_holds() -> None:
    """The other data is harder, and confidence says so."""
    rng, inside, inside_doc, errors = np.random.default_rng(5), [], [], []
    for seed in range(150):
        home, other = simulate(rng, 300), simulate(rng, 300, spread=1.0)
        found = accuracy_without_labels(home, other, n_draws=300, seed=seed)
        truth = other.is_correct.mean()
        inside.append(found.both.low <= truth <= found.both.high)
        inside_doc.append(found.confidence.low <= truth <= found.confidence.high)
        errors.append(found.confidence.value - truth)
    # Nothing but DoC and COT is right here; `both` holds COT's interval.
    assert np.mean(inside_doc) >= 0.93
    assert np.mean(inside) >= 0.93
    assert abs(np.mean(errors)) < 0.02


def test_curves_from_250_hold_the_accuracy_at_1000() -> None:
    rng, sizes = np.random.default_rng(6), np.array([22, 35, 56, 89, 141, 225])
    is_inside, is_gain_inside, widths = [], [], []
    for seed in range(100):
        a, b, c = np.exp(rng.uniform(np.log(0.5), np.log(3))), rng.uniform(0.25, 0.9), rng.choice([0.0, 0.02, 0.1])
        truth = np.minimum(0.95, a * sizes**-b + c)
        scatter = 0.6 * truth / np.sqrt(sizes)
        error = truth[:, None] + scatter[:, None] * rng.normal(size=(6, 10))
        seen = rng.binomial(25, np.clip(error, 0, 1)) / 25
        curve = fit_learning_curve(sizes, 1 - seen, n_now=250, n_samples=500, seed=seed)
        there, gain = curve.accuracy(1000), curve.gain(500)
        is_inside.append(there.low <= 1 - (a * 1000**-b + c) <= there.high)
        is_gain_inside.append(gain.low <= a * (250**-b - 500**-b) <= gain.high)
        widths.append(there.high - there.low)
    assert np.mean(is_inside) >= 0.93
    assert np.mean(is_gain_inside) >= 0.85
    assert np.mean(widths) < 0.15


def test_slices_of_chance_are_named_at_most_5_percent_and_a_failing_one_is_found() -> None:
    rng, n_named, n_found = np.random.default_rng(7), 0, 0
    for _ in range(300):
        columns = {name: rng.integers(0, 6, 300).astype(str) for name in ("camera", "place", "hour")}
        right = rng.random(300) < 0.85
        n_named += find_slices(right, columns)[0].adjusted_p_value <= 0.05
        right &= ~((columns["camera"] == "2") & (rng.random(300) < 0.6))
        best = find_slices(right, columns)[0]
        n_found += best.adjusted_p_value <= 0.05 and (best.column, best.value) == ("camera", "2")
    assert n_named <= 15
    assert n_found > 270


def test_an_overfitted_model_is_named_and_a_sound_one_is_not() -> None:
    rng, accused, named = np.random.default_rng(8), 0, 0
    for seed in range(100):
        seen = simulate(rng, 100)
        logits = seen.logits.copy()
        logits[np.arange(100), seen.targets] += 6.0  # the training examples are known by heart
        train = Predictions(seen.ids, seen.targets, logits, seen.label_names, "train")
        accused += judge_overfitting(train, simulate(rng, 200), seed=seed).answer == "yes"
        named += judge_overfitting(train, simulate(rng, 200, scale=2.5), seed=seed).answer == "yes"
    assert accused <= 5
    assert named >= 95
