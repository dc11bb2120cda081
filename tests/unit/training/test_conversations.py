"""Packing and batches of conversations."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from graft.training.conversations import ConversationExamples, LengthBatches, PackedBatches
from graft.training.packing import PackOrder, best_fit


class Row(SimpleNamespace):
    def __len__(self) -> int:
        return int(self.n)


def examples_of(lengths: list[int]) -> ConversationExamples:
    def collate(rows: Any) -> dict[str, torch.Tensor]:
        return {"name": torch.tensor([row.name for row in rows])}

    def packed(packs: Any) -> dict[str, torch.Tensor]:
        return {"n": torch.tensor([sum(map(len, pack)) for pack in packs]),
                "names": torch.tensor([row.name for pack in packs for row in pack])}  # fmt: skip

    rows = [Row(n=n, n_targets=1, name=i) for i, n in enumerate(lengths)]
    return ConversationExamples(rows, collate, packed)


@given(st.lists(st.integers(1, 64), min_size=1, max_size=60), st.integers(64, 128))
def test_best_fit_holds_every_example_once_and_no_row_overflows(lengths: list[int], capacity: int) -> None:
    own = np.array(lengths)
    rows = best_fit(own, capacity=capacity)
    assert sorted(i for row in rows for i in row) == list(range(len(lengths)))
    assert all(own[row].sum() <= capacity for row in rows)
    least = -(-int(own.sum()) // capacity)
    assert len(rows) <= max(1, round(1.7 * least) + 1)  # first- and best-fit decreasing are far below


def test_a_pass_packs_every_conversation_once_and_the_next_pass_otherwise() -> None:
    lengths = np.random.default_rng(0).integers(5, 60, 100)
    order = PackOrder(lengths, capacity=64, rows_a_step=1, seed=3)
    passes = [[order.packs(step)[0] for step in range(order.n_rows)]]
    n = order.n_rows
    passes.append([order.packs(step)[0] for step in range(n, n + n)])
    assert sorted(np.concatenate(passes[0]).tolist()) == list(range(100))
    assert [row.tolist() for row in passes[0]] != [row.tolist() for row in passes[1]]
    assert 0 <= order.padding() < 0.1
    again = PackOrder(lengths, capacity=64, rows_a_step=1, seed=3)
    assert np.array_equal(again.packs(7)[0], order.packs(7)[0])  # whatever was asked before


def test_parts_of_a_step_are_the_step() -> None:
    lengths = [3, 9, 4, 8, 5, 7, 6, 2, 9, 1, 3, 3]
    examples, rows = examples_of(lengths), np.arange(12)
    by_length = LengthBatches(examples, rows, batch_size=4, seed=0)
    whole = by_length.batch(2)["name"]
    assert torch.equal(
        torch.cat([by_length.batch(2, slice(0, 3))["name"], by_length.batch(2, slice(3, 4))["name"]]), whole
    )
    packed = PackedBatches(examples, rows, capacity=16, batch_size=8, seed=0)
    assert packed.batch_size == 2  # rows of three conversations in the mean
    whole = packed.batch(1)["names"]
    parts = [packed.batch(1, slice(i, i + 1))["names"] for i in range(2)]
    assert torch.equal(torch.cat(parts), whole)


def test_plain_batches_hold_every_row_once_within_the_bound() -> None:
    examples = examples_of([3, 9, 4, 8, 5, 20])
    rows = np.array([5, 0, 1, 3])
    found = list(examples.plain(rows, most_tokens=18))
    assert [rows[own].tolist() for own, _ in found] == [[5], [1, 3], [0]]
    assert examples.n_targets(rows).tolist() == [1] * 4
