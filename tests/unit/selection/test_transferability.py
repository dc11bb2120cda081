"""LogME and H-score against the slow formulas they stand for."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.covariance import ledoit_wolf

from graft.selection.transferability import h_score, log_evidence, one_hot


def data(n: int, d: int, n_classes: int = 3) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(n + d)
    y = np.arange(n) % n_classes
    return random.normal(size=(n, d)) + random.normal(size=(n_classes, d))[y], y


def slow_evidence(x: np.ndarray, y: np.ndarray, alpha: float, beta: float) -> float:
    """Return the log-density of y under N(0, 1 / beta + x x' / alpha): the marginal of Bayesian regression."""
    covariance = np.eye(len(y)) / beta + x @ x.T / alpha
    _, log_determinant = np.linalg.slogdet(covariance)
    return float(-(len(y) * np.log(2 * np.pi) + log_determinant + y @ np.linalg.solve(covariance, y)) / 2 / len(y))


@pytest.mark.parametrize(("n", "d"), [(60, 8), (20, 40)])
def test_logme_is_the_largest_evidence_of_any_precisions(n: int, d: int) -> None:
    from scipy.optimize import minimize

    x, targets = data(n, d)
    columns = one_hot(targets, n_classes=3)
    best = []
    for y in columns.T:
        found = minimize(
            lambda logs, y=y: -slow_evidence(x, y, *np.exp(logs)), [0.0, 0.0], method="Nelder-Mead",
            options={"xatol": 1e-6, "fatol": 1e-10, "maxiter": 4000},
        )  # fmt: skip
        best.append(-found.fun)
    assert log_evidence(x, columns) == pytest.approx(np.mean(best), abs=1e-4)


def test_logme_prefers_features_that_know_the_classes() -> None:
    x, targets = data(100, 10)
    noise = np.random.default_rng(5).normal(size=x.shape)
    assert log_evidence(x, one_hot(targets, n_classes=3)) > log_evidence(noise, one_hot(targets, n_classes=3)) + 0.2


@pytest.mark.filterwarnings("error")
def test_features_that_hold_the_classes_exactly_are_best_and_finite() -> None:
    x, targets = data(60, 8)
    columns = one_hot(targets, n_classes=4)  # of the fourth class there is no example
    exact = np.concatenate([columns, columns], axis=1)
    assert np.isfinite(log_evidence(exact, columns))
    assert log_evidence(exact, columns) > log_evidence(x, columns) + 1
    assert np.isfinite(log_evidence(np.zeros((60, 3)), columns))


@pytest.mark.parametrize(("n", "d"), [(60, 8), (20, 40)])
def test_h_score_is_the_trace_of_between_over_shrunk_covariance(n: int, d: int) -> None:
    x, targets = data(n, d)
    covariance, share = ledoit_wolf(x)
    means = np.stack([x[targets == k].mean(axis=0) for k in range(3)])[targets] - x.mean(axis=0)
    between = means.T @ means / n
    direct = (1 - share) * np.trace(np.linalg.solve(covariance, between))
    assert h_score(x, targets, n_classes=3) == pytest.approx(direct, rel=1e-8)


def test_features_that_never_vary_have_no_score() -> None:
    assert h_score(np.ones((10, 4)), np.arange(10) % 2, n_classes=2) == 0.0


def test_label_sets_are_columns_already() -> None:
    sets = np.array([[1, 0], [1, 1]], dtype=np.uint8)
    assert one_hot(sets, n_classes=2).tolist() == [[1.0, 0.0], [1.0, 1.0]]
