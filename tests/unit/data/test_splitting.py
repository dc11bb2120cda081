from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from graft.core.errors import DataError, UsageError
from graft.data.splitting import feasible_folds, stratified_folds, stratified_split

Integers = NDArray[np.int64]
label_lists = st.lists(st.integers(0, 4), min_size=1, max_size=80).map(lambda v: np.array(v, dtype=np.int64))


@st.composite
def pure_groups(draw: st.DrawFn) -> tuple[Integers, Integers]:
    """Labels and groups where each group is of one class."""
    of_group = draw(st.lists(st.integers(0, 3), min_size=2, max_size=30))
    sizes = draw(st.lists(st.integers(1, 5), min_size=len(of_group), max_size=len(of_group)))
    groups = np.repeat(np.arange(len(of_group)), sizes)
    order = np.random.default_rng(draw(st.integers(0, 9))).permutation(len(groups))
    return np.repeat(of_group, sizes)[order].astype(np.int64), groups[order].astype(np.int64)


@given(label_lists, st.integers(0, 3))
def test_a_split_takes_every_example_once_and_keeps_the_shares(labels: Integers, seed: int) -> None:
    fractions = {"train": 0.6, "valid": 0.15, "test": 0.25}
    split = stratified_split(labels, fractions=fractions, seed=seed)
    assert sorted(np.concatenate(list(split.values())).tolist()) == list(range(len(labels)))
    for c in np.unique(labels):
        n = int((labels == c).sum())
        counts = {name: int((labels[rows] == c).sum()) for name, rows in split.items()}
        assert counts["train"] >= 1
        assert counts["test"] >= min(1, n - 1)
        assert counts["valid"] >= min(1, max(0, n - 2))
        # one for rounding, one more that bringing the class into every split can cost
        assert all(abs(counts[name] - n * share) <= 2 for name, share in fractions.items())


@given(pure_groups(), st.integers(0, 3))
def test_groups_are_never_torn_and_classes_with_two_groups_are_on_both_sides(
    data: tuple[Integers, Integers], seed: int
) -> None:
    labels, groups = data
    split = stratified_split(labels, groups=groups, fractions={"train": 0.8, "test": 0.2}, seed=seed)
    assert not set(groups[split["train"]]) & set(groups[split["test"]])
    for c in np.unique(labels):
        if len(np.unique(groups[labels == c])) >= 2:
            assert (labels[split["train"]] == c).any()
            assert (labels[split["test"]] == c).any()


@given(label_lists, st.lists(st.integers(0, 20), min_size=80, max_size=80), st.integers(0, 3))
def test_groups_of_mixed_classes_are_never_torn(labels: Integers, groups: list[int], seed: int) -> None:
    group = np.array(groups[: len(labels)])
    split = stratified_split(labels, groups=group, fractions={"train": 0.7, "test": 0.3}, seed=seed)
    assert not set(group[split["train"]]) & set(group[split["test"]])


@given(label_lists, st.integers(2, 6), st.integers(0, 3))
def test_folds_are_balanced_in_every_class_and_over_all(labels: Integers, n_folds: int, seed: int) -> None:
    if len(labels) < n_folds:
        with pytest.raises(DataError, match="folds for"):
            stratified_folds(labels, n_folds=n_folds, seed=seed)
        return
    folds = stratified_folds(labels, n_folds=n_folds, seed=seed)
    for c in np.unique(labels):
        counts = np.bincount(folds[labels == c], minlength=n_folds)
        assert np.ptp(counts) <= 1
    assert np.ptp(np.bincount(folds, minlength=n_folds)) <= 2
    np.testing.assert_array_equal(folds, stratified_folds(labels, n_folds=n_folds, seed=seed))


@given(pure_groups(), st.integers(0, 3))
def test_folds_never_tear_groups_and_leave_each_class_in_training(data: tuple[Integers, Integers], seed: int) -> None:
    labels, groups = data
    folds = stratified_folds(labels, groups=groups, n_folds=2, seed=seed)
    for g in np.unique(groups):
        assert len(np.unique(folds[groups == g])) == 1
    for c in np.unique(labels):
        if len(np.unique(groups[labels == c])) >= 2:
            assert len(np.unique(folds[labels == c])) == 2


@settings(max_examples=20)
@given(st.integers(2, 40), st.integers(2, 5))
def test_many_small_classes_still_give_the_wanted_share(n_classes: int, per_class: int) -> None:
    labels = np.repeat(np.arange(n_classes), 7 * per_class)
    split = stratified_split(labels, fractions={"train": 0.8, "test": 0.2}, seed=0)
    assert abs(len(split["test"]) - 0.2 * len(labels)) <= 1


def test_the_seed_changes_the_split_and_only_the_seed() -> None:
    labels = np.repeat(np.arange(3), 20)
    first, again, other = (
        stratified_split(labels, fractions={"train": 0.5, "test": 0.5}, seed=seed)["test"].tolist()
        for seed in (1, 1, 2)
    )
    assert first == again != other


def test_rare_classes_spread_over_the_folds() -> None:
    folds = stratified_folds(np.repeat(np.arange(50), 2), n_folds=5, seed=0)
    assert np.bincount(folds).tolist() == [20] * 5


def test_a_split_of_no_share_is_empty() -> None:
    split = stratified_split(np.zeros(4, dtype=int), fractions={"train": 1.0, "test": 0.0}, seed=0)
    assert (len(split["train"]), len(split["test"])) == (4, 0)


@pytest.mark.parametrize("fractions", [{}, {"train": 0.5}, {"train": 1.5, "test": -0.5}])
def test_fractions_must_sum_to_one(fractions: dict[str, float]) -> None:
    with pytest.raises(UsageError, match="split fractions"):
        stratified_split(np.zeros(4, dtype=int), fractions=fractions, seed=0)


def test_errors_of_folds() -> None:
    with pytest.raises(UsageError, match="1 folds"):
        stratified_folds(np.zeros(4, dtype=int), n_folds=1, seed=0)
    with pytest.raises(DataError, match="5 folds for 2 separate"):
        stratified_folds(np.zeros(6, dtype=int), groups=np.array([0, 0, 0, 1, 1, 1]), n_folds=5, seed=0)
    with pytest.raises(DataError, match="3 labels"):
        stratified_folds(np.zeros(3, dtype=int), groups=np.array([0, 1, 2, 3]), n_folds=2, seed=0)


def test_feasible_folds_count_groups_not_examples() -> None:
    labels = np.array([0] * 6 + [1] * 6)
    assert feasible_folds(labels, 5) == 5
    assert feasible_folds(labels, 10) == 6
    assert feasible_folds(labels, 5, groups=np.array([0, 0, 1, 1, 2, 2, 3, 4, 5, 6, 7, 8])) == 3
    assert feasible_folds(np.array([0, 1, 1, 1]), 5) == 2


def test_fifty_thousand_rows_in_a_moment() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 1000, 50_000)
    folds = stratified_folds(labels, groups=rng.integers(0, 40_000, 50_000), n_folds=5, seed=0)
    assert np.ptp(np.bincount(folds)) < 100
