"""What frozen features tell of a transfer without fitting a head: LogME and the H-score."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["h_score", "log_evidence", "one_hot"]

_ROUNDS: Final = 50
_CLOSE_ENOUGH: Final = 1e-4  # relative change of the precisions' ratio
_EXACT: Final = 1e-9  # share of a target's square that counts as nothing


def one_hot(targets: NDArray[np.integer[Any]], *, n_classes: int) -> NDArray[np.float64]:
    """Return targets as columns of 0 and 1, (n_examples, n_classes); such columns are returned as they are."""
    if targets.ndim == 2:
        return targets.astype(np.float64)
    return np.eye(n_classes)[targets]


def log_evidence(features: NDArray[np.floating[Any]], targets: NDArray[np.floating[Any]]) -> float:
    """Return LogME: the log-evidence an example of Bayesian linear regressions, the mean over the targets' columns.

    Parameters
    ----------
    features : (n_examples, n_features).
    targets : (n_examples, n_columns), see `one_hot`.

    References
    ----------
    You, Liu, Wang and Long 2021, LogME: practical assessment of pre-trained models for transfer learning (ICML),
    algorithm 1; the fixed point of alpha and beta as in its follow-up (JMLR 2022), algorithm 3.

    Notes
    -----
    In the singular vectors of the features all that the iteration needs are n_columns sums over the singular values.
    The iteration starts at alpha = beta = 1 and ends when their ratio moves by less than one in 10,000.

    Examples
    --------
    >>> x = np.random.default_rng(0).normal(size=(200, 5))
    >>> y = one_hot((x[:, 0] > 0).astype(int), n_classes=2)
    >>> log_evidence(x, y) > log_evidence(x[:, 1:], y)
    True
    """
    x, y = np.asarray(features, dtype=np.float64), np.asarray(targets, dtype=np.float64)
    n, n_features = x.shape
    if (is_used := y.any(axis=0)).any():  # a label that no example has says nothing of the features
        y = y[:, is_used]
    left, singular, _ = np.linalg.svd(x, full_matrices=False)
    is_there = singular > max(n, n_features) * np.finfo(np.float64).eps * singular.max(initial=0.0)
    left, squares = left[:, is_there], singular[is_there] ** 2  # (rank,)
    inside = (left.T @ y) ** 2  # (rank, n_columns)
    outside = np.maximum((y**2).sum(axis=0) - inside.sum(axis=0), 0.0)
    return float(
        np.mean([_of_column(squares, z, rest, n, n_features) for z, rest in zip(inside.T, outside, strict=True)])
    )


def _of_column(squares: NDArray[np.float64], z: NDArray[np.float64], rest: float, n: int, n_features: int) -> float:
    """Return the log-evidence an example of one target.

    Parameters
    ----------
    squares : (rank,), squared singular values of the features.
    z : (rank,), squared coordinates of the target in the left singular vectors.
    rest : squared length of the target outside of them.
    """
    alpha, beta = 1.0, 1.0
    total = float(z.sum()) + rest
    if not total:  # a class without an example: nothing to explain
        total = 1.0
    least = _EXACT * total  # features that hold the target itself would have no noise, and evidence without end
    for _ in range(_ROUNDS):
        ratio = alpha / beta
        gamma = float((squares / (squares + ratio)).sum())
        length = float((squares * z / (squares + ratio) ** 2).sum())  # of the mean weights, squared
        residual = max(float((z * ratio**2 / (squares + ratio) ** 2).sum()) + rest, least)
        alpha, beta = max(gamma, _EXACT) / max(length, least), max(n - gamma, _EXACT) / residual
        if abs(alpha / beta - ratio) <= _CLOSE_ENOUGH * ratio:
            break
    ratio = alpha / beta
    length = float((squares * z / (squares + ratio) ** 2).sum())
    residual = max(float((z * ratio**2 / (squares + ratio) ** 2).sum()) + rest, least)
    log_determinant = float(np.log(alpha + beta * squares).sum()) + (n_features - len(squares)) * np.log(alpha)
    evidence = (
        n_features * np.log(alpha)
        + n * np.log(beta)
        - n * np.log(2 * np.pi)
        - beta * residual
        - alpha * length
        - log_determinant
    ) / 2
    return float(evidence / n)


def h_score(features: NDArray[np.floating[Any]], targets: NDArray[np.integer[Any]], *, n_classes: int) -> float:
    """Return the H-score: how much of the features' variance lies between the classes, with a shrunk covariance.

    Parameters
    ----------
    features : (n_examples, n_features).
    targets : (n_examples,), class numbers.

    References
    ----------
    Bao et al. 2019, An information-theoretic approach to transferability in task transfer learning, definition 2;
    Ibrahim, Ponomareva and Mazumder 2022, Newer is not always better, equation 9: the covariance is shrunk as Ledoit
    and Wolf 2004 say, without which the score is n_classes - 1 wherever there are fewer examples than features.

    Notes
    -----
    Worked out in the singular vectors of the centred features, so that no (n_features, n_features) matrix is made.

    Examples
    --------
    >>> x = np.random.default_rng(0).normal(size=(200, 5))
    >>> h_score(x, (x[:, 0] > 0).astype(int), n_classes=2) > h_score(x[:, 1:], (x[:, 0] > 0).astype(int), n_classes=2)
    True
    """
    x = np.asarray(features, dtype=np.float64)
    n, n_features = x.shape
    centred = x - x.mean(axis=0)
    left, singular, _ = np.linalg.svd(centred, full_matrices=False)
    eigenvalues = singular**2 / n
    mean = float(eigenvalues.sum()) / n_features
    if mean <= 0:
        return 0.0
    share = _ledoit_wolf(centred, eigenvalues, mean, n_features)
    counts = np.bincount(targets, minlength=n_classes).astype(np.float64)
    present = counts > 0
    sums = one_hot(targets, n_classes=n_classes).T @ (left * singular)  # (n_classes, rank), in the singular vectors
    means = sums[present] / counts[present, None]
    between = (counts[present, None] / n * means**2).sum(axis=0)  # the diagonal is all that the trace needs
    return float((1 - share) * (between / ((1 - share) * eigenvalues + share * mean)).sum())


def _ledoit_wolf(centred: NDArray[np.float64], eigenvalues: NDArray[np.float64], mean: float, n_features: int) -> float:
    """Return the share of the scaled identity that Ledoit and Wolf's estimate of the covariance has."""
    n = len(centred)
    squared = float((eigenvalues**2).sum())
    spread = squared - n_features * mean**2  # of the covariance around the scaled identity
    noise = (float(((centred**2).sum(axis=1) ** 2).sum()) / n - squared) / n
    return 0.0 if spread <= 0 else float(np.clip(noise / spread, 0.0, 1.0))
