from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from graft.core.errors import DataError
from graft.core.types import Predictions
from graft.evaluation import evaluate, majority_baseline

ESTIMATE = {"value", "low", "high", "n", "method", "level"}


def predictions(n: int = 120, n_classes: int = 6, *, seed: int = 0, signal: float = 2.0, **changes: Any) -> Predictions:
    rng = np.random.default_rng(seed)
    targets = np.arange(n) % n_classes
    logits = rng.normal(size=(n, n_classes))
    logits[np.arange(n), targets] += signal
    given: dict[str, Any] = {
        "ids": [f"e{i}" for i in range(n)],
        "targets": targets,
        "logits": logits,
        "label_names": tuple("abcdefghij"[:n_classes]),
        "split": "test",
    }
    return Predictions(**(given | changes))


def strict(value: Any) -> Any:
    """Return `value` after a way through strict JSON, which has no NaN."""
    return json.loads(json.dumps(value, allow_nan=False))


def test_interface_of_metrics_json() -> None:
    p = predictions()
    base = majority_baseline(p.targets, p.ids, p.targets, label_names=p.label_names)
    found = strict(evaluate(p, baselines={"majority": base, "knn": predictions(seed=1)}).as_dict())
    assert list(found) == [
        "test",
        "headline",
        "imbalance",
        "confusion",
        "calibration",
        "baselines",
        "n_without_target",
    ]
    assert found["headline"] == "accuracy"
    assert not found["imbalance"]["is_imbalanced"]
    assert list(found["test"]) == ["accuracy", "balanced_accuracy", "macro_f1", "log_loss", "brier", "top_5"]
    assert all(set(e) == ESTIMATE for e in found["test"].values())
    assert set(found["confusion"]) == {"labels", "counts", "recall", "precision"}
    assert set(found["calibration"]) == {
        "expected_calibration_error",
        "null_median",
        "null_95",
        "p_value",
        "confidence_minus_accuracy",
        "n",
        "n_bins",
        "method",
        "bins",
    }
    assert list(found["baselines"]) == ["majority", "knn"]
    for baseline in found["baselines"].values():
        assert list(baseline) == ["accuracy", "log_loss", "paired"]
        assert set(baseline["paired"]) == {
            "test",
            "only_model_right",
            "only_baseline_right",
            "n",
            "p_value",
            "adjusted_p_value",
            "accuracy_difference",
            "log_loss_difference",
            "smallest_detectable_difference",
            "power",
        }
        assert set(baseline["paired"]["accuracy_difference"]) == ESTIMATE


def test_same_seed_same_figures_other_seed_other_intervals() -> None:
    one, two, other = (evaluate(predictions(), seed=s).as_dict() for s in (0, 0, 1))
    assert one == two
    assert one["test"]["log_loss"]["value"] == other["test"]["log_loss"]["value"]
    assert one["test"]["log_loss"]["low"] != other["test"]["log_loss"]["low"]


def test_key_is_the_split() -> None:
    assert "valid" in evaluate(predictions(split="valid")).as_dict()


def test_examples_without_target_are_left_out_and_counted() -> None:
    p = predictions()
    targets = p.targets.copy()
    targets[:20] = -1
    found = evaluate(predictions(targets=targets), baselines={"other": predictions(seed=1)})
    rest = predictions()
    rest = Predictions(rest.ids[20:], rest.targets[20:], rest.logits[20:], rest.label_names, "test")
    assert found.n_without_target == 20
    assert found.as_dict()["test"] == evaluate(rest).as_dict()["test"]
    assert found.baselines["other"].paired.n == 100


def test_baselines_in_another_order_are_aligned() -> None:
    p, other = predictions(), predictions(seed=1)
    turn = np.random.default_rng(0).permutation(len(p))
    turned = Predictions(
        [other.ids[i] for i in turn], other.targets[turn], other.logits[turn], other.label_names, "test"
    )
    assert evaluate(p, baselines={"x": turned}).as_dict() == evaluate(p, baselines={"x": other}).as_dict()


def test_absent_class_and_few_examples_are_said_not_nan() -> None:
    p = predictions(n=40, n_classes=4)
    targets = np.where(p.targets == 3, 0, p.targets)
    found = strict(evaluate(predictions(n=40, n_classes=4, targets=targets)).as_dict())
    assert found["test"]["macro_f1"]["low"] is None
    assert "no example of 'd'" in found["test"]["macro_f1"]["method"]
    assert found["confusion"]["recall"][3]["value"] is None
    few = strict(evaluate(predictions(n=12, n_classes=4)).as_dict())
    assert few["test"]["macro_f1"]["value"] is not None
    assert "fewer than 10" in few["test"]["macro_f1"]["method"]
    assert few["test"]["balanced_accuracy"]["method"] == "wilson-mover"


def test_one_example_is_valid_json() -> None:
    found = strict(evaluate(predictions(n=1, n_classes=2)).as_dict())
    assert found["test"]["log_loss"]["low"] is None
    assert found["test"]["accuracy"]["n"] == 1


def test_a_perfect_model_and_an_impossible_truth_are_valid_json() -> None:
    perfect = strict(evaluate(predictions(signal=60.0)).as_dict())["test"]
    assert perfect["accuracy"]["method"] == "clopper-pearson"
    assert perfect["accuracy"]["high"] == perfect["balanced_accuracy"]["high"] == 1
    assert 0.9 < perfect["balanced_accuracy"]["low"] < 1
    p = predictions()
    logits = p.logits.copy()
    logits[0, p.targets[0]] = -np.inf
    impossible = predictions(logits=logits)
    found = strict(evaluate(impossible, baselines={"same": impossible}).as_dict())
    assert found["test"]["log_loss"]["value"] is None
    assert "probability 0" in found["test"]["log_loss"]["method"]
    assert found["baselines"]["same"]["paired"]["log_loss_difference"]["value"] is None


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"logits": np.full((120, 6), np.nan)}, "not numbers"),
        ({"targets": np.full(120, 6)}, "target 6"),
        ({"targets": np.full(120, -1)}, "none of 120"),
    ],
)
def test_refuses_what_no_figure_can_be_made_of(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(DataError, match=words):
        evaluate(predictions(**changes))


@pytest.mark.parametrize(
    "changes", [{"ids": [f"x{i}" for i in range(120)]}, {"label_names": tuple("fedcba")}, {"ids": ["e1"] * 120}]
)
def test_refuses_baselines_of_other_examples_or_labels(changes: dict[str, Any]) -> None:
    with pytest.raises(DataError, match="baseline 'x'"):
        evaluate(predictions(), baselines={"x": predictions(**changes)})


def test_majority_baseline_knows_frequencies_only() -> None:
    p = predictions()
    base = majority_baseline(np.array([0] * 30 + [1] * 10 + [-1] * 99), p.ids, p.targets, label_names=p.label_names)
    assert (base.predicted == 0).all()
    assert np.allclose(base.probabilities.sum(axis=1), 1)
    assert np.allclose(base.probabilities[0, :2], [0.75, 0.25], atol=0.02)
    assert (base.probabilities > 0).all()
