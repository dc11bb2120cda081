"""Unequal classes: what counts as unequal, and what then leads."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from graft.core.errors import DataError
from graft.core.types import Predictions
from graft.evaluation import evaluate, imbalance_of, macro_f1, majority_baseline

NAMES = ("a", "b", "c", "d")


@pytest.mark.parametrize(
    ("counts", "is_imbalanced"),
    [
        ([100, 100, 100, 100], False),
        ([100, 100, 100, 35], False),  # 2.9 to 1
        ([100, 100, 100, 33], True),
        ([6, 2, 4, 4], False),  # 3 to 1, as chance would have it
        ([60, 20, 40, 40], True),
        ([1000, 1, 1, 1], True),
        ([50, 0, 0, 50], False),
    ],
)
def test_what_counts_as_unequal(counts: list[int], is_imbalanced: bool) -> None:
    found = imbalance_of(np.array(counts), NAMES)
    assert found.is_imbalanced is is_imbalanced
    assert found.headline == ("macro_f1" if is_imbalanced else "accuracy")


def test_equal_classes_are_seldom_called_unequal() -> None:
    rng = np.random.default_rng(0)
    found = [imbalance_of(rng.multinomial(40, [0.25] * 4), NAMES).is_imbalanced for _ in range(2_000)]
    assert np.mean(found) <= 0.015


def test_the_effective_number() -> None:
    assert imbalance_of(np.array([7, 7, 7, 0]), NAMES).n_effective == pytest.approx(3)
    assert imbalance_of(np.array([10**6, 1, 1, 1]), NAMES).n_effective == pytest.approx(1, abs=0.01)
    assert imbalance_of(np.array([0, 5, 0, 0]), NAMES).as_dict()["n_effective"] == 1
    with pytest.raises(DataError, match="no class"):
        imbalance_of(np.zeros(4, int), NAMES)


def test_what_is_said_names_both_ends() -> None:
    text = imbalance_of(np.array([1200, 300, 40, 100]), NAMES).sentence(noun="recording")
    assert "1,200 recordings of 'a', 40 of 'c' (30 to 1)" in text
    assert "macro-F1 leads, in which all 4 weigh alike" in text
    assert "about equally large" in imbalance_of(np.array([10, 11, 12, 9]), NAMES).sentence()


def unequal(n: int = 300, *, signal: float = 2.0, seed: int = 0) -> Predictions:
    rng = np.random.default_rng(seed)
    targets = rng.choice(3, size=n, p=[0.8, 0.12, 0.08])
    logits = rng.normal(size=(n, 3)) + signal * np.eye(3)[targets] + np.log([0.8, 0.12, 0.08])
    return Predictions([str(i) for i in range(n)], targets, logits, NAMES[:3], "test")


def test_macro_f1_leads_and_tests_the_baselines() -> None:
    p = unequal()
    base = majority_baseline(p.targets, p.ids, p.targets, label_names=p.label_names)
    found = json.loads(json.dumps(evaluate(p, baselines={"majority": base}).as_dict(), allow_nan=False))
    assert found["headline"] == "macro_f1"
    assert next(iter(found["test"])) == "macro_f1"
    assert found["imbalance"]["smallest"]["label"] == "c"
    baseline = found["baselines"]["majority"]
    assert list(baseline) == ["accuracy", "macro_f1", "log_loss", "paired", "accuracy_test"]
    assert baseline["paired"]["metric"] == "macro_f1"
    assert baseline["paired"]["test"] == "permutation", "the most frequent class is said without looking"
    assert baseline["paired"]["adjusted_p_value"] < 0.05
    assert baseline["accuracy_test"]["test"] == "mcnemar-exact"
    own, other = macro_f1(p), macro_f1(base)
    assert baseline["paired"]["difference"]["value"] == pytest.approx(own.value - other.value)  # type: ignore[operator]


def test_the_training_set_decides_which_figure_leads() -> None:
    assert evaluate(unequal(), class_counts=np.array([50, 50, 50])).as_dict()["headline"] == "accuracy"
    equal = replace(unequal(), targets=np.arange(300) % 3)
    assert evaluate(equal).as_dict()["headline"] == "accuracy"
    assert evaluate(equal, class_counts=np.array([90, 5, 5])).as_dict()["headline"] == "macro_f1"
