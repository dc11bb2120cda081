"""One level of many penalised regressions: their minimisers, by Newton's method, all series of a batch together.

Each Newton system is solved to a loose tolerance by conjugate gradients, preconditioned by the diagonal that Böhning's
bound has in the eigenbasis of the features, scaled to the problem's current curvature. Series that have converged leave
the batch.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from graft.solver.links import Link
from graft.solver.rotation import RotatedFeatures

__all__ = ["Minimum", "State", "data_gradient", "minimise", "norm_of", "objective_of"]

_MAX_CG = 100
_MAX_HALVINGS = 20


@dataclass(frozen=True)
class State:
    """Where all series stand.

    Parameters
    ----------
    weights : (rank, n_classes, n_series).
    bias : (n_classes, n_series).
    logits : (n_examples, n_classes, n_series).
    """

    weights: Tensor
    bias: Tensor
    logits: Tensor

    def at(self, series: Tensor) -> State:
        """Return the state of some series, by their numbers."""
        return State(*(x.index_select(x.ndim - 1, series) for x in (self.weights, self.bias, self.logits)))

    def plus(self, other: State, factor: Tensor) -> State:
        """Return this state and `other` times `factor` (n_series,)."""
        return State(
            self.weights + factor * other.weights, self.bias + factor * other.bias, self.logits + factor * other.logits
        )

    def put(self, series: Tensor, other: State) -> None:
        """Write the state of some series, in place."""
        for mine, new in zip(
            (self.weights, self.bias, self.logits), (other.weights, other.bias, other.logits), strict=True
        ):
            mine.index_copy_(mine.ndim - 1, series, new)


@dataclass
class Minimum:
    """How far all series came, and what it took.

    Parameters
    ----------
    objective, gradient_norm : (n_series,), at the end.
    n_newton, n_products : Newton steps taken and matrix products spent (one product of one series counts one).
    """

    objective: Tensor
    gradient_norm: Tensor
    n_newton: int = 0
    n_products: int = 0


def norm_of(weights: Tensor, bias: Tensor) -> Tensor:
    """Return the norms (n_series,) of weights and bias together."""
    return (weights.square().sum((0, 1)) + bias.square().sum(0)).sqrt()


def _dot(weights: Tensor, bias: Tensor, other_weights: Tensor, other_bias: Tensor) -> Tensor:
    return (weights * other_weights).sum((0, 1)) + (bias * other_bias).sum(0)


def data_gradient(features: RotatedFeatures, weighted_residual: Tensor) -> tuple[Tensor, Tensor]:
    """Return the data part of the gradient by weights (rank, n_classes, n_series) and bias."""
    n = features.n_examples
    flat = features.scores_transposed @ weighted_residual.reshape(n, -1)
    return flat.view(features.rank, *weighted_residual.shape[1:]), weighted_residual.sum(0)


def objective_of(link: Link, state: State, weight: Tensor, penalty: Tensor) -> Tensor:
    """Return the objectives (n_series,): weighted mean loss plus penalty / 2 * |W|^2."""
    return link.loss(state.logits, weight) + 0.5 * penalty * state.weights.square().sum((0, 1))


def minimise(
    features: RotatedFeatures,
    link: Link,
    start: State,
    weight: Tensor,
    penalty: Tensor,
    null_norm: Tensor,
    *,
    tolerance: float,
    max_newton: int,
    is_bf16: bool,
) -> tuple[State, Minimum]:
    """Return the minimisers and how they were reached; series leave the batch as they converge.

    Parameters
    ----------
    start : of all series.
    weight : (n_examples, n_series), each column sums to one.
    penalty : (n_series,).
    null_norm : (n_series,), norm of the gradient at zero weights.
    tolerance, max_newton, is_bf16 : see `graft.solver.path.solve_path`.

    References
    ----------
    Böhning (1992), Multinomial logistic regression algorithm; Dembo, Eisenstat & Steihaug (1982), Inexact Newton
    methods, for the forcing term.
    """
    n_series = weight.shape[1]
    final = State(start.weights.clone(), start.bias.clone(), start.logits.clone())
    result = Minimum(weight.new_zeros(n_series), weight.new_full((n_series,), float("inf")))
    active = torch.arange(n_series, device=weight.device)
    state = final.at(active)
    for step in range(max_newton + 1):
        residual, probabilities = link.residual(state.logits)
        weighted = residual.mul_(weight[:, None])
        gradient, gradient_bias = data_gradient(features, weighted)
        gradient += penalty * state.weights
        norm = norm_of(gradient, gradient_bias)
        objective = objective_of(link, state, weight, penalty)
        final.put(active, state)
        result.objective[active], result.gradient_norm[active] = objective, norm
        result.n_products += len(active)
        is_open = norm > tolerance * null_norm
        if step == max_newton or not is_open.any():
            break
        if not is_open.all():
            keep = is_open.nonzero()[:, 0]
            active, state = active[keep], state.at(keep)
            weight, penalty, null_norm = weight[:, keep], penalty[keep], null_norm[keep]
            probabilities, gradient = probabilities[:, :, keep], gradient[:, :, keep]
            gradient_bias, norm, objective = gradient_bias[:, keep], norm[keep], objective[keep]
        direction, n_products = _newton_direction(
            features, link, probabilities, weight, penalty, gradient, gradient_bias,
            accuracy=(norm / null_norm).sqrt().clamp(0.03, 0.25), is_bf16=is_bf16,
        )  # fmt: skip
        result.n_products += n_products + len(active)
        slope = _dot(gradient, gradient_bias, direction.weights, direction.bias)
        length = _line_search(link, state, direction, weight, penalty, objective, slope)
        if not (length > 0).any():
            break  # no step lowers any objective: float32 has no more to give
        state = state.plus(direction, length)
        result.n_newton = step + 1
    return final, result


def _newton_direction(
    features: RotatedFeatures,
    link: Link,
    probabilities: Tensor,
    weight: Tensor,
    penalty: Tensor,
    gradient: Tensor,
    gradient_bias: Tensor,
    *,
    accuracy: Tensor,
    is_bf16: bool,
) -> tuple[State, int]:
    """Return the Newton direction by preconditioned conjugate gradients, with its logits, and products spent."""
    n, (rank, n_classes, n_series) = features.n_examples, gradient.shape
    matrix = features.scores_bf16 if is_bf16 else features.scores
    matrix_transposed = features.scores_bf16_transposed if is_bf16 else features.scores_transposed
    curvature = (probabilities * (1 - probabilities) * weight[:, None]).sum(0).clamp_min(1e-30)  # (n_classes, n_series)
    inverse = 1 / (curvature[None] * features.eigenvalues[:, None, None] + penalty)
    inverse_bias = 1 / curvature.clamp_min(1e-12)
    low = probabilities.to(matrix.dtype)
    scaled_weight = (weight * n).to(matrix.dtype)[:, None]

    x, x_bias = torch.zeros_like(gradient), torch.zeros_like(gradient_bias)
    r, r_bias = -gradient, -gradient_bias
    z, z_bias = r * inverse, r_bias * inverse_bias
    p, p_bias = z, z_bias
    rz = _dot(r, r_bias, z, z_bias)
    goal = accuracy.square() * rz
    is_open = torch.ones_like(rz, dtype=torch.bool)
    n_products = 0
    for _ in range(_MAX_CG):
        moved = (matrix @ p.to(matrix.dtype).view(rank, -1)).view(n, n_classes, n_series) + p_bias.to(matrix.dtype)
        curved = link.curve(low, moved).mul_(scaled_weight)
        hp = (matrix_transposed @ curved.view(n, -1)).view(rank, n_classes, n_series).float().div_(n).add_(penalty * p)
        hp_bias = curved.sum(0, dtype=torch.float32) / n
        n_products += n_series
        php = _dot(p, p_bias, hp, hp_bias)
        step = torch.where(is_open & (php > 0), rz / php.clamp_min(1e-38), 0.0)
        x, x_bias = x + step * p, x_bias + step * p_bias
        r, r_bias = r - step * hp, r_bias - step * hp_bias
        z, z_bias = r * inverse, r_bias * inverse_bias
        rz_new = _dot(r, r_bias, z, z_bias)
        is_open &= (rz_new > goal) & (php > 0)
        if not is_open.any():
            break
        ratio = rz_new / rz.clamp_min(1e-38)
        p, p_bias = z + ratio * p, z_bias + ratio * p_bias
        rz = rz_new
    logits = (features.scores @ x.view(rank, -1)).view(n, n_classes, n_series) + x_bias
    return State(x, x_bias, logits), n_products


def _line_search(
    link: Link, state: State, direction: State, weight: Tensor, penalty: Tensor, objective: Tensor, slope: Tensor
) -> Tensor:
    """Return step lengths (n_series,) that lower the objectives (Armijo, by halving); 0 where none does."""
    squares = state.weights.square().sum((0, 1))
    cross = (state.weights * direction.weights).sum((0, 1))
    direction_squares = direction.weights.square().sum((0, 1))
    length = torch.ones_like(objective)
    is_accepted = torch.zeros_like(objective, dtype=torch.bool)
    for _ in range(_MAX_HALVINGS):
        loss = link.loss(state.logits + length * direction.logits, weight)
        value = loss + 0.5 * penalty * (squares + 2 * length * cross + length.square() * direction_squares)
        # the last term allows for float32 rounding of the objective
        is_accepted = value <= objective + 1e-4 * length * slope + 2e-7 * objective.abs()
        if is_accepted.all():
            break
        length = torch.where(is_accepted, length, 0.5 * length)
    return torch.where(is_accepted, length, 0.0)
