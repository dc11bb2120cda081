from __future__ import annotations

import pytest
import torch

from graft.tasks.classification import cross_entropy_sum

LOGITS = torch.randn(7, 4, generator=torch.Generator().manual_seed(0))
TARGETS = torch.tensor([0, 3, 1, -100, 2, 2, 0])


def test_a_sum_and_a_count() -> None:
    total, count = cross_entropy_sum(LOGITS, TARGETS)
    kept = TARGETS >= 0
    assert int(count) == 6
    expected = -LOGITS[kept].log_softmax(1)[torch.arange(6), TARGETS[kept]].sum()
    torch.testing.assert_close(total, expected)


@pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
def test_parts_add_up_to_the_whole(label_smoothing: float) -> None:
    """What makes gradient accumulation and uneven last batches exact; means would not add up."""
    whole, n = cross_entropy_sum(LOGITS, TARGETS, label_smoothing=label_smoothing)
    parts = [
        cross_entropy_sum(LOGITS[rows], TARGETS[rows], label_smoothing=label_smoothing)
        for rows in (slice(0, 1), slice(1, 5), slice(5, 7))
    ]
    torch.testing.assert_close(sum(total for total, _ in parts), whole)
    assert sum(int(count) for _, count in parts) == int(n)


def test_half_precision_logits_are_summed_in_float32() -> None:
    total, _ = cross_entropy_sum(LOGITS.bfloat16(), TARGETS)
    assert total.dtype == torch.float32
