"""Two pictures of a batch blended (mixup) or one pasted into another (CutMix), and their targets with them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from graft.core.errors import UsageError

__all__ = ["Box", "Mix", "Mixing", "draw_mix", "mix_pictures", "refuse_mixing", "soft_targets", "with_soft_labels"]


@dataclass(frozen=True)
class Mixing:
    """How batches are mixed; with both alphas above 0 each batch takes one of the two, half and half.

    Parameters
    ----------
    mixup_alpha, cutmix_alpha : both parameters of the Beta distribution of the own picture's share; 0: never.
    probability : of mixing a batch at all.

    Raises
    ------
    UsageError
        When a number is out of bounds.

    References
    ----------
    Zhang et al., mixup, 2018, https://arxiv.org/abs/1710.09412.
    Yun et al., CutMix, 2019, https://arxiv.org/abs/1905.04899, algorithm 1.
    """

    mixup_alpha: float = 0.0
    cutmix_alpha: float = 0.0
    probability: float = 1.0

    def __post_init__(self) -> None:
        for name, alpha in (("mixup_alpha", self.mixup_alpha), ("cutmix_alpha", self.cutmix_alpha)):
            if not 0 <= alpha < math.inf:
                raise UsageError(f"{name} {alpha}", expected="0 (never) or more, 0.1 to 1 as a rule")
        if not 0 <= self.probability <= 1:
            raise UsageError(f"probability {self.probability} of mixing", expected="0 to 1")

    @property
    def is_on(self) -> bool:
        """Whether any batch is ever mixed."""
        return max(self.mixup_alpha, self.cutmix_alpha) > 0 and self.probability > 0


@dataclass(frozen=True)
class Box:
    """Part of a picture in pixels: rows `top` to `bottom`, columns `left` to `right`, the ends left out."""

    top: int
    bottom: int
    left: int
    right: int


@dataclass(frozen=True)
class Mix:
    """What was drawn for a whole batch of n pictures.

    Parameters
    ----------
    partners : (n,), position in the batch of each picture's partner, a permutation.
    share : of the own picture in pixels and target, 0 to 1; the partner has the rest.
    box : what the partner covers (CutMix); None: the two are blended (mixup).
    """

    partners: NDArray[np.int64]
    share: float
    box: Box | None = None


def draw_mix(how: Mixing, n_pictures: int, *, side: int, generator: np.random.Generator) -> Mix | None:
    """Return how a whole batch is mixed, or None where it is not.

    Parameters
    ----------
    side : pixels of a side of the pictures. CutMix's share is counted from the box that is left within them.

    Examples
    --------
    >>> mix = draw_mix(Mixing(cutmix_alpha=1.0), 8, side=32, generator=np.random.default_rng(0))
    >>> covered = (mix.box.bottom - mix.box.top) * (mix.box.right - mix.box.left)
    >>> mix.share == 1 - covered / 32**2
    True
    """
    if not how.is_on or generator.random() >= how.probability:
        return None
    is_cutmix = how.cutmix_alpha > 0 and (how.mixup_alpha == 0 or generator.random() < 0.5)
    alpha = how.cutmix_alpha if is_cutmix else how.mixup_alpha
    partners, share = generator.permutation(n_pictures), float(generator.beta(alpha, alpha))
    if not is_cutmix:
        return Mix(partners, share)
    cut = int(side * math.sqrt(1 - share))
    top, left = (int(centre) - cut // 2 for centre in generator.integers(side, size=2))
    box = Box(max(top, 0), min(top + cut, side), max(left, 0), min(left + cut, side))
    return Mix(partners, 1 - (box.bottom - box.top) * (box.right - box.left) / side**2, box)


def mix_pictures(pictures: Tensor, partners: Tensor, *, mix: Mix) -> Tensor:
    """Return mixed pictures: (n, channels, H, W) floats.

    Parameters
    ----------
    pictures, partners : (n, channels, H, W) floats, those of any part of the batch and, row by row, their partners.
    """
    if mix.box is None:
        return pictures * mix.share + partners * (1 - mix.share)
    mixed, box = pictures.clone(), mix.box
    covered = (..., slice(box.top, box.bottom), slice(box.left, box.right))
    mixed[covered] = partners[covered]
    return mixed


def soft_targets(
    labels: Tensor, n_classes: int, *, smoothing: float = 0.0, partners: Tensor | None = None, share: float = 1.0
) -> Tensor:
    """Return the mass of each class: (n, n_classes) float32; rows sum to 1 where each example has one class.

    Parameters
    ----------
    labels : (n,) int64, class numbers; or (n, n_classes), 0 or 1, for any number of labels an example.
    smoothing : share of the mass that is spread evenly over all classes, 0 to 1; of several labels an example, each is
        moved by it towards one half.
    partners : of the same kind, of the partners; None: not mixed.
    share : of the own label's mass where partners are given.

    Examples
    --------
    >>> import torch
    >>> soft_targets(torch.tensor([0]), 3, partners=torch.tensor([2]), share=0.75).tolist()
    [[0.75, 0.0, 0.25]]
    """

    def mass(of: Tensor) -> Tensor:
        return of.float() if of.ndim == 2 else functional.one_hot(of, n_classes).float()

    targets = mass(labels)
    if partners is not None:
        targets = targets * share + mass(partners) * (1 - share)
    return targets * (1 - smoothing) + smoothing * (0.5 if labels.ndim == 2 else 1 / n_classes)


def with_soft_labels(batch: dict[str, Tensor], n_classes: int, *, smoothing: float) -> dict[str, Tensor]:
    """Return a batch with ``soft_labels`` (n, n_classes) made of its ``labels``, where labels are smoothed at all."""
    if not smoothing:
        return batch
    return {**batch, "soft_labels": soft_targets(batch["labels"], n_classes, smoothing=smoothing)}


def refuse_mixing(mixing: Mixing | None, *, noun: str) -> None:
    """Raise where examples are to be mixed that cannot be.

    Raises
    ------
    UsageError
        When mixing is on.
    """
    if mixing is not None and mixing.is_on:
        raise UsageError(
            f"mixup or CutMix of {noun}s",
            expected="pictures",
            fix="leave --mixup and --cutmix away (Python: mixup=0, cutmix=0)",
        )
