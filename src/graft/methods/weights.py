"""Mixing whole sets of weights: between the probe and a fine-tuned model (WiSE-FT), and over runs (soups)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from graft.core.errors import UsageError

__all__ = ["Weights", "greedy_soup", "interpolate", "uniform_soup"]

Weights = Mapping[str, Tensor]


@torch.no_grad()
def interpolate(first: Weights, second: Weights, share: float) -> dict[str, Tensor]:
    """Return ``(1 - share) * first + share * second``; what is not a float is taken from `second`.

    At 0 and 1 the result is bit-equal to the one or the other.

    References
    ----------
    Wortsman et al., Robust Fine-Tuning of Zero-Shot Models, 2022, equation 1; here the model at share 0 is the probe.

    Raises
    ------
    UsageError
        When the two have different names or shapes.
    """
    _refuse_strangers(first, second)
    if share in (0, 1):
        return {name: tensor.clone() for name, tensor in (second if share else first).items()}
    return {
        name: torch.lerp(first[name], tensor, share) if tensor.is_floating_point() else tensor.clone()
        for name, tensor in second.items()
    }


@torch.no_grad()
def uniform_soup(runs: Sequence[Weights]) -> dict[str, Tensor]:
    """Return the mean of several sets of weights; what is not a float is taken from the first.

    References
    ----------
    Wortsman et al., Model Soups, 2022, https://arxiv.org/abs/2203.05482.

    Raises
    ------
    UsageError
        When there is none, or they do not fit each other.
    """
    if not runs:
        raise UsageError("a soup of no weights", expected="at least one run")
    for other in runs[1:]:
        _refuse_strangers(runs[0], other)
    return {
        name: torch.stack([run[name].double() for run in runs]).mean(0).to(tensor.dtype)
        if tensor.is_floating_point()
        else tensor.clone()
        for name, tensor in runs[0].items()
    }


def greedy_soup(runs: Sequence[Weights], *, loss: Callable[[Weights], float]) -> tuple[dict[str, Tensor], list[int]]:
    """Return the soup of those runs that lower the held-out loss, best first, and their numbers.

    Parameters
    ----------
    loss : held-out loss of a set of weights.

    References
    ----------
    Wortsman et al., Model Soups, 2022, recipe 1.
    """
    losses = [loss(run) for run in runs]
    order = sorted(range(len(runs)), key=lambda i: losses[i])
    taken = order[:1]
    soup, best = uniform_soup([runs[i] for i in taken]), losses[order[0]]
    for candidate in order[1:]:
        tried = uniform_soup([runs[i] for i in (*taken, candidate)])
        if (found := loss(tried)) <= best:
            taken, soup, best = [*taken, candidate], tried, found
    return soup, taken


def _refuse_strangers(first: Weights, second: Weights) -> None:
    for name in {*first, *second}:
        if name not in first or name not in second or first[name].shape != second[name].shape:
            raise UsageError(f"weights of two different networks: {name}", expected="equal names and shapes")
