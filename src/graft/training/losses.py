"""Losses as the loop wants them: a sum and a count, never a mean."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["Loss", "classification_loss"]

Loss = Callable[[nn.Module, Mapping[str, Tensor]], tuple[Tensor, Tensor]]


def classification_loss(*, label_smoothing: float = 0.0) -> Loss:
    """Return the summed cross-entropy over a batch of ``pixel_values`` and ``labels``.

    Parameters
    ----------
    label_smoothing : share of the target's mass that is spread evenly over all classes, 0 to 1.

    Notes
    -----
    The network is called as ``network(pixel_values=...)`` and answers with ``.logits``, (n_examples, n_classes).
    The cross-entropy is taken in float32 whatever the network computes in.

    References
    ----------
    Szegedy et al., Rethinking the Inception Architecture, 2016, section 7.
    """

    def loss(network: nn.Module, batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        logits = network(pixel_values=batch["pixel_values"]).logits
        targets = batch["labels"]
        total = functional.cross_entropy(logits.float(), targets, reduction="sum", label_smoothing=label_smoothing)
        return total, torch.tensor(len(targets), device=total.device)

    return loss
