"""Features in their own eigenbasis, where one decomposition preconditions every problem.

The penalty |W|^2 does not see a rotation, so regressions may be solved on rotated features and
their weights rotated back. Two things are won: with fewer examples than features the matrix
shrinks to n x n, and in the eigenbasis the quadratic bound on the softmax Hessian (Böhning 1992)
is diagonal for every penalty and every row weighting alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

__all__ = ["RotatedFeatures", "rotate"]


@dataclass(frozen=True)
class RotatedFeatures:
    """Centred features in the eigenbasis of their second moment.

    Parameters
    ----------
    scores : (n_examples, rank), the centred features times `basis`.
    eigenvalues : (rank,), eigenvalues of the features' covariance, ascending, not negative.
    basis : (n_features, rank), orthonormal columns.
    mean : (n_features,), what was subtracted.
    """

    scores: Tensor
    eigenvalues: Tensor
    basis: Tensor
    mean: Tensor

    @property
    def n_examples(self) -> int:
        """Number of rows."""
        return self.scores.shape[0]

    @property
    def rank(self) -> int:
        """Number of columns left after the rotation: at most min(n_examples, n_features)."""
        return self.scores.shape[1]

    @cached_property
    def scores_transposed(self) -> Tensor:
        """(rank, n_examples), `scores` transposed in memory: the faster layout for gradients."""
        return self.scores.T.contiguous()

    @cached_property
    def scores_bf16(self) -> Tensor:
        """(n_examples, rank), `scores` rounded to bfloat16."""
        return self.scores.bfloat16()

    @cached_property
    def scores_bf16_transposed(self) -> Tensor:
        """(rank, n_examples), `scores_bf16` transposed in memory."""
        return self.scores_bf16.T.contiguous()

    def weights_in_feature_space(self, weights: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
        """Return weights and bias that act on the features as they were before centring and rotation.

        Parameters
        ----------
        weights : (..., rank, n_classes).
        bias : (..., n_classes).

        Returns
        -------
        weights : (..., n_classes, n_features)
        bias : (..., n_classes)
        """
        full = self.basis @ weights
        return full.transpose(-1, -2).contiguous(), bias - torch.einsum("d,...dc->...c", self.mean, full)


def rotate(features: Tensor) -> RotatedFeatures:
    """Return `features` centred and rotated into their eigenbasis.

    Parameters
    ----------
    features : (n_examples, n_features), float32, on any device.

    Notes
    -----
    With n_examples < n_features a Householder QR of the transpose first reduces the columns to n_examples.
    All basis changes come from orthonormal factors, so that |W|^2 is kept to rounding even where
    eigenvalues are too small to be accurate.
    """
    n, d = features.shape
    mean = features.mean(dim=0)
    centred = features - mean
    if n < d:
        q, r = torch.linalg.qr(centred.T, mode="reduced")
        eigenvalues, inner = torch.linalg.eigh(r @ r.T)
        return RotatedFeatures(r.T @ inner, eigenvalues.clamp_min(0) / n, q @ inner, mean)
    eigenvalues, basis = torch.linalg.eigh(centred.T @ centred)
    return RotatedFeatures(centred @ basis, eigenvalues.clamp_min(0) / n, basis, mean)
