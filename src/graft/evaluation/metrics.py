"""Figures of one set of predictions, each with its interval."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from graft.core.types import Estimate, Predictions
from graft.evaluation.bootstrap import Draws, bca_bootstrap, bootstrap_means, draw_together
from graft.evaluation.intervals import NoInterval, proportion

__all__ = [
    "MIN_PER_CLASS",
    "accuracy",
    "balanced_accuracy",
    "brier",
    "brier_scores",
    "confusion_matrix",
    "default_k",
    "draw_macro_f1",
    "log_loss",
    "log_losses",
    "macro_f1",
    "mean_estimates",
    "per_class_precision",
    "per_class_recall",
    "top_k",
]

MIN_PER_CLASS = 10  # fewer examples of a class than this: no bootstrap over classes


def accuracy(predictions: Predictions, *, level: float = 0.95) -> Estimate | NoInterval:
    """Return the share of right answers; Wilson's interval, the exact one at 0 or n errors."""
    return proportion(int(predictions.is_correct.sum()), len(predictions), level=level)


def default_k(n_classes: int) -> int | None:
    """Return the k that is worth a top-k figure: 5, of three to five classes 2, of two classes None.

    Examples
    --------
    >>> default_k(10), default_k(5), default_k(2)
    (5, 2, None)
    """
    if n_classes >= 6:
        return 5
    return 2 if n_classes >= 3 else None


def top_k(predictions: Predictions, k: int, *, level: float = 0.95) -> Estimate | NoInterval:
    """Return the share of examples whose true class is among the `k` largest decision scores.

    Equal scores rank in the order of the classes, as in argmax; so top-1 is the accuracy.
    """
    rows = np.arange(len(predictions))
    scores = predictions.decision_scores
    own = scores[rows, predictions.targets][:, None]
    is_before = np.arange(scores.shape[1])[None, :] < predictions.targets[:, None]
    rank = ((scores > own) | ((scores == own) & is_before)).sum(axis=1)
    return proportion(int((rank < k).sum()), len(predictions), level=level)


def confusion_matrix(predictions: Predictions) -> NDArray[np.int64]:
    """Return counts (n_classes, n_classes): rows are the true class, columns the predicted one."""
    n_classes = len(predictions.label_names)
    cells = predictions.targets * n_classes + predictions.predicted
    return np.bincount(cells, minlength=n_classes**2).reshape(n_classes, n_classes)


def per_class_recall(predictions: Predictions, *, level: float = 0.95) -> list[Estimate | NoInterval]:
    """Return, for each class, the share of its examples that were recognised."""
    counts = confusion_matrix(predictions)
    return [proportion(int(counts[c, c]), int(counts[c].sum()), level=level) for c in range(len(counts))]


def per_class_precision(predictions: Predictions, *, level: float = 0.95) -> list[Estimate | NoInterval]:
    """Return, for each class, the share of the examples given to it that belong to it."""
    counts = confusion_matrix(predictions)
    return [proportion(int(counts[c, c]), int(counts[:, c].sum()), level=level) for c in range(len(counts))]


def balanced_accuracy(
    predictions: Predictions, *, level: float = 0.95, n_draws: int = 2_000, seed: int = 0
) -> Estimate | NoInterval:
    """Return the mean of the recalls of all classes.

    BCa bootstrap with at least ten examples of each class; with fewer, or where all draws agree, the Wilson intervals
    of the recalls are combined (method ``"wilson-mover"``).

    References
    ----------
    Zou and Donner 2008, Construction of confidence limits about effect measures, equation 3.
    """

    result = _over_classes(predictions, _mean_recall, "balanced-accuracy", level=level, n_draws=n_draws, seed=seed)
    if isinstance(result, Estimate) or (confusion_matrix(predictions).sum(axis=1) == 0).any():
        return result
    recalls = per_class_recall(predictions, level=level)
    known = [r for r in recalls if isinstance(r, Estimate)]
    value = float(np.mean([r.value for r in known]))
    down = float(np.sqrt(sum((r.value - r.low) ** 2 for r in known))) / len(known)
    up = float(np.sqrt(sum((r.high - r.value) ** 2 for r in known))) / len(known)
    return Estimate(value, max(0.0, value - down), min(1.0, value + up), len(predictions), "wilson-mover", level)


def macro_f1(
    predictions: Predictions, *, level: float = 0.95, n_draws: int = 2_000, seed: int = 0
) -> Estimate | NoInterval:
    """Return the mean over classes of F1 = 2 hits / (examples of the class + examples given to it), BCa interval.

    No interval with fewer than ten examples of a class; a class without any is left out of the mean, and that is said.
    """

    return _over_classes(predictions, _mean_f1, "macro-f1", level=level, n_draws=n_draws, seed=seed)


def draw_macro_f1(models: Sequence[Predictions], *, n_draws: int = 2_000, seed: int = 0) -> list[Draws]:
    """Return bootstrap draws of macro-F1 of several models of the same examples, all from the same draws.

    Parameters
    ----------
    models : predictions of the same examples, in the same order, whose targets are known.
    """
    n, n_classes = len(models[0]), len(models[0].label_names)

    def one_hot(classes: NDArray[np.int64], values: NDArray[np.float64]) -> sparse.csr_array:
        return sparse.csr_array((values, (np.arange(n), classes)), shape=(n, n_classes))

    ones = np.ones(n)
    own = one_hot(models[0].targets.astype(np.int64), ones)
    counted = [(one_hot(p.predicted, ones), one_hot(p.predicted, p.is_correct.astype(np.float64))) for p in models]

    def statistic(w: NDArray[np.float64]) -> NDArray[np.float64]:
        true = np.asarray(w @ own)
        return np.stack([_mean_f1(true, np.asarray(w @ said), np.asarray(w @ hit)) for said, hit in counted], axis=1)

    return draw_together(statistic, n, n_draws=n_draws, seed=seed, purpose="macro-f1 of several")


def log_losses(predictions: Predictions) -> NDArray[np.float64]:
    """Return (n_examples,), minus the log-probability of the true class, in nats; infinite at probability 0."""
    return np.asarray(-predictions.log_probabilities[np.arange(len(predictions)), predictions.targets]) + 0.0


def brier_scores(predictions: Predictions) -> NDArray[np.float64]:
    """Return (n_examples,), squared distance between probabilities and truth summed over classes, from 0 to 2."""
    p = predictions.probabilities
    own = p[np.arange(len(predictions)), predictions.targets]
    return np.asarray((p**2).sum(axis=1) - 2 * own + 1)


def log_loss(predictions: Predictions, *, level: float = 0.95, seed: int = 0) -> Estimate | NoInterval:
    """Return the mean negative log-probability of the true class, in nats, BCa interval."""
    return mean_estimates({"": log_losses(predictions)}, level=level, seed=seed)[""]


def brier(predictions: Predictions, *, level: float = 0.95, seed: int = 0) -> Estimate | NoInterval:
    """Return the mean Brier score, summed over classes (0 is perfect, 2 the worst), BCa interval."""
    return mean_estimates({"": brier_scores(predictions)}, level=level, seed=seed)[""]


def mean_estimates(
    values: Mapping[str, NDArray[np.float64]], *, level: float = 0.95, seed: int = 0
) -> dict[str, Estimate | NoInterval]:
    """Return the mean of each array (n_examples,) with its BCa interval, all from the same bootstrap draws.

    An array that is not finite somewhere has no estimable mean.
    """
    finite = {name: v for name, v in values.items() if np.isfinite(v).all()}
    found: dict[str, Estimate | NoInterval] = {}
    if finite:
        stacked = np.stack(list(finite.values()))
        found = dict(zip(finite, bootstrap_means(stacked, level=level, seed=seed, purpose="means"), strict=True))
    for name, v in values.items():
        if name not in finite:
            n_infinite = int((~np.isfinite(v)).sum())
            reason = f"infinite, as {n_infinite} of {v.size} true classes were given probability 0"
            found[name] = NoInterval(None, v.size, reason, level)
    return {name: found[name] for name in values}


_ClassStatistic = Callable[[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]], NDArray[np.float64]]


def _mean_recall(true: NDArray[np.float64], said: NDArray[np.float64], hit: NDArray[np.float64]) -> NDArray[np.float64]:
    return _mean_where(hit, true, true > 0)


def _mean_f1(true: NDArray[np.float64], said: NDArray[np.float64], hit: NDArray[np.float64]) -> NDArray[np.float64]:
    return _mean_where(2 * hit, true + said, true > 0)


def _mean_where(
    numerator: NDArray[np.float64], denominator: NDArray[np.float64], use: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Return (n_draws,), the mean of the ratios (n_draws, n_classes) over the classes in `use`."""
    ratio = np.divide(numerator, denominator, out=np.zeros_like(numerator), where=use & (denominator > 0))
    return np.asarray(ratio.sum(axis=1) / use.sum(axis=1))


def _over_classes(
    predictions: Predictions, statistic: _ClassStatistic, purpose: str, *, level: float, n_draws: int, seed: int
) -> Estimate | NoInterval:
    """Bootstrap a statistic of the counts (n_draws, n_classes) of true, predicted and hit classes."""
    counts = confusion_matrix(predictions)
    true, said = np.nonzero(counts)  # the cells that hold examples: all that the statistic can see
    n_classes = len(counts)
    cells = np.arange(true.size)
    shape = (true.size, n_classes)
    of_true = sparse.csr_array((np.ones(true.size), (cells, true)), shape=shape)
    of_said = sparse.csr_array((np.ones(true.size), (cells, said)), shape=shape)
    of_hit = sparse.csr_array(((true == said).astype(np.float64), (cells, true)), shape=shape)

    def weighted(w: NDArray[np.float64]) -> NDArray[np.float64]:
        return statistic(np.asarray(w @ of_true), np.asarray(w @ of_said), np.asarray(w @ of_hit))

    cell_counts = counts[true, said]
    support = counts.sum(axis=1)
    reason = ""
    if (support == 0).any():
        absent = [predictions.label_names[c] for c in np.flatnonzero(support == 0)]
        names = ", ".join(repr(a) for a in absent[:3]) + (", ..." if len(absent) > 3 else "")
        reason = f"mean over {n_classes - len(absent)} of {n_classes} classes, as there is no example of {names}"
    elif support.min() < MIN_PER_CLASS:
        rarest = predictions.label_names[int(support.argmin())]
        reason = f"class {rarest!r} has {support.min()} examples, fewer than {MIN_PER_CLASS}"
    if reason:
        value = float(weighted(cell_counts[None, :].astype(np.float64))[0])
        return NoInterval(value, len(predictions), reason, level)
    return bca_bootstrap(
        weighted,
        len(predictions),
        multiplicity=cell_counts,
        n_draws=n_draws,
        level=level,
        seed=seed,
        purpose=purpose,
    )
