"""The batched solver beside scikit-learn and float64: one problem at a time, and many at once."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from problems import (
    Problem,
    in_feature_space,
    make_problem,
    objective,
    relative_gradient,
    scikit_learn_fit,
    solve,
)
from sklearn.linear_model import LogisticRegression

from graft.solver.links import SigmoidLink
from graft.solver.path import solve_path
from graft.solver.rotation import rotate

TOLERANCE = 1.05e-5  # 1e-5, and the rounding of float32 weights on their way back to feature space
PENALTIES = np.array([1.0, 1e-1, 1e-2, 1e-3])
PROBLEMS = {
    "tall": make_problem(150, 12, 4),
    "wide": make_problem(40, 90, 3),
    "separable": make_problem(90, 20, 3, noise=0.3),
    "two classes": make_problem(80, 10, 2),
    "no signal": make_problem(100, 8, 5, noise=100.0),
}


def variance(problem: Problem) -> float:
    return float(problem.features.astype(np.float64).var(0).sum())


@pytest.mark.parametrize("name", PROBLEMS)
@pytest.mark.parametrize("is_weighted", [False, True], ids=["equal rows", "weighted rows"])
def test_every_objective_is_as_low_as_scikit_learns(name: str, is_weighted: bool) -> None:
    problem = PROBLEMS[name]
    n = len(problem.targets)
    weight = np.random.default_rng(1).uniform(0.1, 3.0, n) if is_weighted else np.ones(n)
    penalties = PENALTIES * variance(problem)
    rotated, levels = solve(problem, weight[:, None], penalties[:, None])
    for penalty, level in zip(penalties, levels, strict=True):
        assert level.is_converged.all()
        weights, bias = in_feature_space(rotated, level, 0)
        assert relative_gradient(problem, weight, penalty, weights, bias) <= TOLERANCE
        mine = objective(problem, weight, penalty, weights, bias)
        assert mine == pytest.approx(float(level.objective[0]), rel=1e-5)
        if problem.n_classes > 2:
            reference = scikit_learn_fit(problem, weight, penalty)
        else:  # scikit-learn fits one weight vector, the difference of the two: half the penalty on it
            one, intercept = scikit_learn_fit(problem, weight, penalty / 2)
            reference = np.concatenate([-one, one]) / 2, np.concatenate([-intercept, intercept]) / 2
        theirs = objective(problem, weight, penalty, *reference)
        assert mine <= theirs * (1 + 1e-4)
        assert theirs <= mine * (1 + 1e-4), "scikit-learn fell short: the comparison says nothing"


def test_the_bias_is_not_penalised() -> None:
    problem = make_problem(90, 6, 3)
    targets = np.array([0] * 60 + [1] * 20 + [2] * 10)
    skewed = Problem(problem.features, targets, 3)
    rotated, levels = solve(skewed, np.ones((90, 1)), np.array([[1e6]]))
    weights, bias = in_feature_space(rotated, levels[0], 0)
    assert np.abs(weights).max() < 1e-5
    log_shares = np.log([60, 20, 10])
    assert bias - bias[0] == pytest.approx(log_shares - log_shares[0], abs=1e-3)


def test_many_series_are_the_series_one_by_one() -> None:
    problem = make_problem(120, 15, 3)
    rng = np.random.default_rng(2)
    weights = np.stack([np.ones(120), rng.uniform(0, 2, 120), rng.integers(0, 3, 120).astype(float)], axis=1)
    penalties = variance(problem) * np.stack([PENALTIES, PENALTIES * 3, PENALTIES / 2], axis=1)
    _, together = solve(problem, weights, penalties)
    for series in range(3):
        _, alone = solve(problem, weights[:, [series]], penalties[:, [series]])
        for a, b in zip(together, alone, strict=True):
            assert float(a.objective[series]) == pytest.approx(float(b.objective[0]), rel=2e-6)
            difference = a.logits[:, :, series] - b.logits[:, :, 0]
            assert float(difference.abs().max()) < 2e-3 * float(b.logits.abs().max())


def test_rows_of_weight_zero_get_held_out_logits() -> None:
    problem = make_problem(100, 10, 3)
    is_train = np.arange(100) % 5 != 0
    penalty = 0.01 * variance(problem)
    _, (level,) = solve(problem, is_train[:, None].astype(float), np.array([[penalty]]))
    train = Problem(problem.features[is_train], problem.targets[is_train], 3)
    rotated, (separate,) = solve(train, np.ones((80, 1)), np.array([[penalty]]))
    weights, bias = in_feature_space(rotated, separate, 0)
    expected = problem.features[~is_train].astype(np.float64) @ weights.T + bias
    got = level.logits[:, :, 0].numpy()[~is_train]
    expected, got = (z - z.mean(1, keepdims=True) for z in (expected, got))
    np.testing.assert_allclose(got, expected, atol=1e-3)


def test_levels_follow_the_order_of_the_penalties() -> None:
    problem = make_problem(80, 10, 3)
    penalties = variance(problem) * 10.0 ** -np.arange(5)
    _, levels = solve(problem, np.ones((80, 1)), penalties[:, None])
    assert [float(level.penalties[0]) for level in levels] == pytest.approx(penalties)
    sizes = [float(level.weights.norm()) for level in levels]
    assert sizes == sorted(sizes)
    assert [float(level.objective[0]) for level in levels] == sorted([float(x.objective[0]) for x in levels])[::-1]


@pytest.mark.parametrize("name", ["tall", "wide", "separable"])
def test_bfloat16_curvature_gives_the_same_solution(name: str) -> None:
    problem = PROBLEMS[name]
    penalties = (PENALTIES * variance(problem))[:, None]
    ones = np.ones((len(problem.targets), 1))
    _, full = solve(problem, ones, penalties)
    rotated, half = solve(problem, ones, penalties, is_bf16=True)
    for a, b, penalty in zip(full, half, penalties[:, 0], strict=True):
        assert b.is_converged.all()
        assert float(b.objective[0]) == pytest.approx(float(a.objective[0]), rel=1e-5)
        weights, bias = in_feature_space(rotated, b, 0)
        assert relative_gradient(problem, ones[:, 0], penalty, weights, bias) <= TOLERANCE


def test_sigmoid_is_a_binary_regression_a_class() -> None:
    problem = make_problem(120, 8, 3)
    rng = np.random.default_rng(3)
    labels = (rng.random((120, 3)) < [0.2, 0.5, 0.7]).astype(np.int64)
    labels[:, 0] |= problem.targets == 0
    weight = rng.uniform(0.2, 2, 120)
    penalty = 0.02 * variance(problem)
    rotated = rotate(torch.from_numpy(problem.features))
    (level,) = solve_path(
        rotated,
        SigmoidLink(torch.from_numpy(labels)),
        row_weights=torch.from_numpy(weight.astype(np.float32))[:, None],
        penalties=torch.tensor([[penalty]]),
    )
    assert level.is_converged.all()
    weights, bias = in_feature_space(rotated, level, 0)
    x, w = problem.features.astype(np.float64), weight / weight.sum()

    def value(k: int, coefficients: np.ndarray, intercept: float) -> float:
        z = (x @ coefficients + intercept) * (1 - 2 * labels[:, k])
        return float(w @ np.logaddexp(0, z) + penalty / 2 * (coefficients**2).sum())

    for k in range(3):
        fit = LogisticRegression(C=1 / penalty, tol=1e-10, max_iter=10_000).fit(x, labels[:, k], sample_weight=w)
        theirs = value(k, fit.coef_[0], float(fit.intercept_[0]))
        assert value(k, weights[k], float(bias[k])) == pytest.approx(theirs, rel=1e-5)
        np.testing.assert_allclose(weights[k], fit.coef_[0], atol=2e-3 * np.abs(fit.coef_).max())


def test_what_did_not_converge_is_marked() -> None:
    problem = PROBLEMS["separable"]
    penalties = np.array([[1e-7 * variance(problem)]])
    _, (level,) = solve(problem, np.ones((90, 1)), penalties, max_newton=1)
    assert not level.is_converged.any()
    assert float(level.relative_gradient[0]) > 1e-5
    assert level.n_newton == 1
    _, (more,) = solve(problem, np.ones((90, 1)), penalties)
    assert float(more.objective[0]) < float(level.objective[0])


def test_constant_and_duplicated_columns() -> None:
    problem = make_problem(90, 6, 3)
    constant = np.full((90, 1), 7.0, np.float32)
    more = Problem(np.hstack([problem.features, constant, problem.features[:, :2]]), problem.targets, 3)
    penalty = 0.01 * variance(problem)
    rotated, (level,) = solve(more, np.ones((90, 1)), np.array([[penalty]]))
    assert level.is_converged.all()
    weights, bias = in_feature_space(rotated, level, 0)
    assert relative_gradient(more, np.ones(90), penalty, weights, bias) <= TOLERANCE
    np.testing.assert_allclose(weights[:, 6], 0, atol=1e-4 * np.abs(weights).max())
    np.testing.assert_allclose(weights[:, 7:], weights[:, :2], atol=1e-3 * np.abs(weights).max())


def test_a_class_that_a_series_never_saw_stays_finite() -> None:
    problem = make_problem(60, 8, 3)
    weight = (problem.targets != 2).astype(float)
    _, levels = solve(problem, weight[:, None], (PENALTIES * variance(problem))[:, None])
    for level in levels:
        assert torch.isfinite(level.logits).all()
        unseen = level.logits.softmax(1)[problem.targets != 2, 2]
        assert float(unseen.max()) < 0.01


@settings(max_examples=12, deadline=None, derandomize=True)
@given(
    n=st.integers(6, 60),
    d=st.integers(1, 70),
    n_classes=st.integers(2, 5),
    noise=st.sampled_from([0.2, 1.0, 5.0]),
    log_penalty=st.floats(-3, 1),
    seed=st.integers(0, 99),
)
def test_any_small_problem_is_solved_to_the_tolerance(
    n: int, d: int, n_classes: int, noise: float, log_penalty: float, seed: int
) -> None:
    problem = make_problem(n, d, n_classes, noise=noise, seed=seed)
    penalty = 10.0**log_penalty * variance(problem)
    weight = np.random.default_rng(seed).uniform(0.2, 2, n)
    rotated, (level,) = solve(problem, weight[:, None], np.array([[penalty]]))
    assert level.is_converged.all()
    weights, bias = in_feature_space(rotated, level, 0)
    # the float32 weights themselves are rounded on their way back to feature space
    assert relative_gradient(problem, weight, penalty, weights, bias) <= 2e-5
    assert objective(problem, weight, penalty, weights, bias) == pytest.approx(float(level.objective[0]), rel=1e-5)
