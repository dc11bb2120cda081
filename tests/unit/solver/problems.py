"""Small regression problems, and what float64 and scikit-learn say of them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from graft.solver.links import SoftmaxLink
from graft.solver.path import Level, solve_path
from graft.solver.rotation import RotatedFeatures, rotate

Array = NDArray[np.float64]


class Problem(NamedTuple):
    features: NDArray[np.float32]
    targets: NDArray[np.int64]
    n_classes: int


def make_problem(n: int, d: int, n_classes: int, *, noise: float = 2.0, seed: int = 0) -> Problem:
    """Return classes that overlap more with more `noise`; columns of very different size, as real features have."""
    rng = np.random.default_rng(seed)
    targets = np.arange(n) % n_classes
    centres = rng.normal(size=(n_classes, d))
    sizes = np.exp(rng.normal(size=d)) * rng.choice([0.1, 1.0, 3.0], d)
    features = (centres[targets] + noise * rng.normal(size=(n, d))) * sizes + rng.normal(size=d)
    return Problem(features.astype(np.float32), rng.permutation(targets) if noise > 50 else targets, n_classes)


def solve(
    problem: Problem, row_weights: Array, penalties: Array, *, is_bf16: bool = False, max_newton: int = 50
) -> tuple[RotatedFeatures, list[Level]]:
    """Return levels; `row_weights` (n, n_series), `penalties` (n_levels, n_series)."""
    rotated = rotate(torch.from_numpy(problem.features))
    levels = solve_path(
        rotated,
        SoftmaxLink(torch.from_numpy(problem.targets), problem.n_classes),
        row_weights=torch.from_numpy(row_weights.astype(np.float32)),
        penalties=torch.from_numpy(penalties.astype(np.float32)),
        is_bf16=is_bf16,
        max_newton=max_newton,
    )
    return rotated, list(levels)


def in_feature_space(rotated: RotatedFeatures, level: Level, series: int) -> tuple[Array, Array]:
    """Return weights (n_classes, n_features) and bias in float64."""
    weights, bias = rotated.weights_in_feature_space(level.weights[:, :, series], level.bias[:, series])
    return weights.double().numpy(), bias.double().numpy()


def log_probabilities(logits: Array) -> Array:
    z = logits - logits.max(1, keepdims=True)
    return np.asarray(z - np.log(np.exp(z).sum(1, keepdims=True)))


def objective(problem: Problem, row_weights: Array, penalty: float, weights: Array, bias: Array) -> float:
    """Weighted mean cross-entropy plus penalty / 2 * |W|^2, in float64 on the features as they are."""
    w = row_weights / row_weights.sum()
    log_p = log_probabilities(problem.features.astype(np.float64) @ weights.T + bias)
    loss = -log_p[np.arange(len(w)), problem.targets]
    return float(w @ loss + penalty / 2 * (weights**2).sum())


def relative_gradient(problem: Problem, row_weights: Array, penalty: float, weights: Array, bias: Array) -> float:
    """Norm of the gradient by weights on centred features and bias, over that at zero weights, in float64."""
    w = row_weights / row_weights.sum()
    x = problem.features.astype(np.float64)
    mean = x.mean(0)
    one_hot = np.eye(problem.n_classes)[problem.targets]

    def norm(logits: Array, weights: Array) -> float:
        residual = (np.exp(log_probabilities(logits)) - one_hot) * w[:, None]
        by_weights = residual.T @ (x - mean) + penalty * weights
        return float(np.sqrt((by_weights**2).sum() + (residual.sum(0) ** 2).sum()))

    shares = w @ one_hot
    at_zero = norm(np.tile(np.log(np.maximum(shares, 1e-6)), (len(w), 1)), np.zeros_like(weights))
    return norm(x @ weights.T + bias, weights) / at_zero


def scikit_learn_fit(problem: Problem, row_weights: Array, penalty: float) -> tuple[Array, Array]:
    """Return scikit-learn's weights and bias for the same objective (three classes or more)."""
    w = row_weights / row_weights.sum()
    fit = LogisticRegression(C=1 / penalty, tol=1e-9, max_iter=20_000)
    fit.fit(problem.features.astype(np.float64), problem.targets, sample_weight=w)
    return fit.coef_, fit.intercept_
