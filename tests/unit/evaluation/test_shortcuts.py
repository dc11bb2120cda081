from __future__ import annotations

import numpy as np

from graft.evaluation.shortcuts import find_shortcuts

COLUMNS = (("file size", [0]), ("border colour", [1, 2, 3]))


def traits(labels: np.ndarray, *, seed: int, planted: bool) -> np.ndarray:
    random = np.random.default_rng(seed)
    values = random.normal(0, 1, (len(labels), 4))
    if planted:
        values[:, 1:] += random.normal(0, 4, (labels.max() + 1, 3))[labels]
    return values


def test_the_culprit_is_named_and_no_other() -> None:
    for seed in range(20):
        labels = np.random.default_rng(seed).integers(0, 5, 250)
        found = find_shortcuts(COLUMNS, traits(labels, seed=seed, planted=True), labels)
        assert [s.name for s in found if s.is_shortcut] == ["border colour"]


def test_traits_without_any_knowledge_are_not_accused_and_their_p_values_are_honest() -> None:
    low = 0
    for seed in range(100):
        labels = np.random.default_rng(seed).integers(0, 3, 120)
        found = find_shortcuts(COLUMNS, traits(labels, seed=seed + 1000, planted=False), labels)
        assert not any(s.is_shortcut for s in found)
        low += min(s.p_value for s in found) < 0.05
    assert low <= 11  # of 100; a fair test has more once in 200


def test_one_class_that_is_given_away_is_enough() -> None:
    labels = np.random.default_rng(0).integers(0, 10, 1000)
    values = traits(labels, seed=1, planted=False)
    values[labels == 7, 0] = 25.0
    found = find_shortcuts(COLUMNS, values, labels)
    assert (found[0].name, found[0].class_number, found[0].is_shortcut) == ("file size", 7, True)
    assert found[0].skill < 0.3


def test_equal_values_in_the_order_of_the_classes_give_nothing_away() -> None:
    labels = np.repeat([0, 1, 2], 100)
    values = np.repeat([[1.0], [2.0]], 150, axis=0)[np.random.default_rng(0).permutation(300)]
    found = find_shortcuts([("sampling rate", [0])], values, labels)
    assert not found[0].is_shortcut
    assert abs(found[0].skill) < 0.15


def test_constant_traits_few_examples_and_one_class_are_passed_over() -> None:
    labels = np.repeat([0, 1], 50)
    assert find_shortcuts([("sampling rate", [0])], np.ones((100, 1)), labels) == []
    assert find_shortcuts([("file size", [0])], np.arange(6.0)[:, None], labels[47:53]) == []
    assert find_shortcuts([("file size", [0])], np.arange(100.0)[:, None], labels * 0) == []
