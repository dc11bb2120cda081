from __future__ import annotations

import numpy as np
import pytest

from graft.core.errors import DataError
from graft.methods.head_only import HeadFit, HeadOnly
from graft.methods.learning_curve import accuracy_over_sizes, curve_sizes


def clouds(n: int, *, n_classes: int = 4, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    y = np.arange(n) % n_classes
    centres = np.random.default_rng(7).normal(size=(n_classes, 12))
    return (centres[y] + 1.6 * rng.normal(size=(n, 12))).astype(np.float32), y


def head_of(x: np.ndarray, y: np.ndarray) -> HeadFit:
    return HeadOnly(scalings=("none",)).fit(x, y, n_classes=4)


def test_accuracy_grows_with_the_labels_and_ends_at_the_heads_own() -> None:
    x, y = clouds(300)
    head = head_of(x, y)
    found = accuracy_over_sizes(x, y, n_classes=4, head=head)
    assert found.accuracy.shape == found.log_loss.shape == (len(found.sizes), 10)
    assert found.sizes[-1] == 270
    mean, loss = found.accuracy.mean(axis=1), found.log_loss.mean(axis=1)
    assert mean[-1] > mean[0] + 0.05
    assert loss[-1] < loss[0] - 0.1
    out_of_fold = (head.out_of_fold_logits.argmax(axis=1) == y).mean()
    assert abs(mean[-1] - out_of_fold) < 0.03
    again = accuracy_over_sizes(x, y, n_classes=4, head=head)
    assert np.array_equal(found.accuracy, again.accuracy)


def test_sets_of_labels_are_right_where_they_are_exactly_the_own() -> None:
    rng = np.random.default_rng(3)
    x = rng.normal(size=(400, 12)).astype(np.float32)
    labels = (x[:, :3] + 0.4 * rng.normal(size=(400, 3)) > 0.3).astype(np.int64)
    head = HeadOnly(scalings=("none",)).fit(x, labels, n_classes=3)
    found = accuracy_over_sizes(x, labels, n_classes=3, head=head)
    mean, loss = found.accuracy.mean(axis=1), found.log_loss.mean(axis=1)
    exact = ((head.out_of_fold_logits > 0) == (labels == 1)).all(axis=1).mean()
    assert abs(mean[-1] - exact) < 0.03
    assert mean[-1] > mean[0] + 0.05
    assert loss[-1] < loss[0] - 0.1
    shuffled = accuracy_over_sizes(x, labels[rng.permutation(400)], n_classes=3, head=head)
    assert shuffled.accuracy.mean() < mean.min()


def test_other_held_out_examples_are_shared_by_all_draws() -> None:
    x, y = clouds(160)
    other = clouds(2_000, seed=1)
    head = head_of(x, y)
    found = accuracy_over_sizes(x, y, n_classes=4, head=head, held_out=other, n_draws=6)
    assert found.is_shared
    assert found.sizes[-1] == 160
    # All 160 examples, whatever their order, give one model; and it is as good as the head itself.
    assert np.ptp(found.accuracy[-1]) < 0.003
    assert abs(found.accuracy[-1, 0] - (head.logits(other[0]).argmax(axis=1) == other[1]).mean()) < 0.02


def test_fewer_groups_than_draws_give_as_many_draws_as_groups() -> None:
    """Five speakers: each is held out once."""
    x, y = clouds(200)
    speakers = np.arange(200) % 5
    found = accuracy_over_sizes(x, y, n_classes=4, head=head_of(x, y), groups=speakers)
    assert found.accuracy.shape[1] == 5
    assert found.sizes[-1] == 160
    with pytest.raises(DataError, match="separate examples"):
        accuracy_over_sizes(x, y, n_classes=4, head=head_of(x, y), groups=np.zeros(200, np.int64))


def test_groups_are_not_torn_and_held_out_rows_never_trained_on() -> None:
    """Pure noise whose rows stand there five times: seen copies would be recognised."""
    rng = np.random.default_rng(3)
    x = np.repeat(rng.normal(size=(60, 40)).astype(np.float32), 5, axis=0)
    y = np.repeat(rng.integers(0, 4, 60), 5)
    groups = np.repeat(np.arange(60), 5)
    head = HeadOnly(scalings=("none",)).fit(x, y, n_classes=4, groups=groups)
    apart = accuracy_over_sizes(x, y, n_classes=4, head=head, groups=groups)
    torn = accuracy_over_sizes(x, y, n_classes=4, head=head)
    assert apart.accuracy[-1].mean() < 0.45
    assert torn.accuracy[-1].mean() > 0.6


def test_too_few_examples_are_refused() -> None:
    with pytest.raises(DataError, match="for a learning curve"):
        curve_sizes(20, 8)
    x, y = clouds(12)
    with pytest.raises(DataError, match="for a learning curve"):
        accuracy_over_sizes(x, y, n_classes=4, head=head_of(*clouds(40)))
