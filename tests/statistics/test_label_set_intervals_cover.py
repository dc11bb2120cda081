"""Intervals and tests of label sets beside the simulated truth."""

from __future__ import annotations

import numpy as np
import pytest

from graft.core.types import Estimate, MultiLabelPredictions, Predictions
from graft.evaluation import (
    evaluate,
    evaluate_multi_label,
    expected_calibration_error,
    frequency_baseline,
    majority_baseline,
)
from graft.evaluation import multi_label_metrics as metrics
from graft.evaluation.comparisons import paired_bootstrap
from label_sets import simulate

USUAL = (0.0, -0.5, -1.2, -2.0)  # about 100 to 25 examples of 200
RARE = (0.5, -0.5, -3.0, -3.5)  # the last two have about 20 and 14 of 200


def truth(**how: object) -> np.ndarray:
    big = simulate(np.random.default_rng(99), 300_000, **how)  # type: ignore[arg-type]
    return metrics._figures(np.ones((1, len(big))), big)[0]


@pytest.mark.parametrize(("middle", "dependence"), [(USUAL, 0.0), (USUAL, 0.8), (RARE, 0.5)])
def test_intervals_of_averages_cover(middle: tuple[float, ...], dependence: float) -> None:
    rng, repeats = np.random.default_rng(0), 200
    wanted = dict(zip(metrics.RESAMPLED, truth(middle=middle, dependence=dependence), strict=True))
    hits = dict.fromkeys(wanted, 0)
    for seed in range(repeats):
        p = simulate(rng, middle=middle, dependence=dependence)
        (drawn,) = metrics.draw_figures([p], n_draws=400, seed=seed)
        for name, value in wanted.items():
            e = metrics.figure_of(drawn[name], p, name=name)
            assert isinstance(e, Estimate)
            hits[name] += e.low <= value <= e.high
    for name, n in hits.items():  # the standard error of a share of 200 is 0.015 to 0.02
        assert 0.895 <= n / repeats <= 1.0, (name, n / repeats)


def test_intervals_of_each_labels_f1_cover() -> None:
    rng, repeats = np.random.default_rng(1), 400
    big = simulate(np.random.default_rng(98), 300_000, middle=RARE)
    wanted = [e.value for e in metrics.per_label_f1(big)]
    hits = np.zeros(len(wanted))
    for _ in range(repeats):
        found = metrics.per_label_f1(simulate(rng, middle=RARE))
        hits += [e.low <= w <= e.high for e, w in zip(found, wanted, strict=True)]  # type: ignore[operator]
    assert (hits / repeats >= 0.92).all()
    assert (hits / repeats <= 0.985).all()


def test_equally_good_models_are_told_apart_at_most_5_percent() -> None:
    """Both see the truth through noise of the same size, drawn apart."""
    rng, repeats = np.random.default_rng(2), 300

    def rejects(gap: float) -> float:
        n = 0
        for seed in range(repeats):
            p = simulate(rng, 150)
            noisy = [
                MultiLabelPredictions(p.ids, p.targets, p.logits + s * rng.normal(size=p.logits.shape), p.label_names)
                for s in (1.0, 1.0 + gap)
            ]
            a, b = metrics.draw_figures(noisy, n_draws=300, seed=seed)
            test = paired_bootstrap(a["mean_average_precision"], b["mean_average_precision"], metric="mAP")
            n += test.p_value <= 0.05
        return n / repeats

    assert rejects(0.0) <= 0.085  # 0.05 with a standard error of 0.013
    assert rejects(1.5) > 0.6


@pytest.mark.parametrize("shares", [(0.5, 0.3, 0.1), (0.1,) * 6, (0.03,) * 10])
def test_noise_is_no_signal_against_the_labels_frequencies(shares: tuple[float, ...]) -> None:
    """On few examples any ranking has a higher mean average precision than a constant score."""
    rng, repeats, kept, gaps = np.random.default_rng(4), 200, 0, []
    names, ids = tuple(map(str, range(len(shares)))), [str(i) for i in range(150)]
    for seed in range(repeats):
        targets = (rng.random((150, len(shares))) < shares).astype(np.uint8)
        noise = MultiLabelPredictions(ids, targets, rng.normal(size=targets.shape), names)
        prior = frequency_baseline(targets, ids, targets, label_names=names)
        found = evaluate_multi_label(noise, baselines={"prior": prior}, n_draws=199, seed=seed).baselines["prior"]
        kept += found.adjusted_p_value <= 0.05 and (found.paired.difference.value or 0) > 0
        gaps.append(found.paired.difference.value)
    assert np.mean(gaps) > 0.01, "so a bootstrap of the difference would be misled"
    assert kept <= 0.05 * repeats


def test_noise_that_says_rare_classes_is_no_signal_against_the_most_frequent() -> None:
    rng, kept = np.random.default_rng(5), 0
    for seed in range(150):
        targets = rng.choice(5, size=200, p=[0.6, 0.2, 0.1, 0.06, 0.04])
        ids = [str(i) for i in range(200)]
        noise = Predictions(ids, targets, rng.normal(size=(200, 5)) + np.log([0.4, 0.2, 0.2, 0.1, 0.1]), tuple("abcde"))
        base = majority_baseline(targets, ids, targets, label_names=tuple("abcde"))
        found = evaluate(noise, baselines={"majority": base}, seed=seed)
        assert found.imbalance.is_imbalanced
        test = found.baselines["majority"]
        kept += test.adjusted_p_value <= 0.05 and test.paired.difference.value > 0
    assert kept <= 8  # 2.5 % of 150, one-sided, and three standard errors


@pytest.mark.parametrize("dependence", [0.0, 0.6])
def test_calibrated_labels_are_called_miscalibrated_at_most_5_percent(dependence: float) -> None:
    rng = np.random.default_rng(3)
    found = [expected_calibration_error(simulate(rng, dependence=dependence), n_draws=300, seed=i) for i in range(500)]
    assert np.mean([c.p_value <= 0.05 for c in found]) <= 0.075  # 0.05 with a standard error of 0.01
    over = [expected_calibration_error(simulate(rng, scale=1.8), n_draws=300, seed=i) for i in range(50)]
    assert np.mean([c.p_value <= 0.05 for c in over]) > 0.95
