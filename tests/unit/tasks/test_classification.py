from __future__ import annotations

import pytest
import torch

from graft.core.types import UNKNOWN
from graft.tasks.classification import binary_cross_entropy_sum, classification_loss_sum, cross_entropy_sum

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


SETS = torch.tensor([[1, 0, 0, 1], [0, 0, 0, 0], [1, 1, 1, 1], [UNKNOWN] * 4, [0, 1, 0, 0], [0, 0, 1, 0], [1, 0, 0, 0]])


def test_label_sets_are_summed_over_labels_and_counted_by_examples() -> None:
    total, count = binary_cross_entropy_sum(LOGITS, SETS)
    known = SETS[:, 0] != UNKNOWN
    assert int(count) == 6
    each = torch.nn.functional.binary_cross_entropy_with_logits(LOGITS[known], SETS[known].float(), reduction="sum")
    torch.testing.assert_close(total, each)


def test_gradients_have_the_form_of_one_label_an_example() -> None:
    logits = LOGITS.clone().requires_grad_()
    total, count = binary_cross_entropy_sum(logits, SETS)
    (gradient,) = torch.autograd.grad(total / count, logits)
    known = (SETS[:, :1] != UNKNOWN).float()
    torch.testing.assert_close(gradient, known * (LOGITS.sigmoid() - SETS) / count)
    one = LOGITS.clone().requires_grad_()
    total, count = cross_entropy_sum(one, TARGETS)
    (gradient,) = torch.autograd.grad(total / count, one)
    hot = torch.nn.functional.one_hot(TARGETS.clamp_min(0), 4)
    torch.testing.assert_close(gradient, (TARGETS >= 0).float()[:, None] * (LOGITS.softmax(1) - hot) / count)


def test_parts_of_label_sets_add_up_and_soft_labels_go_before() -> None:
    batch = {"labels": SETS, "soft_labels": torch.where(SETS == 1, 0.9, 0.1)}
    whole, n = classification_loss_sum(LOGITS, batch)
    parts = [
        classification_loss_sum(LOGITS[rows], {k: v[rows] for k, v in batch.items()})
        for rows in (slice(0, 1), slice(1, 5), slice(5, 7))
    ]
    torch.testing.assert_close(sum(total for total, _ in parts), whole)
    assert sum(int(count) for _, count in parts) == int(n) == 7
    hard, _ = classification_loss_sum(LOGITS, {"labels": SETS})
    assert float(hard) != float(whole)


def test_unknown_label_sets_alone_give_nothing() -> None:
    total, count = binary_cross_entropy_sum(LOGITS[:2], torch.full((2, 4), UNKNOWN))
    assert (float(total), int(count)) == (0.0, 0)
