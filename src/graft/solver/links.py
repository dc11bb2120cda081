"""Loss, residual and curvature of the two links: softmax (one label) and sigmoid (several labels).

Arrays are laid out (n_examples, n_classes, n_problems): the sum over classes then runs over
contiguous problems. All residuals are computed relative to the true class, so that they keep
their *relative* precision where a fit is nearly perfect (probabilities within 1e-7 of one).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Final

import torch
from torch import Tensor

__all__ = ["Link", "SigmoidLink", "SoftmaxLink"]

_FAR = 40.0
"""Logits further apart than this count as this far: exp(-40) = 4e-18 is nothing beside any loss.

So no products are denormal numbers, which cost a hundred times as much. Flushing those to zero by the processor's
flag would do too, but threads keep the flag that they were born with: later results would depend on what ran first.
"""


class Link(ABC):
    """How logits become a loss. Abstract; `SoftmaxLink` and `SigmoidLink` are final."""

    n_classes: int

    @abstractmethod
    def loss(self, logits: Tensor, row_weights: Tensor) -> Tensor:
        """Return the weighted sum of losses: (n_problems,)."""

    @abstractmethod
    def residual(self, logits: Tensor) -> tuple[Tensor, Tensor]:
        """Return the derivative of each row's loss by its logits, and the probabilities.

        Both (n_examples, n_classes, n_problems).
        """

    @abstractmethod
    def curve(self, probabilities: Tensor, direction: Tensor) -> Tensor:
        """Return each row's Hessian times a direction in logits: (n_examples, n_classes, n_problems)."""

    @abstractmethod
    def prior_bias(self, row_weights: Tensor) -> Tensor:
        """Return the best bias when all weights are zero: (n_classes, n_problems).

        `row_weights` : (n_examples, n_problems), summing to one in each column.
        """


class SoftmaxLink(Link):
    """One label an example: multinomial cross-entropy.

    Parameters
    ----------
    targets : (n_examples,), int64 class numbers.
    n_classes : number of classes.
    """

    def __init__(self, targets: Tensor, n_classes: int) -> None:
        self.targets: Final = targets
        self.n_classes = n_classes
        self._index: Final = targets[:, None, None]

    def _others(self, logits: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return shifted exponentials with the true class zeroed, their sum, the true class's, and the shift."""
        index = self._index.expand(-1, 1, logits.shape[2])
        relative = logits - logits.gather(1, index)
        shift = relative.amax(dim=1, keepdim=True)  # >= 0, since the true class stands at 0
        others = relative.sub_(shift).clamp_(min=-_FAR).exp_().scatter_(1, index, 0.0)
        return others, others.sum(dim=1, keepdim=True), torch.exp(-shift.clamp(max=_FAR)), shift

    def loss(self, logits: Tensor, row_weights: Tensor) -> Tensor:
        """Return the weighted sum of cross-entropies: (n_problems,)."""
        _, others_sum, own, shift = self._others(logits)
        # log1p keeps the loss of well fitted rows exact: there the shift is 0 and the sum tiny
        each = torch.where(shift == 0, torch.log1p(others_sum), shift + torch.log(others_sum + own))
        return (each[:, 0] * row_weights).sum(dim=0)

    def residual(self, logits: Tensor) -> tuple[Tensor, Tensor]:
        """Return probabilities minus one-hot targets, and the probabilities."""
        index = self._index.expand(-1, 1, logits.shape[2])
        others, others_sum, own, _ = self._others(logits)
        total = others_sum + own
        probabilities = others.div_(total)
        residual = probabilities.scatter(1, index, -others_sum / total)
        return residual, probabilities.scatter_(1, index, own / total)

    def curve(self, probabilities: Tensor, direction: Tensor) -> Tensor:
        """Return (diag(p) - p p^T) v for every row.

        The direction is taken relative to the true class first: for p near one-hot at the true class the
        textbook form p * (v - p.v) cancels, which in bfloat16 destroys conjugate gradients.
        """
        index = self._index.expand(-1, 1, direction.shape[2])
        relative = direction - direction.gather(1, index)
        mean = (probabilities * relative).sum(dim=1, keepdim=True)
        return relative.sub_(mean).mul_(probabilities)

    def prior_bias(self, row_weights: Tensor) -> Tensor:
        """Return the logarithm of the weighted class shares, a class without weight at 1e-6."""
        shares = torch.zeros(self.n_classes, row_weights.shape[1], device=row_weights.device)
        shares.index_add_(0, self.targets, row_weights)
        return torch.log(shares.clamp_min(1e-6))


class SigmoidLink(Link):
    """Any number of labels an example: a binary cross-entropy a class, summed over classes.

    Parameters
    ----------
    targets : (n_examples, n_classes), 0 or 1.
    """

    def __init__(self, targets: Tensor) -> None:
        self.n_classes = targets.shape[1]
        self.targets: Final = targets.float()[:, :, None]
        self._sign: Final = 1.0 - 2.0 * self.targets  # +1 for an absent label, -1 for a present one

    def loss(self, logits: Tensor, row_weights: Tensor) -> Tensor:
        """Return the weighted sum of binary cross-entropies over rows and classes: (n_problems,)."""
        each = torch.nn.functional.softplus(logits * self._sign, threshold=30.0)
        return (each.sum(dim=1) * row_weights).sum(dim=0)

    def residual(self, logits: Tensor) -> tuple[Tensor, Tensor]:
        """Return probabilities minus targets, and the probabilities."""
        near = logits.clamp(-_FAR, _FAR)
        return self._sign * torch.sigmoid(near * self._sign), torch.sigmoid(near)

    def curve(self, probabilities: Tensor, direction: Tensor) -> Tensor:
        """Return p (1 - p) v for every row and class."""
        return probabilities * (1 - probabilities) * direction

    def prior_bias(self, row_weights: Tensor) -> Tensor:
        """Return the log-odds of the weighted share of each label, kept within 1e-6 and 1 - 1e-6."""
        shares = (self.targets[:, :, 0].T @ row_weights).clamp(1e-6, 1 - 1e-6)
        return torch.log(shares) - torch.log1p(-shares)
