"""Whether predictions know anything of the truth at all: figures with the truth dealt out anew among the examples.

Against a baseline that looks at no example a bootstrap of the difference is the wrong test. Mean average precision is
too high on few examples for any ranking, but not for a constant score; and macro-F1 rewards saying rare classes at
random. With the truth permuted both hold for the null as well.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from graft.core.seeds import generator
from graft.core.types import MultiLabelPredictions, Predictions

__all__ = ["is_blind", "permutation_p_value", "permuted_macro_f1", "permuted_mean_average_precision"]

_CHUNK_CELLS = 1_000_000
_MOST_CELLS = 400_000_000  # of n_draws x n_examples x n_labels; above it there are fewer draws
_FEWEST_DRAWS = 400


def is_blind(predictions: Predictions | MultiLabelPredictions) -> bool:
    """Return whether the same is said of every example."""
    logits = predictions.logits
    return len(logits) > 0 and bool((logits == logits[:1]).all())


def permutation_p_value(observed: float, draws: NDArray[np.float64]) -> float:
    """Return twice the share of permuted truths under which the figure is at least as high, at most 1.

    Twice, as in a two-sided test, so that it stands beside others; but to do worse than chance is no signal either.

    References
    ----------
    Phipson and Smyth 2010, Permutation p-values should never be zero: the observed figure counts as one of the draws.

    Examples
    --------
    >>> permutation_p_value(0.9, np.linspace(0.1, 0.5, 99))
    0.02
    """
    finite = draws[np.isfinite(draws)]
    return min(1.0, 2 * (1 + int((finite >= observed - 1e-12).sum())) / (1 + finite.size))


def permuted_macro_f1(predictions: Predictions, *, n_draws: int = 2_000, seed: int = 0) -> NDArray[np.float64]:
    """Return macro-F1 with the targets permuted among the examples: (n_draws,).

    Parameters
    ----------
    predictions : of examples whose targets are known.
    """
    n, n_classes = len(predictions), len(predictions.label_names)
    said, targets = predictions.predicted, predictions.targets.astype(np.int64)
    either = np.bincount(said, minlength=n_classes) + np.bincount(targets, minlength=n_classes)
    is_there = np.bincount(targets, minlength=n_classes) > 0
    found = []
    for rows in _permutations(n, n_draws, seed=seed):
        dealt = targets[rows]
        draw, place = np.nonzero(dealt == said)
        hits = np.bincount(draw * n_classes + said[place], minlength=len(rows) * n_classes)
        f1 = 2 * hits.reshape(len(rows), n_classes) / np.maximum(either, 1)
        found.append(f1[:, is_there].mean(axis=1))
    return np.concatenate(found)


def permuted_mean_average_precision(
    predictions: MultiLabelPredictions, *, n_draws: int = 2_000, seed: int = 0
) -> NDArray[np.float64]:
    """Return the mean average precision with the label sets permuted among the examples: (n_draws,).

    Parameters
    ----------
    predictions : of examples whose labels are known; labels that no example has are left out.
    n_draws : fewer, at least 400, where examples times labels are many.
    """
    n, n_labels = predictions.targets.shape
    n_draws = max(min(n_draws, _FEWEST_DRAWS), min(n_draws, _MOST_CELLS // max(1, n * n_labels)))
    ends = np.stack([_last_ranks(z) for z in predictions.logits.T], axis=1)  # (n, n_labels)
    members = [np.flatnonzero(predictions.targets[:, k] == 1) for k in range(n_labels)]
    present = [k for k in range(n_labels) if len(members[k])]
    found = []
    for rows in _permutations(n, n_draws, seed=seed):
        total = np.zeros(len(rows))
        for k in present:
            total += _average_precision(np.sort(ends[rows[:, members[k]], k], axis=1))
        found.append(total / max(1, len(present)))
    return np.concatenate(found)


def _last_ranks(scores: NDArray[np.floating]) -> NDArray[np.int64]:
    """Return for each example how many have its score or a higher one: (n,)."""
    ascending = np.sort(-scores)
    return np.searchsorted(ascending, -scores, side="right")


def _average_precision(ends: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the average precision from the sorted last ranks (n_draws, m) of the examples that have the label."""
    m = ends.shape[1]
    count = np.broadcast_to(np.arange(1, m + 1), ends.shape)
    is_last = np.ones(ends.shape, dtype=bool)
    is_last[:, :-1] = ends[:, :-1] != ends[:, 1:]
    # Of equal scores all count what the last of them counts.
    hits = np.minimum.accumulate(np.where(is_last, count, m + 1)[:, ::-1], axis=1)[:, ::-1]
    return np.asarray((hits / ends).mean(axis=1))


def _permutations(n: int, n_draws: int, *, seed: int) -> Iterator[NDArray[np.int64]]:
    """Yield permutations of n examples, some at a time: (n_some, n)."""
    rng = generator(seed, "permutations", n)
    step = max(1, _CHUNK_CELLS // n)
    for start in range(0, n_draws, step):
        yield rng.permuted(np.tile(np.arange(n), (min(step, n_draws - start), 1)), axis=1)
