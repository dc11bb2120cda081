"""One number that mends the probabilities of all labels, and thresholds that turn them into label sets."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special

from graft.core.errors import DataError

__all__ = ["choose_thresholds", "fit_prior_temperature", "prior_log_odds", "tempered"]

_WIDEST = float(np.log(1_000.0))


def prior_log_odds(targets: NDArray[np.integer[Any]]) -> NDArray[np.float64]:
    """Return the log-odds of each label's share: (n_labels,), with half an example added on either side.

    Parameters
    ----------
    targets : (n_examples, n_labels), 0 or 1.
    """
    n, n_with = len(targets), np.asarray(targets, dtype=np.float64).sum(axis=0)
    return np.asarray(np.log(n_with + 0.5) - np.log(n - n_with + 0.5))


def tempered(
    logits: NDArray[np.floating[Any]], temperature: float, *, centre: NDArray[np.float64] | None = None
) -> NDArray[np.float32]:
    """Return logits whose distance from `centre` is divided by the temperature.

    Parameters
    ----------
    logits : (..., n_labels); a bias (n_labels,) as well, where the weights are divided by the temperature.
    centre : (n_labels,), what the logits go to as the temperature grows; None: zero.
    """
    middle = np.zeros(np.shape(logits)[-1]) if centre is None else centre
    return np.asarray((np.asarray(logits, dtype=np.float64) - middle) / temperature + middle, dtype=np.float32)


def fit_prior_temperature(
    logits: NDArray[np.floating[Any]], targets: NDArray[np.integer[Any]], *, centre: NDArray[np.float64]
) -> float:
    """Return the temperature with which `tempered` logits have the least log-loss.

    Parameters
    ----------
    logits : (n_examples, n_labels), log-odds, of examples that the model was not fitted to; finite.
    targets : (n_examples, n_labels), 0 or 1.
    centre : (n_labels,), log-odds of the labels' shares, see `prior_log_odds`.

    Returns
    -------
    float
        Between 0.001 and 1000; above 1 where the model was over-confident. 1000 where the logits say nothing.

    Raises
    ------
    DataError
        When there is no example, or a logit is not finite.

    References
    ----------
    Guo et al. 2017, On calibration of modern neural networks, section 4.2, for one label an example.

    Notes
    -----
    Dividing log-odds themselves moves every probability towards one half, which for a rare label is far from what is
    known of it without any model. Here they move towards its share: measured out of sample, the log-loss was lower by
    up to 1.3 % and never higher by more than 0.2 % (docs/experiments.md). As in `fit_temperature` one more example's
    weight, here with the labels' shares, is spread over all, so that T is not 0 where every answer is right.

    Examples
    --------
    >>> y = np.array([[1], [0], [0], [0]] * 10)
    >>> z = np.where(np.arange(40)[:, None] < 4, -6.0, 1.0) * np.where(y == 1, 1, -1)
    >>> fit_prior_temperature(z, y, centre=prior_log_odds(y)) > 1
    True
    """
    z, y = np.asarray(logits, dtype=np.float64), np.asarray(targets, dtype=np.float64)
    if not z.size or not np.isfinite(z).all():
        raise DataError(
            f"{len(z)} examples to fit a temperature to, {int((~np.isfinite(z)).sum())} bad logits",
            expected="at least one example, and finite logits",
        )
    smoothing = 1 / (len(y) + 1)
    wanted = (1 - smoothing) * y + smoothing * special.expit(centre)
    away = z - centre

    def slope(log_inverse: float) -> float:
        return float((away * (special.expit(np.exp(log_inverse) * away + centre) - wanted)).sum())

    if slope(-_WIDEST) >= 0:  # examples with a label have no higher logits than those without
        return 1_000.0
    if slope(_WIDEST) <= 0:
        return 0.001
    return float(np.exp(-optimize.brentq(slope, -_WIDEST, _WIDEST, xtol=1e-10)))


def choose_thresholds(
    probabilities: NDArray[np.floating[Any]], targets: NDArray[np.integer[Any]], *, n_trusted: float = 100.0
) -> NDArray[np.float64]:
    """Return for each label the probability from which on giving it makes its F1 largest: (n_labels,).

    Parameters
    ----------
    probabilities : (n_examples, n_labels), calibrated, of examples that the model was not fitted to.
    targets : (n_examples, n_labels), 0 or 1.
    n_trusted : examples of a label at which its own answers count as much as its probabilities. Of 5 to 500 the default
        had the least regret, or could not be told apart from the least (docs/experiments.md).

    References
    ----------
    Lipton, Elkan and Naryanaswamy 2014, Optimal thresholding of classifiers to maximize F1 measure: with calibrated
    probabilities the best threshold is half of the best F1, and thresholds that are read off few examples of a label
    are too good to be true (sections 3 and 5).
    Yang 2001, A study of thresholding strategies for text categorization: per-label thresholds over-fit rare labels.

    Notes
    -----
    F1 is computed with targets that lie between the observed ones and the probabilities, the observed ones having the
    weight m / (m + n_trusted) for a label of m examples. So a label with hundreds of examples gets the threshold that
    was best for it; one with a handful that which its probabilities imply, which is far less subject to chance.
    Shrinking towards a threshold common to all labels, the usual remedy, was measured beside it (docs/experiments.md).
    The threshold lies midway, in log-odds, between the last example that is given the label and the next.

    Examples
    --------
    >>> p = np.array([[0.9], [0.6], [0.3], [0.1], [0.1], [0.1]])
    >>> choose_thresholds(p, np.array([[1], [0], [1], [0], [0], [0]])).round(2)
    array([0.44])
    """
    p = np.asarray(probabilities, dtype=np.float64)
    y = np.asarray(targets, dtype=np.float64)
    n = len(p)
    n_with = y.sum(axis=0)
    trust = n_with / np.maximum(n_with + n_trusted, 1e-12)
    order = np.argsort(-p, axis=0, kind="stable")
    falling = np.take_along_axis(p, order, axis=0)
    blended = trust * np.take_along_axis(y, order, axis=0) + (1 - trust) * falling
    f1 = 2 * blended.cumsum(axis=0) / (blended.sum(axis=0) + np.arange(1, n + 1)[:, None])
    is_last_of_equals = np.ones_like(f1, dtype=bool)
    is_last_of_equals[:-1] = falling[:-1] > falling[1:]
    last = np.where(is_last_of_equals, f1, -1.0).argmax(axis=0)
    after = np.vstack([falling, np.zeros((1, p.shape[1]))])
    columns = np.arange(p.shape[1])
    above, below = after[last, columns], after[last + 1, columns]
    between = special.expit((_log_odds(above) + _log_odds(below)) / 2)
    return np.asarray(np.where(last + 1 < n, between, above / 2))


def _log_odds(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(special.logit(np.clip(probabilities, 1e-9, 1 - 1e-9)))
