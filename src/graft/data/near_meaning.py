"""Texts that say nearly the same: close in a network's features, or with most word pieces in common.

Copies are proven word by word, see `graft.data.minhash`. What is found here is weaker: a text told anew, or with a
word moved, put in or mistyped. How near is near is measured on texts with different labels, which do not say the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from graft.data.neighbours import nearest, typical_distance, unit_rows

__all__ = ["FALSE_ALARMS", "AlikeTexts", "Nearness", "alike_rows", "alike_texts", "measure_nearness", "share_a_label"]

FALSE_ALARMS: Final = 0.005
"""Share of texts that have one of another label as near as what is called nearly the same, at most."""
LEAST_OVERLAP_ALIKE: Final = 0.6
"""Share of common pieces from which on texts are compared; two mistyped letters in a question leave three quarters."""
_TYPICAL_SHARE = 0.2  # of the distance of random texts with one label: nothing farther is nearly the same
_SAMPLED = 2_000
_NEIGHBOURS = 3

_Labels = NDArray[np.integer[Any]]
_Pairs = NDArray[np.int64]


@dataclass(frozen=True)
class Nearness:
    """From where on two texts say nearly the same.

    Parameters
    ----------
    distance : cosine distance, at most this.
    overlap : or so large a share of common pieces, at a distance of at most `typical`.
    typical : median distance of random pairs of texts that share a label.
    """

    distance: float
    overlap: float
    typical: float


@dataclass(frozen=True)
class AlikeTexts:
    """Pairs of texts that say nearly the same, the nearest first.

    Parameters
    ----------
    pairs : (n_pairs, 2), row in the first texts and row in the second; each row of the second at most once.
    distance : (n_pairs,), cosine distance in the network's features.
    """

    pairs: _Pairs
    distance: NDArray[np.float64]


def share_a_label(labels: _Labels, others: _Labels) -> NDArray[np.bool_]:
    """Return whether examples share a label, (n, m).

    Parameters
    ----------
    labels, others : (n,) and (m,) class numbers, or (n, n_labels) and (m, n_labels), 1 where a label is given.
    """
    if labels.ndim == 1:
        return np.asarray(labels[:, None] == others[None, :])
    return np.asarray((labels == 1).astype(np.float32) @ (others == 1).astype(np.float32).T > 0)


def measure_nearness(
    rows: NDArray[np.float32],
    labels: _Labels,
    *,
    copies: NDArray[np.int64],
    pairs: _Pairs,
    overlap: NDArray[np.float64],
    seed: int = 0,
) -> Nearness:
    """Return from where on texts are nearly the same; where they are few, the share of the typical distance bounds it.

    Half of `FALSE_ALARMS` of the texts have one of another label within the distance, half one with such an overlap.

    Parameters
    ----------
    rows : (n, d) features of the texts, of norm 1.
    labels : (n,) class numbers, or (n, n_labels).
    copies : (n,) groups of copies, which may have wrong labels and are not counted.
    pairs, overlap : of the texts, as `graft.data.minhash.near_texts` gives them from `LEAST_OVERLAP_ALIKE` on.
    """
    classes = labels if labels.ndim == 1 else None
    typical = typical_distance(rows, classes, seed=seed)
    sample = np.random.default_rng(seed).permutation(len(rows))[:_SAMPLED]
    least = np.full(len(sample), np.inf)
    for at in np.array_split(np.arange(len(sample)), max(1, len(sample) // 256)):
        own = sample[at]
        distance = 1 - rows[own] @ rows.T
        distance[share_a_label(labels[own], labels) | (copies[own][:, None] == copies[None, :])] = np.inf
        least[at] = distance.min(axis=1, initial=np.inf)
    bound = float(np.quantile(least, FALSE_ALARMS / 2, method="lower")) if len(least) else np.inf
    is_new = copies[pairs[:, 0]] != copies[pairs[:, 1]]
    most = np.zeros(len(rows))
    for (a, b), share in zip(pairs[is_new].tolist(), overlap[is_new].tolist(), strict=True):
        if not share_a_label(labels[[a]], labels[[b]])[0, 0]:
            most[a], most[b] = max(most[a], share), max(most[b], share)
    highest = float(np.quantile(most, 1 - FALSE_ALARMS / 2, method="higher")) if len(most) else 1.0
    # Strictly beyond what other labels reach: equal figures, of templates, would else count.
    distance_bound = min(np.nextafter(bound, 0), _TYPICAL_SHARE * typical)
    return Nearness(float(distance_bound), max(LEAST_OVERLAP_ALIKE, highest + 1e-9), typical)


def alike_texts(
    first: NDArray[np.float32],
    second: NDArray[np.float32],
    nearness: Nearness,
    *,
    pairs: _Pairs,
    overlap: NDArray[np.float64],
    is_same: bool = False,
) -> AlikeTexts:
    """Return for texts the one that says nearly the same, the nearest where there are more.

    Parameters
    ----------
    first, second : (n, d) and (m, d) features, of norm 1.
    pairs, overlap : further candidates, (n_pairs, 2) rows of the first and of the second, and their common pieces.
    is_same : the texts are compared among themselves; a pair is then given once, the smaller row first.
    """
    where, distance = nearest(second, first, _NEIGHBOURS, is_same=is_same)
    rows, columns = np.nonzero(distance <= nearness.distance)
    near = np.stack([where[rows, columns], rows], axis=1)
    more = pairs[overlap >= nearness.overlap]
    more = more[_distances(first, second, more) <= nearness.typical]
    every = np.concatenate([near, more]).astype(np.int64)
    if is_same:
        every = np.sort(every, axis=1)
    apart = _distances(first, second, every)
    order = np.lexsort([every[:, 0], every[:, 1], apart])
    every, apart = every[order], apart[order]
    once = np.sort(np.unique(every[:, 1], return_index=True)[1])
    return AlikeTexts(every[once], apart[once])


def alike_rows(matrix: NDArray[Any], centre: NDArray[Any]) -> NDArray[np.float32]:
    """Return features about their mean, of norm 1: what all texts have in common says nothing of two."""
    return unit_rows(matrix - centre)


def _distances(first: NDArray[np.float32], second: NDArray[np.float32], pairs: _Pairs) -> NDArray[np.float64]:
    return np.asarray(1 - np.einsum("nd,nd->n", first[pairs[:, 0]], second[pairs[:, 1]]), dtype=np.float64)
