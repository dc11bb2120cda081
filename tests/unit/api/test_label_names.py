"""Label names as texts: when they are words, and when they are heeded."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from graft.api.label_names import LabelNames, heed_names, label_words, zero_shot
from graft.methods.head_only import HeadFit, HeadOnly
from small_texts import dataset_of

N_CLASSES, N_EACH, N_FEATURES = 6, 4, 8


@pytest.mark.parametrize("names", [("0", "1"), ("a", "b"), ("label_1", "LABEL_1"), ("spam", "12")])
def test_codes_are_no_words(names: tuple[str, ...]) -> None:
    assert label_words(names) is None


def test_names_in_other_scripts_are_words() -> None:
    assert label_words(("Überweisung", "заказ")) == ("überweisung", "заказ")


def heeded(named: Any, n_each: int = N_EACH) -> tuple[HeadFit, LabelNames | None, list[str], HeadFit]:
    """Return what comes of names whose features are `named` of the class centres."""
    random = np.random.default_rng(0)
    centres = random.normal(size=(N_CLASSES, N_FEATURES))
    train = dataset_of([n_each] * N_CLASSES)
    features = (centres[train.labels] + 2 * random.normal(size=(len(train), N_FEATURES))).astype(np.float32)
    names = LabelNames(tuple(f"name {c}" for c in range(N_CLASSES)), named(centres).astype(np.float32))
    method, told = HeadOnly(n_folds=4, scalings=("none",)), list[str]()

    def fit(method: HeadOnly, names: LabelNames | None = None) -> HeadFit:
        return method.fit(features, train.labels, n_classes=N_CLASSES, anchors=None if names is None else names.anchors)

    plain = fit(method)
    head, taken = heed_names(names, plain, fit, train, method, say=told.append)
    return head, taken, told, plain


def test_names_that_say_something_are_heeded() -> None:
    head, taken, told, plain = heeded(lambda centres: 2 * centres)
    assert taken is not None
    assert "are taken" in told[0]
    assert any("its own name" in note for note in head.notes)
    assert len(head.folds) == len(plain.folds) == N_CLASSES * N_EACH
    assert head.out_of_fold_logits.shape == plain.out_of_fold_logits.shape
    assert not np.allclose(head.weights, plain.weights)


def test_names_that_mislead_are_left_out() -> None:
    head, taken, told, plain = heeded(lambda centres: 3 * np.roll(centres, 1, axis=0))
    assert taken is None
    assert "are left out" in told[0]
    assert head is plain


def test_with_many_examples_names_are_not_tried() -> None:
    _, taken, told, _ = heeded(lambda centres: 2 * centres, n_each=50)
    assert taken is None
    assert told == []


def test_a_name_is_one_example_more() -> None:
    """In the last fit, which holds nothing out, an anchor and an example are the same."""
    random = np.random.default_rng(1)
    features = random.normal(size=(24, 5)).astype(np.float32)
    targets = np.arange(24) % 3
    method = HeadOnly(n_folds=3, scalings=("none",))
    anchored = method.fit(features[:21], targets[:21], n_classes=3, anchors=(features[21:], targets[21:]))
    whole = method.fit(features, targets, n_classes=3)
    penalties = {row["penalty"]: row for row in whole.leaderboard}
    assert set(penalties) & {row["penalty"] for row in anchored.leaderboard}
    if anchored.penalty == whole.penalty:
        np.testing.assert_allclose(
            anchored.weights * anchored.temperature, whole.weights * whole.temperature, rtol=1e-3, atol=1e-4
        )


def test_the_nearest_name_is_said() -> None:
    names = LabelNames(("x", "y"), np.eye(2, dtype=np.float32))
    found = zero_shot(
        replace(names, features=7 * names.features), np.array([[5, 1], [0.1, 0.2]], np.float32),
        ids=["a", "b"], targets=np.array([0, 1]), label_names=("x", "y"),
    )  # fmt: skip
    assert found.predicted.tolist() == [0, 1]
