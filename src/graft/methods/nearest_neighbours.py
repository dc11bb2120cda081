"""k nearest neighbours on the same frozen features: the baseline that needs no fitting."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from graft.core.types import Predictions

__all__ = ["nearest_neighbour_predictions"]

_CANDIDATES = (1, 3, 5, 10, 20)
_BLOCK = 2048


def nearest_neighbour_predictions(
    train_features: NDArray[np.float32],
    train_targets: NDArray[np.int64],
    features: NDArray[np.float32],
    *,
    ids: list[str],
    targets: NDArray[np.int64],
    label_names: tuple[str, ...],
    split: str,
) -> Predictions:
    """Return the vote of the k nearest training examples by cosine, k chosen by leave-one-out on train.

    Parameters
    ----------
    train_features, features : (n, n_features), float32.
    train_targets : class numbers of the training examples.
    ids, targets : of the examples to predict.

    Notes
    -----
    Shares are smoothed by one vote spread over the classes, so that no probability is zero.
    """
    n_classes = len(label_names)
    train, rest = _unit(train_features), _unit(features)
    k_most = min(max(_CANDIDATES), len(train) - 1)
    own = _nearest(train, train, k_most, skip_self=True)
    ks = [k for k in _CANDIDATES if k <= k_most] or [1]
    scores = [(_shares(train_targets[own[:, :k]], n_classes).argmax(1) == train_targets).mean() for k in ks]
    k = ks[int(np.argmax(scores))]
    shares = _shares(train_targets[_nearest(rest, train, k)], n_classes)
    return Predictions(
        ids=ids, targets=targets, logits=np.log(shares), label_names=label_names, split=split, extra={"k": k}
    )


def _unit(features: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12), dtype=np.float32)


def _nearest(
    queries: NDArray[np.float32], train: NDArray[np.float32], k: int, *, skip_self: bool = False
) -> NDArray[np.int64]:
    """Return (n_queries, k) positions of the nearest training rows, nearest first."""
    found = np.empty((len(queries), k), np.int64)
    for start in range(0, len(queries), _BLOCK):
        similarity = queries[start : start + _BLOCK] @ train.T
        if skip_self:
            rows = np.arange(len(similarity))
            similarity[rows, start + rows] = -np.inf
        top = np.argpartition(-similarity, min(k, similarity.shape[1] - 1), axis=1)[:, :k]
        order = np.argsort(-np.take_along_axis(similarity, top, axis=1), axis=1, kind="stable")
        found[start : start + _BLOCK] = np.take_along_axis(top, order, axis=1)
    return found


def _shares(votes: NDArray[np.int64], n_classes: int) -> NDArray[np.float64]:
    """Return smoothed class shares (n, n_classes) of votes (n, k)."""
    counts = np.zeros((len(votes), n_classes))
    np.add.at(counts, (np.arange(len(votes))[:, None], votes), 1.0)
    return (counts + 1.0 / n_classes) / (votes.shape[1] + 1.0)
