"""Label sets spread over splits and folds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from graft.core.errors import DataError
from graft.core.types import UNKNOWN
from graft.data.splitting import feasible_folds, stratified_folds, stratified_split

Sets = NDArray[np.uint8]


@st.composite
def label_sets(draw: st.DrawFn) -> Sets:
    n, n_labels = draw(st.integers(6, 60)), draw(st.integers(1, 6))
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    return (rng.random((n, n_labels)) < rng.uniform(0.02, 0.8, n_labels)).astype(np.uint8)


def long_tail(n: int, n_labels: int, seed: int = 0) -> Sets:
    """Labels from half of the examples down to a handful, drawn dependently: a popular topic brings others along."""
    rng = np.random.default_rng(seed)
    topic = rng.normal(size=(n, 3))
    score = topic @ rng.normal(size=(3, n_labels)) + rng.normal(size=(n, n_labels))
    share = np.geomspace(0.5, 6 / n, n_labels)
    return (score > np.quantile(score, 1 - share, axis=0).diagonal()).astype(np.uint8)


@given(label_sets(), st.integers(0, 3))
def test_a_split_takes_every_example_once_and_brings_labels_into_train_and_test(labels: Sets, seed: int) -> None:
    split = stratified_split(labels, fractions={"train": 0.7, "test": 0.3}, seed=seed)
    assert sorted(np.concatenate(list(split.values())).tolist()) == list(range(len(labels)))
    count = labels.sum(axis=0)
    # A label can lack a side where its examples were all dealt for the sake of rarer ones; the rarest never does.
    rarest = int(np.argmin(np.where(count > 0, count, 10_000)))
    if count[rarest] >= 2:
        assert labels[split["train"], rarest].any()
        assert labels[split["test"], rarest].any()


@given(label_sets(), st.lists(st.integers(0, 15), min_size=60, max_size=60), st.integers(2, 5))
def test_groups_are_never_torn(labels: Sets, groups: list[int], n_folds: int) -> None:
    group = np.array(groups[: len(labels)])
    if len(np.unique(group)) < n_folds:
        with pytest.raises(DataError, match="folds for"):
            stratified_folds(labels, groups=group, n_folds=n_folds, seed=0)
        return
    folds = stratified_folds(labels, groups=group, n_folds=n_folds, seed=0)
    for g in np.unique(group):
        assert len(np.unique(folds[group == g])) == 1


@pytest.mark.parametrize("seed", range(4))
def test_folds_hold_the_share_of_every_label_far_better_than_chance(seed: int) -> None:
    labels = long_tail(600, 20, seed)

    def unevenness(folds: NDArray[np.int64]) -> float:
        counts = np.stack([labels[folds == k].sum(axis=0) for k in range(5)])
        return float(np.abs(counts - labels.sum(axis=0) / 5).mean())

    folds = stratified_folds(labels, n_folds=5, seed=seed)
    by_chance = np.mean([unevenness(np.random.default_rng(s).integers(0, 5, 600)) for s in range(20)])
    assert unevenness(folds) < 0.35 * by_chance
    assert np.ptp(np.bincount(folds)) <= 6
    counts = np.stack([labels[folds == k].sum(axis=0) for k in range(5)])
    assert (counts.min(axis=0) >= 1).all(), "every label has at least 6 examples: each fold holds one out"


def test_a_single_label_is_dealt_evenly_and_so_are_examples_without_any() -> None:
    labels = np.zeros((50, 2), np.uint8)
    labels[:10, 0] = 1
    folds = stratified_folds(labels, n_folds=5, seed=0)
    assert np.bincount(folds).tolist() == [10] * 5
    assert np.bincount(folds[:10]).tolist() == [2] * 5


def test_unknown_label_sets_count_as_none() -> None:
    labels = np.zeros((20, 3), np.uint8)
    labels[10:] = UNKNOWN
    folds = stratified_folds(labels, n_folds=2, seed=0)
    assert np.bincount(folds).tolist() == [10, 10]


def test_the_seed_changes_the_folds_and_only_the_seed() -> None:
    labels = long_tail(80, 6)
    first, again, other = (stratified_folds(labels, n_folds=4, seed=s).tolist() for s in (1, 1, 2))
    assert first == again != other


def test_a_rare_label_does_not_cost_folds() -> None:
    labels = np.zeros((40, 2), np.uint8)
    labels[:2, 0] = 1
    assert feasible_folds(labels, 5) == 5
    assert feasible_folds(labels, 5, groups=np.repeat([0, 1, 2], [20, 10, 10])) == 3
    folds = stratified_folds(labels, n_folds=5, seed=0)
    assert folds[0] != folds[1], "each fold's model sees one of the two"


def test_thirty_thousand_rows_of_five_hundred_labels_in_a_moment() -> None:
    import time

    rng = np.random.default_rng(0)
    labels = (rng.random((30_000, 500)) < np.geomspace(0.3, 1e-3, 500)).astype(np.uint8)
    start = time.process_time()
    folds = stratified_folds(labels, n_folds=5, seed=0)
    assert time.process_time() - start < 20  # measured: about 2 s
    assert np.ptp(np.bincount(folds)) < 300
