"""What is said of a gap between training and new examples, where the truth is simulated."""

from __future__ import annotations

import numpy as np
import pytest

from graft.core.types import MultiLabelPredictions, Predictions
from graft.evaluation import judge, majority_baseline
from graft.evaluation.claims import Claim
from graft.evaluation.overfitting import judge_overfitting

NAMES = tuple("abcde")


def said(n: int, *, lift: float, scale: float = 1.0, noise: float = 0.3, seed: int = 0, split: str) -> Predictions:
    """Predictions whose true class has `lift` more in its logit; all logits are then taken `scale` times."""
    rng = np.random.default_rng([seed, n])
    targets = np.arange(n) % 5
    logits = noise * rng.normal(size=(n, 5))
    logits[np.arange(n), targets] += lift
    return Predictions([f"{split}{i}" for i in range(n)], targets, scale * logits, NAMES, split)


def calibrated(n: int, *, spread: float, seed: int = 0) -> Predictions:
    """Predictions that are right as often as they say."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(n, 5)) * spread
    p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    targets = (p.cumsum(axis=1) < rng.random((n, 1))).sum(axis=1).clip(max=4)
    return Predictions([f"test{i}" for i in range(n)], targets, z, NAMES, "test")


@pytest.mark.parametrize("n", [60, 200, 500])
def test_who_knows_train_by_heart_and_guesses_new_ones_is_never_cleared(n: int) -> None:
    train, new = said(500, lift=2.0, split="train"), said(n, lift=0.0, split="test")
    claim = judge_overfitting(train, new)
    assert (claim.answer, claim.strength) == ("can't tell", "none")
    assert claim.sentence.startswith("It memorises: 100\u202f% of its training examples are right")
    assert "not shown to be better than a guess" in claim.sentence


def test_who_claims_more_than_it_holds_on_new_ones_is_not_cleared_on_the_same_page() -> None:
    """Too sure, but not by so much that a temperature is proven to save 5 % of the log-loss."""
    found: list[Claim] = []
    for seed in range(20):
        new = calibrated(150, spread=1.3, seed=seed)
        sure = Predictions(new.ids, new.targets, 1.45 * new.logits, NAMES, "test")
        base = majority_baseline(new.targets, new.ids, new.targets, label_names=NAMES)
        claims = {
            c.name: c for c in judge(sure, train=said(300, lift=4.0, split="train"), baselines={"majority": base})
        }
        if claims["calibrated"].answer == "no" and claims["overfits"].answer != "yes":
            found.append(claims["overfits"])
    assert len(found) >= 3
    assert {claim.answer for claim in found} == {"can't tell"}
    assert all(
        "claims more on new ones than it holds" in c.sentence or "better than a guess" in c.sentence for c in found
    )


def test_a_sound_fit_with_a_gap_is_said_to_memorise_and_not_accused() -> None:
    claim = judge_overfitting(said(400, lift=6.0, split="train"), calibrated(600, spread=4.0))
    assert (claim.answer, claim.strength) == ("no", "moderate")
    assert claim.sentence.startswith("It memorises, and no harm shows: 100\u202f%")


def test_two_samples_that_are_wholly_right_are_not_said_to_be_memorised() -> None:
    claim = judge_overfitting(said(400, lift=9.0, split="train"), said(400, lift=4.0, split="test"), has_signal=True)
    assert claim.evidence["log_loss_gap"] > claim.evidence["log_loss_gap_noise_floor"]
    assert claim.answer == "no"
    assert "memorises" not in claim.sentence
    assert "suffer" not in claim.sentence


def label_sets(n: int, *, lift: float, scale: float = 1.0, seed: int = 0, split: str = "test") -> MultiLabelPredictions:
    """Four labels, each with three examples of ten; logits that know them by `lift`, then taken `scale` times."""
    rng = np.random.default_rng([seed, n])
    y = (rng.random((n, 4)) < 0.3).astype(np.uint8)
    logits = lift * (2.0 * y - 1) + rng.normal(size=(n, 4))
    return MultiLabelPredictions([f"{split}{i}" for i in range(n)], y, scale * logits, NAMES[:4], split)


def test_sets_of_labels_known_by_heart_and_too_sure_on_new_ones_are_overfitted() -> None:
    train = label_sets(200, lift=8.0, split="train")
    accused = judge_overfitting(train, label_sets(300, lift=0.7, scale=6.0))
    assert (accused.answer, accused.strength) == ("yes", "strong")
    assert "by all of their labels" in accused.sentence
    new = label_sets(300, lift=0.0, scale=0.1)
    shares = MultiLabelPredictions(new.ids, new.targets, new.logits - 0.85, new.label_names)
    guess = judge_overfitting(train, shares)
    assert guess.answer == "can't tell"
    assert "not shown to be better than a guess" in guess.sentence


def test_sound_sets_of_labels_are_not_accused() -> None:
    found = []
    for seed in range(20):
        train = label_sets(200, lift=1.0, split="train", seed=seed)
        found.append(judge_overfitting(train, label_sets(250, lift=1.0, seed=seed + 50)))
    assert sum(claim.answer == "yes" for claim in found) <= 1
    claims = judge(label_sets(150, lift=1.0), train=label_sets(150, lift=1.0, split="train", seed=3))
    (claim,) = (c for c in claims if c.name == "overfits")
    assert not claim.sentence.startswith("Not judged")
