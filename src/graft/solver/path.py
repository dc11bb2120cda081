"""Many penalised regressions at once, from strong to weak penalty.

All problems share one feature matrix. A *series* is one weighting of its rows (a fold, a
bootstrap draw, a subset, all rows); every series is solved along its own list of penalties,
strong to weak, and at each level all series advance together: one matrix product serves them
all (`graft.solver.newton`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor

from graft.core.threads import each_with_threads, n_threads
from graft.solver.links import Link
from graft.solver.newton import State, data_gradient, minimise, norm_of, objective_of
from graft.solver.rotation import RotatedFeatures

__all__ = ["ONE_THREAD_BELOW", "Level", "solve_path"]

ONE_THREAD_BELOW = 400_000  # logits (examples x classes x series), for which one thread is faster than two


@dataclass(frozen=True)
class Level:
    """Solutions of all series at one position of their penalty lists.

    Parameters
    ----------
    penalties : (n_series,), L2 penalty of each series.
    weights : (rank, n_classes, n_series), in the rotated basis.
    bias : (n_classes, n_series).
    logits : (n_examples, n_classes, n_series), of *all* rows, those of weight 0 included: for a fold's
        series these are the held-out predictions.
    objective : (n_series,), weighted mean loss plus penalty / 2 * |W|^2.
    relative_gradient : (n_series,), norm of the gradient over its norm at zero weights.
    is_converged : (n_series,), whether the gradient fell below the tolerance.
    n_newton, n_products : Newton steps taken and matrix products spent (one product of one series counts one).
    """

    penalties: Tensor
    weights: Tensor
    bias: Tensor
    logits: Tensor
    objective: Tensor
    relative_gradient: Tensor
    is_converged: Tensor
    n_newton: int
    n_products: int


def solve_path(
    features: RotatedFeatures,
    link: Link,
    *,
    row_weights: Tensor,
    penalties: Tensor,
    tolerance: float = 1e-5,
    max_newton: int = 50,
    is_bf16: bool = False,
    start_at: tuple[Tensor, Tensor] | None = None,
) -> Iterator[Level]:
    """Return the solutions level by level, from the first (strongest) penalty to the last.

    Each problem minimises ``sum_i w_i loss_i(W z_i + b) / sum_i w_i + penalty / 2 * |W|^2``; the bias is not
    penalised.

    Parameters
    ----------
    features : the rotated features, shared by all problems.
    link : softmax or sigmoid, holding the targets.
    row_weights : (n_examples, n_series), not negative; scaled to sum to one in each column.
    penalties : (n_levels, n_series), positive; strong to weak down each column for warm starts to help.
    tolerance : a problem has converged when its gradient norm is below this times the norm at zero weights.
    max_newton : Newton steps a level; what has not converged by then is yielded and marked so.
    start_at : weights (rank, n_classes, n_series) and bias (n_classes, n_series) to begin at; None: zero weights, and
        the bias of the class shares.
    is_bf16 : compute curvature products in bfloat16. The gradient, the line search and so the solution stay float32.

    Notes
    -----
    A level starts from the better of the last solution and its linear extrapolation in the level number, which
    follows the growth of the margins where classes are separable.
    """
    levels = _solve(features, link, row_weights, penalties, tolerance, max_newton, is_bf16, start_at)
    n_logits = features.n_examples * row_weights.shape[1] * link.n_classes
    return each_with_threads(levels, 1 if n_logits < ONE_THREAD_BELOW else n_threads())


def _solve(
    features: RotatedFeatures,
    link: Link,
    row_weights: Tensor,
    penalties: Tensor,
    tolerance: float,
    max_newton: int,
    is_bf16: bool,
    start_at: tuple[Tensor, Tensor] | None,
) -> Iterator[Level]:
    weight = row_weights / row_weights.sum(dim=0, keepdim=True)
    bias = link.prior_bias(weight)
    n, rank, n_series = features.n_examples, features.rank, weight.shape[1]
    n_classes = bias.shape[0]
    state = State(
        weights=weight.new_zeros(rank, n_classes, n_series),
        bias=bias,
        logits=bias.expand(n, -1, -1).clone(),
    )
    null_residual = link.residual(state.logits)[0] * weight[:, None]
    null_weights, null_bias = data_gradient(features, null_residual)
    null_norm = norm_of(null_weights, null_bias).clamp_min(1e-12)
    if start_at is not None:
        flat = features.scores @ start_at[0].reshape(rank, -1)
        state = State(start_at[0], start_at[1], flat.view(n, n_classes, n_series) + start_at[1])
    previous: State | None = None
    for level in range(penalties.shape[0]):
        penalty = penalties[level]
        start = _better_start(link, weight, penalty, state, previous)
        previous = state
        state, result = minimise(
            features,
            link,
            start,
            weight,
            penalty,
            null_norm,
            tolerance=tolerance,
            max_newton=max_newton,
            is_bf16=is_bf16,
        )
        yield Level(
            penalties=penalty,
            weights=state.weights,
            bias=state.bias,
            logits=state.logits,
            objective=result.objective,
            relative_gradient=result.gradient_norm / null_norm,
            is_converged=result.gradient_norm <= null_norm * tolerance,
            n_newton=result.n_newton,
            n_products=result.n_products,
        )


def _better_start(link: Link, weight: Tensor, penalty: Tensor, last: State, before: State | None) -> State:
    """Return `last` or, series by series where its objective is lower, the extrapolation from `before` through it."""
    if before is None:
        return last
    further = State(2 * last.weights - before.weights, 2 * last.bias - before.bias, 2 * last.logits - before.logits)
    is_better = objective_of(link, further, weight, penalty) < objective_of(link, last, weight, penalty)
    return last.plus(
        State(further.weights - last.weights, further.bias - last.bias, further.logits - last.logits),
        is_better.float(),
    )
