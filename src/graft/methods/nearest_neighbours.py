"""k nearest neighbours on the same frozen features: the baseline that needs no fitting."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from graft.core.types import MultiLabelPredictions, Predictions
from graft.evaluation.multi_label_calibration import choose_thresholds, prior_log_odds

__all__ = ["nearest_neighbour_label_sets", "nearest_neighbour_predictions"]

_CANDIDATES = (1, 3, 5, 10, 20)
_QUERIES, _ROWS = 512, 4096  # of a tile of similarities


def nearest_neighbour_predictions(
    train_features: NDArray[np.float32],
    train_targets: NDArray[np.integer[Any]],
    features: NDArray[np.float32],
    *,
    ids: list[str],
    targets: NDArray[np.integer[Any]],
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


def nearest_neighbour_label_sets(
    train_features: NDArray[np.float32],
    train_targets: NDArray[np.integer[Any]],
    features: NDArray[np.float32],
    *,
    ids: list[str],
    targets: NDArray[np.integer[Any]],
    label_names: tuple[str, ...],
    split: str,
) -> MultiLabelPredictions:
    """Return for each label its share among the k nearest training examples; k and thresholds by leave-one-out.

    Parameters
    ----------
    train_features, features : (n, n_features), float32.
    train_targets, targets : (n, n_labels), 0 or 1.
    ids : of the examples to predict.

    Notes
    -----
    As in ML-kNN (Zhang and Zhou 2007) labels are taken one by one; here the shares themselves are smoothed, by one vote
    of the labels' frequencies, so that no probability is zero. k is that of the least log-loss.
    """
    train, rest = _unit(train_features), _unit(features)
    k_most = min(max(_CANDIDATES), len(train) - 1)
    own = _nearest(train, train, k_most, skip_self=True)
    prior = 1 / (1 + np.exp(-prior_log_odds(train_targets)))

    def shares(nearest: NDArray[np.int64]) -> NDArray[np.float64]:
        votes = train_targets[nearest].sum(axis=1, dtype=np.float64)
        return np.asarray((votes + prior) / (nearest.shape[1] + 1))

    def loss(said: NDArray[np.float64]) -> float:
        return float(-np.log(np.where(train_targets == 1, said, 1 - said)).mean())

    ks = [k for k in _CANDIDATES if k <= k_most] or [1]
    k = min(ks, key=lambda k: loss(shares(own[:, :k])))
    found = shares(_nearest(rest, train, k))
    return MultiLabelPredictions(
        ids=ids,
        targets=np.asarray(targets, dtype=np.uint8),
        logits=np.log(found) - np.log1p(-found),
        label_names=label_names,
        split=split,
        thresholds=choose_thresholds(shares(own[:, :k]), train_targets),
        extra={"k": k},
    )


def _unit(features: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12), dtype=np.float32)


def _nearest(
    queries: NDArray[np.float32], train: NDArray[np.float32], k: int, *, skip_self: bool = False
) -> NDArray[np.int64]:
    """Return (n_queries, k) positions of the nearest training rows, nearest first.

    Tile by tile, so that memory does not grow with either number.
    """
    found = np.empty((len(queries), k), np.int64)
    for start in range(0, len(queries), _QUERIES):
        tile = torch.from_numpy(queries[start : start + _QUERIES])
        best = torch.empty(len(tile), 0)
        place = torch.empty(len(tile), 0, dtype=torch.int64)
        for first in range(0, len(train), _ROWS):
            similarity = tile @ torch.from_numpy(train[first : first + _ROWS]).T
            if skip_self:
                own = torch.arange(start, start + len(tile)) - first
                is_here = (own >= 0) & (own < similarity.shape[1])
                similarity[is_here.nonzero()[:, 0], own[is_here]] = -torch.inf
            top = similarity.topk(min(k, similarity.shape[1]), dim=1)
            best, place = torch.cat([best, top.values], dim=1), torch.cat([place, top.indices + first], dim=1)
            kept = best.topk(min(k, best.shape[1]), dim=1)
            best, place = kept.values, place.gather(1, kept.indices)
        found[start : start + _QUERIES] = place.numpy()
    return found


def _shares(votes: NDArray[np.integer[Any]], n_classes: int) -> NDArray[np.float64]:
    """Return smoothed class shares (n, n_classes) of votes (n, k)."""
    counts = np.zeros((len(votes), n_classes))
    np.add.at(counts, (np.arange(len(votes))[:, None], votes), 1.0)
    return (counts + 1.0 / n_classes) / (votes.shape[1] + 1.0)
