from __future__ import annotations

import json

import numpy as np
import pytest

from graft.core.errors import DataError
from graft.core.types import Estimate, MultiLabelPredictions, Predictions
from graft.evaluation import (
    Candidates,
    compare_features,
    conformal_quantile,
    fit_conformal,
    fit_learning_curve,
    frequency_baseline,
    judge,
    linear_cka,
    majority_baseline,
    next_to_label,
    selection_bias,
)
from graft.evaluation.claims import more_to_tell
from graft.evaluation.learning_curve import judge_more_labels
from graft.evaluation.overfitting import judge_loss_history, judge_overfitting

NAMES = ("a", "b", "c")


def predictions(n: int = 300, *, signal: float = 2.0, seed: int = 0, split: str = "test") -> Predictions:
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 3, n)
    logits = rng.normal(size=(n, 3))
    logits[np.arange(n), y] += signal
    return Predictions([f"{split}{i}" for i in range(n)], y, logits, NAMES, split)


def test_all_claims_at_once_are_strict_json() -> None:
    p = predictions()
    base = majority_baseline(p.targets, p.ids, p.targets, label_names=NAMES)
    sizes = np.array([20, 40, 80, 160, 320])
    draws = np.random.default_rng(0).normal(size=(5, 6)) * 0.01
    curve = fit_learning_curve(sizes, 1 - 0.9 * sizes[:, None] ** -0.5 + draws, n_samples=200)
    unknown = predictions(50, seed=5, split="street")
    unknown = Predictions(unknown.ids, np.full(50, -1), unknown.logits, NAMES, "street")
    rng = np.random.default_rng(1)
    claims = judge(
        p,
        train=predictions(seed=1, split="train"),
        valid=predictions(seed=2, split="valid"),
        baselines={"majority": base, "knn": predictions(seed=3)},
        shift={"night": predictions(seed=4, signal=0.5, split="night"), "street": unknown},
        candidates=Candidates(rng.random((300, 6)) < 0.8),
        curve=curve,
        is_frozen=True,
        slices={"camera": ["x", "y"] * 150},
    )
    told = json.loads(json.dumps([c.as_dict() for c in claims], allow_nan=False))
    assert [c["name"] for c in told] == [
        "signal",
        "beats:knn",
        "overfits",
        "selection_flatters",
        "calibrated",
        "shift:night",
        "shift:street",
        "more_labels",
        "leans_on_pretraining",
        "loses_pretraining",
        "slices_fail",
        "sets_cover",
    ]
    assert all(c["answer"] in ("yes", "no", "can't tell") and c["sentence"] and c["question"] for c in told)
    assert all((c["strength"] == "none") == (c["answer"] == "can't tell") for c in told)


def test_label_sets_are_judged_where_that_makes_sense() -> None:
    rng = np.random.default_rng(0)
    y = (rng.random((200, 3)) < 0.4).astype(np.uint8)
    p = MultiLabelPredictions([str(i) for i in range(200)], y, 4.0 * y - 2 + rng.normal(size=y.shape), NAMES)
    claims = {c.name: c for c in judge(p, baselines={"prior": frequency_baseline(y, p.ids, y, label_names=NAMES)})}
    assert claims["signal"].answer == "yes"
    assert claims["overfits"].sentence.startswith("Not judged")


def test_too_few_examples_are_said_with_how_many_would_do() -> None:
    p, logits = predictions(80, signal=1.6), np.random.default_rng(9).normal(size=(80, 3))
    logits[np.arange(80), p.targets] += 1.2
    other = Predictions(p.ids, p.targets, logits, NAMES, "test")
    (claim,) = (c for c in judge(p, baselines={"knn": other}) if c.name == "beats:knn")
    assert claim.answer == "can't tell"
    assert claim.n_more is not None
    assert f"{claim.n_more:,} more" in claim.sentence
    assert more_to_tell(Estimate(0.4, -0.02, 0.65, 12, "x"), at_least=0.02) == 10, "one more is no advice"
    assert more_to_tell(Estimate(0.1, 0.03, 0.17, 200, "x"), at_least=0.02) == 50
    far = more_to_tell(Estimate(0.0, -0.4, 0.4, 40, "x"), at_least=0.001)
    assert far is None
    assert judge_overfitting(predictions(100), predictions(10)).answer == "can't tell"


def test_known_by_heart_and_too_sure_of_new_ones_is_overfitting() -> None:
    p = predictions(400, signal=1.0)
    sure = Predictions(p.ids, p.targets, 8 * p.logits, NAMES, "test")
    train = predictions(200, signal=60.0, split="train")
    claim = judge_overfitting(train, sure, baselines={"probe": p})
    assert claim.answer == "yes"
    assert claim.strength == "strong"
    assert "above that of" in claim.sentence
    assert judge_overfitting(predictions(300, signal=1.0, seed=8), p).answer == "no"


def test_the_loss_that_rises_is_said_apart_from_the_metric_that_holds() -> None:
    losses = [1.0, 0.6, 0.45, 0.48, 0.52, 0.57, 0.63]
    looks = [{"step": 10 * i, "log_loss": loss, "accuracy": 0.8 + 0.005 * i} for i, loss in enumerate(losses)]
    claim = judge_loss_history(looks, n=200)
    assert claim is not None
    assert claim.answer == "yes"
    assert "after step 20 while accuracy held" in claim.sentence
    falling = [{"step": i, "log_loss": 1 / (i + 1)} for i in range(6)]
    sound = judge_loss_history(falling, n=200)
    assert sound is not None
    assert sound.answer == "no"
    assert judge_loss_history(looks[:3], n=200) is None


def test_features_that_were_rotated_are_kept_and_those_drawn_anew_are_not() -> None:
    rng = np.random.default_rng(0)
    y = np.arange(120) % 3
    before = np.eye(3)[y] @ rng.normal(size=(3, 20)) + 0.4 * rng.normal(size=(120, 20))
    turn, _ = np.linalg.qr(rng.normal(size=(20, 20)))
    same = compare_features(before, 2 * before @ turn, y)
    assert same.cka == pytest.approx(1)
    noise = compare_features(before, rng.normal(size=(120, 200)), y)
    assert abs(noise.cka) < 0.1, "unbiased: the plain form says 0.7 and more here"
    assert noise.knn_after < noise.knn_before - 0.3
    assert noise.test.p_value < 0.001
    with pytest.raises(DataError, match="at least four"):
        linear_cka(before[:3], before[:3])


def test_too_few_held_out_examples_promise_all_classes() -> None:
    fitted = fit_conformal(predictions(5), coverage=0.9)
    assert fitted.threshold == 0
    assert fitted.sets(predictions(20)).all()
    with pytest.raises(DataError, match="0 < coverage < 1"):
        conformal_quantile(np.zeros(3), coverage=1.0)


def test_copies_and_labelled_examples_are_not_asked_for() -> None:
    x = np.random.default_rng(0).normal(size=(60, 8))
    x = np.concatenate([x, x])
    p = np.full((120, 2), 0.5)
    chosen = next_to_label(p, x, n=60)
    assert len(set(chosen % 60)) == 60
    known = next_to_label(p, x, n=30, labelled=x[:30])
    assert (known % 60 >= 30).all()


def test_curves_refuse_what_they_cannot_say() -> None:
    sizes = np.array([25, 50, 100, 200, 400])
    flat = fit_learning_curve(sizes, np.full((5, 5), 0.9), n_samples=200)
    assert judge_more_labels(flat).answer == "no"
    assert flat.gain(1600).high < 0.05
    with pytest.raises(DataError, match="at most 4 times"):
        flat.accuracy(1601)
    with pytest.raises(DataError, match="at least five different sizes"):
        fit_learning_curve(sizes[:4], np.full((4, 5), 0.9))
    with pytest.raises(DataError, match="shares"):
        fit_learning_curve(sizes, np.full((5, 5), np.nan))


def test_shared_held_out_examples_widen_the_band() -> None:
    sizes = np.array([25, 50, 100, 200, 400])
    seen = 1 - 0.9 * sizes[:, None] ** -0.5 + np.random.default_rng(0).normal(size=(5, 6)) * 0.005
    own, shared = (fit_learning_curve(sizes, seen, n_held_out=n).accuracy(800) for n in (None, 50))
    assert shared.high - shared.low > own.high - own.low + 0.01


def test_a_truly_better_candidate_is_not_called_flattered() -> None:
    rng = np.random.default_rng(0)
    found = selection_bias((rng.random((300, 4)) < [0.6, 0.6, 0.6, 0.9]).astype(float))
    assert found.flattery.high < 0.01
    with pytest.raises(DataError, match="not finite"):
        selection_bias(np.full((5, 2), np.nan))
