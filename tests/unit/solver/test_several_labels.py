"""Sigmoid problems in one batch, all folds and penalties, beside scikit-learn one label, fold and penalty at a time."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from problems import in_feature_space
from sklearn.linear_model import LogisticRegression

from graft.solver.links import SigmoidLink
from graft.solver.path import Level, solve_path
from graft.solver.rotation import RotatedFeatures, rotate

N, D, N_FOLDS = 160, 14, 4
SHARES = np.array([0.03, 0.2, 0.5, 0.95])  # 5 to 152 of 160 examples: rare, usual, even, nearly all


def make_label_sets(seed: int = 0) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Return features (N, D) and labels (N, 4) with a linear signal in each."""
    rng = np.random.default_rng(seed)
    features = (rng.normal(size=(N, D)) * np.exp(rng.normal(size=D))).astype(np.float32)
    score = features @ rng.normal(size=(D, len(SHARES))) + 3 * rng.normal(size=(N, len(SHARES)))
    order = np.argsort(np.argsort(-score, axis=0), axis=0)
    return features, (order < np.round(SHARES * N)).astype(np.uint8)


FEATURES, LABELS = make_label_sets()


@pytest.fixture(scope="module")
def solved() -> tuple[RotatedFeatures, NDArray[np.float64], list[float], list[Level]]:
    """Return all folds and the whole at three penalties, from one call."""
    folds = np.arange(N) % N_FOLDS
    weights = np.stack([*((folds != k).astype(float) for k in range(N_FOLDS)), np.ones(N)], axis=1)
    variance = float(FEATURES.astype(np.float64).var(0).sum())
    penalties = [variance * p for p in (0.1, 0.01, 0.001)]
    rotated = rotate(torch.from_numpy(FEATURES))
    levels = solve_path(
        rotated,
        SigmoidLink(torch.from_numpy(LABELS)),
        row_weights=torch.from_numpy(weights.astype(np.float32)),
        penalties=torch.tensor(penalties)[:, None].expand(-1, N_FOLDS + 1),
    )
    return rotated, weights, penalties, list(levels)


@pytest.mark.parametrize("label", range(len(SHARES)))
def test_every_label_of_every_fold_and_penalty_is_scikit_learns(
    solved: tuple[RotatedFeatures, NDArray[np.float64], list[float], list[Level]], label: int
) -> None:
    rotated, weights, penalties, levels = solved
    x, sign = FEATURES.astype(np.float64), 1.0 - 2.0 * LABELS[:, label]
    for penalty, level in zip(penalties, levels, strict=True):
        assert level.is_converged.all()
        for series in range(weights.shape[1]):
            w = weights[:, series] / weights[:, series].sum()

            def objective(
                coefficients: NDArray[np.float64], bias: float, w: NDArray[np.float64] = w, penalty: float = penalty
            ) -> float:
                loss = np.logaddexp(0, (x @ coefficients + bias) * sign)
                return float(w @ loss + penalty / 2 * (coefficients**2).sum())

            mine, bias = in_feature_space(rotated, level, series)
            theirs = LogisticRegression(C=1 / penalty, tol=1e-9, max_iter=20_000).fit(
                x, LABELS[:, label], sample_weight=w
            )
            found = objective(mine[label], float(bias[label]))
            assert found <= objective(theirs.coef_[0], float(theirs.intercept_[0])) * (1 + 1e-3)


def test_a_label_that_a_fold_never_sees_stays_finite_and_rare() -> None:
    labels = LABELS.copy()
    labels[:, 0] = np.arange(N) % N_FOLDS == 0  # its examples are all in fold 0, whose model has none
    labels[:, 0] &= np.arange(N) < 12
    weights = (np.arange(N) % N_FOLDS != 0).astype(np.float32)[:, None]
    (level,) = solve_path(
        rotate(torch.from_numpy(FEATURES)),
        SigmoidLink(torch.from_numpy(labels)),
        row_weights=torch.from_numpy(weights),
        penalties=torch.tensor([[1.0]]),
    )
    assert torch.isfinite(level.logits).all()
    assert float(level.logits[:, 0].max()) < -8
