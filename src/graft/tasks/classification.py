"""What all classification tasks share, as plain functions."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["cross_entropy_sum"]


def cross_entropy_sum(logits: Tensor, targets: Tensor, *, label_smoothing: float = 0.0) -> tuple[Tensor, Tensor]:
    """Return the sum of cross-entropies and the number of targets.

    Parameters
    ----------
    logits : (n_examples, n_classes), unnormalised.
    targets : (n_examples,), class numbers; -100 is left out.
    label_smoothing : share of the target spread over all classes, 0 to 1.
    """
    total = torch.nn.functional.cross_entropy(
        logits.float(), targets, reduction="sum", label_smoothing=label_smoothing, ignore_index=-100
    )
    return total, (targets != -100).sum()
