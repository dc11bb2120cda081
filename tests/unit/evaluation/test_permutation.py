"""Figures with the truth dealt out anew."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest
from sklearn import metrics as reference

from graft.core.types import Predictions
from graft.evaluation import frequency_baseline, majority_baseline
from graft.evaluation.permutation import (
    is_blind,
    permutation_p_value,
    permuted_macro_f1,
    permuted_mean_average_precision,
)
from label_sets import simulate


def test_blind_is_what_says_the_same_of_all() -> None:
    p = simulate(np.random.default_rng(0), 30)
    assert not is_blind(p)
    assert is_blind(frequency_baseline(p.targets, p.ids, p.targets, label_names=p.label_names))
    targets = np.arange(20) % 3
    assert is_blind(majority_baseline(targets, [str(i) for i in range(20)], targets, label_names=("a", "b", "c")))


def test_p_values() -> None:
    draws = np.arange(999.0)
    assert permutation_p_value(2_000.0, draws) == pytest.approx(2 / 1000)
    assert permutation_p_value(-1.0, draws) == 1.0, "worse than chance is no signal"
    assert permutation_p_value(499.0, draws) == 1.0
    assert permutation_p_value(990.0, draws) == pytest.approx(0.02)
    assert permutation_p_value(0.5, np.full(10, 0.5)) == 1.0


def test_average_precision_of_the_truth_as_it_is() -> None:
    """The identity among the permutations gives the figure itself, ties and all."""
    made = simulate(np.random.default_rng(1), 40)
    p = replace(made, logits=np.round(made.logits))
    from graft.evaluation import permutation

    ends = np.stack([permutation._last_ranks(z) for z in p.logits.T], axis=1)
    for k in range(p.targets.shape[1]):
        own = np.sort(ends[np.flatnonzero(p.targets[:, k]), k])[None, :]
        want = reference.average_precision_score(p.targets[:, k], p.logits[:, k])
        assert float(permutation._average_precision(own)[0]) == pytest.approx(want)


def test_permuted_figures_are_those_of_scikit_learn_on_average() -> None:
    rng = np.random.default_rng(2)
    p = simulate(rng, 60)
    slow = [
        reference.average_precision_score(p.targets[rng.permutation(60)], p.logits, average="macro") for _ in range(400)
    ]
    fast = permuted_mean_average_precision(p, n_draws=400)
    assert fast.mean() == pytest.approx(np.mean(slow), abs=0.01)
    assert fast.std() == pytest.approx(np.std(slow), rel=0.2)
    targets = rng.choice(3, size=90, p=[0.7, 0.2, 0.1])
    one = Predictions([str(i) for i in range(90)], targets, rng.normal(size=(90, 3)), ("a", "b", "c"))
    slow = [reference.f1_score(targets[rng.permutation(90)], one.predicted, average="macro") for _ in range(400)]
    fast = permuted_macro_f1(one, n_draws=400)
    assert fast.mean() == pytest.approx(np.mean(slow), abs=0.01)
    assert fast.std() == pytest.approx(np.std(slow), rel=0.2)


def test_many_examples_take_a_moment() -> None:
    rng = np.random.default_rng(3)
    p = simulate(rng, 5_000)
    start = time.process_time()
    permuted_mean_average_precision(p)
    assert time.process_time() - start < 30  # measured: 2 s
