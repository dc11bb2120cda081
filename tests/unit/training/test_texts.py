"""Batches of texts of like length: every text as often as another, little padding, the same step the same batch."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch

from graft.core.errors import UsageError
from graft.training.length_order import LengthOrder
from graft.training.mixing import Mixing
from graft.training.texts import TextBatches, TextExamples

RNG = np.random.default_rng(0)
LENGTHS = RNG.geometric(0.09, 600) + 3


def collate(examples: Any) -> dict[str, torch.Tensor]:
    longest = max(len(ids) for ids, _ in examples)
    ids = torch.zeros(len(examples), longest, dtype=torch.int64)
    for row, (own, _) in enumerate(examples):
        ids[row, : len(own)] = torch.from_numpy(own)
    return {"input_ids": ids}


EXAMPLES = [(np.full(length, i + 1, np.int32), 0) for i, length in enumerate(LENGTHS)]


def batches(**more: Any) -> TextBatches:
    arguments: dict[str, Any] = {
        "rows": np.arange(600), "n_classes": 3, "batch_size": 16, "label_smoothing": 0.0, "collate": collate, "seed": 4,
    }  # fmt: skip
    return TextBatches(EXAMPLES, np.arange(600) % 3, **arguments | more)


def test_after_whole_passes_every_text_was_drawn_equally_often() -> None:
    order = LengthOrder(np.arange(48), batch_size=6, seed=0)
    drawn = Counter(int(i) for step in range(400) for i in order.indices(step))  # 2,400 draws are 50 passes
    assert set(drawn.values()) == {50}


def test_little_is_padded() -> None:
    assert batches().padding_share(37) < 0.05
    shuffled = [RNG.permutation(LENGTHS)[:16] for _ in range(37)]
    assert np.mean([1 - row.mean() / row.max() for row in shuffled]) > 0.4, "without sorting it would be half"


def test_a_step_is_a_function_of_the_seed() -> None:
    first, second, other = batches().batch(9), batches().batch(9), batches(seed=5).batch(9)
    assert torch.equal(first["input_ids"], second["input_ids"])
    assert first["input_ids"].shape != other["input_ids"].shape or not torch.equal(
        first["input_ids"], other["input_ids"]
    )


def test_parts_are_the_rows_of_the_whole() -> None:
    whole, part = batches(label_smoothing=0.1).batch(3), batches(label_smoothing=0.1).batch(3, slice(5, 9))
    width = part["input_ids"].shape[1]
    assert torch.equal(part["input_ids"], whole["input_ids"][5:9, :width])
    assert torch.equal(part["soft_labels"], whole["soft_labels"][5:9])
    np.testing.assert_allclose(part["soft_labels"].sum(1), 1, rtol=1e-6)


def test_predictions_take_the_longest_first_and_mixing_is_refused() -> None:
    examples = TextExamples(EXAMPLES, np.arange(600) % 3, 3, collate=collate)
    rows = np.array([5, 9, 2])
    order = examples.cheapest_order(rows)
    assert sorted(order.tolist()) == [0, 1, 2]
    assert LENGTHS[rows[order]].tolist() == sorted(LENGTHS[rows], reverse=True)
    with pytest.raises(UsageError, match="mixup or CutMix of texts"):
        examples.batches(
            rows, batch_size=2, augmentation="light", mixing=Mixing(mixup_alpha=0.2), label_smoothing=0.0, seed=0
        )
