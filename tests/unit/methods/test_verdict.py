"""The judge: who wins, and how seldom by chance."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from graft.evaluation.calibration import fit_temperature
from graft.evaluation.multi_label_calibration import fit_prior_temperature, prior_log_odds, tempered
from graft.methods.verdict import ALPHAS, judge_contender, verdict_sentence

Logits = NDArray[np.float32]


def signal(targets: NDArray[np.int64], n_classes: int, strength: float, random: np.random.Generator) -> Logits:
    """Return calibrated logits that say something of the targets."""
    logits = strength * np.eye(n_classes)[targets] + random.normal(0, 1, (len(targets), n_classes))
    return np.asarray(logits / fit_temperature(logits, targets), dtype=np.float32)


def test_equal_logits_are_not_better() -> None:
    random = np.random.default_rng(0)
    targets = random.integers(3, size=100)
    probe = signal(targets, 3, 1.5, random)
    verdict = judge_contender(probe, np.stack([probe] * len(ALPHAS)), targets)
    assert not verdict.is_better
    assert verdict.alpha == ALPHAS[0], "of equals the one nearest to the probe"
    assert verdict.temperature == pytest.approx(1, abs=0.02)
    np.testing.assert_allclose(verdict.logits, probe, rtol=0.03)
    assert verdict.figures["probe"]["accuracy"] == verdict.figures["contender"]["accuracy"]


def test_a_clearly_better_contender_wins_at_the_share_where_it_is_best() -> None:
    random = np.random.default_rng(0)
    targets = random.integers(3, size=200)
    noise = random.normal(0, 1, (200, 3))
    probe = signal(targets, 3, 0.5, random)
    by_alpha = np.stack([(4 - 6 * abs(alpha - 0.6)) * np.eye(3)[targets] + noise for alpha in ALPHAS])
    verdict = judge_contender(probe, 5 * by_alpha.astype(np.float32), targets)
    assert verdict.is_better
    assert verdict.alpha == 0.6
    assert verdict.temperature == pytest.approx(fit_temperature(5 * by_alpha[2], targets), rel=1e-3)
    np.testing.assert_allclose(verdict.logits, 5 * by_alpha[2] / verdict.temperature, rtol=1e-5)
    losses = verdict.figures["log_loss_by_alpha"]
    assert list(losses) == ["0.2", "0.4", "0.6", "0.8", "1"]
    assert min(losses, key=lambda alpha: losses[alpha]) == "0.6"
    assert verdict.figures["contender"]["log_loss"] == losses["0.6"] < verdict.figures["probe"]["log_loss"]


def test_a_better_log_loss_with_fewer_right_answers_is_not_better() -> None:
    """The probe is right in 6 of 10 and sure of all; the contender says next to nothing, and is right in 4."""
    targets = np.array([0] * 100)
    wrong = np.arange(100) % 10 >= 6
    probe = np.where(wrong[:, None], [-4.0, 4.0], [4.0, -4.0]).astype(np.float32)
    contender = np.where(~wrong[:, None], [-0.01, 0.01], [0.01, -0.01]).astype(np.float32)
    verdict = judge_contender(probe, np.stack([contender]), targets, alphas=(1.0,))
    assert verdict.figures["log_loss_difference"]["high"] < 0
    assert not verdict.is_better


@pytest.mark.parametrize(("n", "n_classes", "size"), [(40, 2, 0.3), (60, 3, 1.0), (60, 3, 0.3)])
def test_where_labels_are_noise_the_contender_is_kept_in_at_most_a_twentieth(
    n: int, n_classes: int, size: float
) -> None:
    random = np.random.default_rng(0)
    kept = 0
    for draw in range(200):
        targets = random.integers(n_classes, size=n)
        probe, tuned = random.normal(0, 1, (n, n_classes)), random.normal(0, size, (n, n_classes))
        by_alpha = np.stack([(1 - alpha) * probe + alpha * tuned for alpha in ALPHAS]).astype(np.float32)
        calibrated = np.asarray(probe / fit_temperature(probe, targets), dtype=np.float32)
        kept += judge_contender(calibrated, by_alpha, targets, seed=draw).is_better
    assert kept <= 10


def test_a_contender_of_equal_worth_is_kept_in_about_a_twentieth() -> None:
    """One-sided at 5 %, and the accuracy must not be lower: 16 of 200 are more than 3 standard errors above."""
    random = np.random.default_rng(1)
    kept = 0
    for draw in range(200):
        targets = random.integers(3, size=80)
        probe, other = signal(targets, 3, 1.5, random), signal(targets, 3, 1.5, random)
        kept += judge_contender(probe, other[None], targets, seed=draw, alphas=(1.0,)).is_better
    assert kept <= 16


def label_signal(targets: NDArray[np.uint8], strength: float, random: np.random.Generator) -> Logits:
    """Return log-odds, about the labels' shares, that say something of the label sets."""
    centre = prior_log_odds(targets)
    logits = centre + strength * (2.0 * targets - 1) + random.normal(0, 1, targets.shape)
    return tempered(logits, fit_prior_temperature(logits, targets, centre=centre), centre=centre)


def test_label_sets_are_judged_by_their_log_loss_and_tempered_about_their_shares() -> None:
    random = np.random.default_rng(2)
    targets = (random.random((150, 4)) < [0.5, 0.3, 0.1, 0.05]).astype(np.uint8)
    probe = label_signal(targets, 0.4, random)
    by_alpha = np.stack([label_signal(targets, 2.0 - 3 * abs(alpha - 0.6), random) for alpha in ALPHAS])
    centre = prior_log_odds(targets)
    overconfident = tempered(by_alpha, 0.25, centre=centre)
    verdict = judge_contender(probe, overconfident, targets, centre=centre)
    assert verdict.is_better
    assert verdict.alpha == 0.6
    assert verdict.temperature == pytest.approx(4, rel=0.05)
    np.testing.assert_allclose(verdict.logits, by_alpha[2], atol=0.1)
    assert verdict.thresholds is not None
    assert verdict.figures["score"] == "exact label sets"
    assert not judge_contender(probe, np.stack([probe] * len(ALPHAS)), targets, centre=centre).is_better


def test_a_contender_must_beat_the_one_that_is_ahead_too() -> None:
    random = np.random.default_rng(0)
    targets = random.integers(3, size=300)
    probe, middle, best = (signal(targets, 3, strength, random) for strength in (0.5, 2.0, 4.0))
    ahead = judge_contender(probe, best[None], targets, alphas=(1.0,), incumbent=("lp-ft", middle))
    assert ahead.is_better
    assert ahead.figures["incumbent"]["method"] == "lp-ft"
    assert ahead.figures["incumbent"]["is_beaten"]
    behind = judge_contender(probe, middle[None], targets, alphas=(1.0,), incumbent=("lp-ft", best))
    assert judge_contender(probe, middle[None], targets, alphas=(1.0,)).is_better
    assert not behind.is_better
    facts = {**behind.figures, "held_out": "2 of 5 folds", "is_better": False, "seconds_evidence": 1.0}
    assert verdict_sentence("contrastive", facts).startswith("contrastive does not beat lp-ft on 300")
