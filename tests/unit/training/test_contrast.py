"""Groups are what they are said to be, and the loss is the published one however a batch is cut."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from graft.core.errors import UsageError
from graft.training.contrast import GroupBatches, group_contrast_sum


class Numbered:
    """Examples that are their own numbers."""

    def __init__(self, targets: list[int] | list[list[int]]) -> None:
        self.targets = np.array(targets)
        self.n_classes = 5

    def __len__(self) -> int:
        return len(self.targets)

    def batches(self, rows: Any, **_: Any) -> Any:
        raise AssertionError

    def cheapest_order(self, rows: Any) -> Any:
        raise AssertionError

    def plain(self, rows: Any, *, batch_size: int) -> Any:
        assert batch_size >= len(rows)
        yield {"number": torch.from_numpy(rows), "labels": torch.from_numpy(self.targets[rows])}


def groups(**changes: Any) -> GroupBatches:
    examples = Numbered([c for c in range(5) for _ in range(4)])
    plain: dict[str, Any] = {"n_groups": 2, "n_classes_each": 3, "n_each": 2, "seed": 0}
    return GroupBatches(examples, np.arange(20), **{**plain, **changes})


def test_a_group_holds_as_many_classes_and_examples_as_were_asked_for() -> None:
    batches = groups()
    for step in range(20):
        batch = batches.batch(step)
        assert batch["number"].shape == (12,)
        for labels, numbers in zip(batch["labels"].view(2, 6), batch["number"].view(2, 6), strict=True):
            classes, counts = labels.unique(return_counts=True)
            assert len(classes) == 3
            assert counts.tolist() == [2, 2, 2]
            assert len(set(numbers.tolist())) == 6, "an example stands in a group twice"


def test_all_classes_come_equally_often() -> None:
    labels = torch.cat([groups().batch(step)["labels"] for step in range(50)])
    counts = torch.bincount(labels, minlength=5)
    assert counts.sum() == 600
    assert counts.max() - counts.min() <= 24  # 20 passes over the classes, give or take the ends of passes


def test_parts_are_the_whole_and_a_step_is_a_step() -> None:
    whole = groups().batch(7)["number"]
    parts = [groups().batch(7, part)["number"] for part in (slice(0, 1), slice(1, 2))]
    assert torch.equal(torch.cat(parts), whole)
    assert not torch.equal(groups(seed=1).batch(7)["number"], whole)


def test_a_class_of_one_example_stands_in_its_group_twice() -> None:
    batches = GroupBatches(Numbered([0, 1, 1]), np.arange(3), n_groups=1, n_classes_each=8, n_each=2, seed=0)
    assert batches.group_size == 4
    assert sorted(batches.batch(0)["labels"].tolist()) == [0, 0, 1, 1]


def test_several_labels_an_example_cannot_be_contrasted() -> None:
    with pytest.raises(UsageError, match="one label an example"):
        GroupBatches(Numbered([[1, 0], [1, 1]]), np.arange(2), n_groups=1, n_classes_each=2, n_each=2, seed=0)


def test_the_loss_is_that_of_the_paper() -> None:
    torch.manual_seed(0)
    features, labels = torch.randn(8, 5, dtype=torch.float64), torch.tensor([0, 0, 1, 1, 2, 2, 0, 0])
    expected = 0.0
    for group in (range(4), range(4, 8)):
        z = torch.nn.functional.normalize(features.float(), dim=-1)
        for i in group:
            others = [a for a in group if a != i]
            below = sum(math.exp(float(z[i] @ z[a]) / 0.2) for a in others)
            like = [p for p in others if labels[p] == labels[i]]
            expected -= sum(math.log(math.exp(float(z[i] @ z[p]) / 0.2) / below) for p in like) / len(like)
    total, n = group_contrast_sum(features, labels, group_size=4, temperature=0.2)
    assert float(total) == pytest.approx(expected / 4, rel=1e-5)
    assert int(n) == 2
    halves = [
        group_contrast_sum(features[s], labels[s], group_size=4, temperature=0.2)[0] for s in (slice(4), slice(4, 8))
    ]
    assert float(sum(halves)) == pytest.approx(float(total), rel=1e-6)
