"""The whole evaluation of label sets: its JSON form, its baselines, and what it refuses."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from graft.core.errors import DataError
from graft.core.types import UNKNOWN, MultiLabelPredictions
from graft.evaluation import evaluate_multi_label, frequency_baseline
from label_sets import NAMES, simulate

ESTIMATE = {"value", "low", "high", "n", "method", "level"}
MADE = simulate(np.random.default_rng(0), 240)
NOISY = replace(MADE, logits=MADE.logits + 1.5 * np.random.default_rng(1).normal(size=MADE.logits.shape))


def strict(value: Any) -> Any:
    """Return `value` after a way through strict JSON, which has no NaN."""
    return json.loads(json.dumps(value, allow_nan=False))


def evaluated(p: MultiLabelPredictions, **baselines: MultiLabelPredictions) -> dict[str, Any]:
    return strict(evaluate_multi_label(p, baselines=baselines, n_draws=200).as_dict())


def test_interface_of_metrics_json() -> None:
    prior = frequency_baseline(MADE.targets, MADE.ids, MADE.targets, label_names=NAMES)
    found = evaluated(MADE, prior=prior, knn=NOISY)
    assert list(found) == ["test", "headline", "labels", "calibration", "baselines", "n_without_target"]
    assert list(found["test"]) == ["mean_average_precision", "micro_f1", "macro_f1", "exact_match", "log_loss"]
    assert found["headline"] == "mean_average_precision"
    assert all(set(e) == ESTIMATE for e in found["test"].values())
    labels = found["labels"]
    assert list(labels) == ["names", "counts", "thresholds", "average_precision", "f1", "precision", "recall"]
    assert all(len(column) == 5 for column in labels.values())
    assert found["calibration"]["method"].startswith("probability of each label, all labels together")
    assert found["calibration"]["n"] == 5 * 240
    for baseline in found["baselines"].values():
        assert list(baseline) == ["mean_average_precision", "micro_f1", "macro_f1", "log_loss", "paired"]
        assert list(baseline["paired"]) == [
            "test",
            "metric",
            "n",
            "p_value",
            "difference",
            "smallest_detectable_difference",
            "power",
            "adjusted_p_value",
            "log_loss_difference",
        ]


def test_the_frequencies_are_beaten_and_noise_is_seen() -> None:
    prior = frequency_baseline(MADE.targets, MADE.ids, MADE.targets, label_names=NAMES)
    found = evaluated(MADE, prior=prior, noisy=NOISY)["baselines"]
    shares = MADE.targets.mean(0)
    assert found["prior"]["mean_average_precision"]["value"] == pytest.approx(shares.mean())
    assert found["prior"]["macro_f1"]["value"] == pytest.approx(np.mean(2 * shares / (1 + shares)))
    for baseline in found.values():
        assert baseline["paired"]["difference"]["low"] > 0
        assert baseline["paired"]["p_value"] < 0.05
        assert baseline["paired"]["log_loss_difference"]["high"] < 0
        assert baseline["paired"]["smallest_detectable_difference"] > 0


def test_the_same_model_is_no_better_than_itself() -> None:
    paired = evaluated(MADE, same=MADE)["baselines"]["same"]["paired"]
    assert paired["p_value"] == 1
    assert paired["difference"]["value"] == 0
    assert paired["smallest_detectable_difference"] is None


def test_examples_without_known_labels_are_left_out_and_counted() -> None:
    targets = MADE.targets.copy()
    targets[:40] = UNKNOWN
    found = evaluated(replace(MADE, targets=targets))
    rest = replace(MADE, ids=MADE.ids[40:], targets=MADE.targets[40:], logits=MADE.logits[40:])
    assert found["n_without_target"] == 40
    assert found["test"] == evaluated(rest)["test"]


def test_baselines_in_another_order_are_aligned() -> None:
    turn = np.random.default_rng(2).permutation(len(MADE))
    turned = replace(NOISY, ids=[NOISY.ids[i] for i in turn], targets=NOISY.targets[turn], logits=NOISY.logits[turn])
    assert evaluated(MADE, x=turned) == evaluated(MADE, x=NOISY)


def test_a_perfect_model_one_example_and_an_impossible_truth_are_valid_json() -> None:
    perfect = evaluated(replace(MADE, logits=40.0 * MADE.targets - 20.0))["test"]
    assert perfect["mean_average_precision"]["value"] == 1
    assert perfect["exact_match"]["method"] == "clopper-pearson"
    one = MultiLabelPredictions(["a"], np.array([[1, 0]], np.uint8), np.array([[0.3, 0.2]]), ("x", "y"), "test")
    assert evaluated(one)["test"]["log_loss"]["low"] is None
    impossible = replace(MADE, logits=np.where(MADE.targets == 1, -np.inf, MADE.logits))
    found = evaluated(impossible, same=impossible)
    assert found["test"]["log_loss"]["value"] is None
    assert found["baselines"]["same"]["paired"]["log_loss_difference"]["value"] is None


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"logits": np.full(MADE.logits.shape, np.nan)}, "not numbers"),
        ({"targets": np.full(MADE.targets.shape, 2, np.uint8)}, "targets \\[2, 2"),
        ({"targets": np.full(MADE.targets.shape, UNKNOWN, np.uint8)}, "none of 240"),
    ],
)
def test_refuses_what_no_figure_can_be_made_of(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(DataError, match=words):
        evaluate_multi_label(replace(MADE, **changes))


def test_refuses_baselines_of_other_labels() -> None:
    with pytest.raises(DataError, match="baseline 'x'"):
        evaluate_multi_label(MADE, baselines={"x": replace(NOISY, label_names=NAMES[::-1])})


def test_frequencies_skip_rows_that_are_not_known() -> None:
    train = np.array([[1, 0], [0, 0], [UNKNOWN, UNKNOWN]], np.uint8)
    p = frequency_baseline(train, ["a"], np.array([[1, 0]], np.uint8), label_names=("x", "y"))
    np.testing.assert_allclose(p.probabilities[0], [1.5 / 3, 0.5 / 3])
