"""The mistakes themselves, with their pictures, texts or sounds: the surest, and those of each confused pair."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from graft.core.types import MultiLabelPredictions, Predictions
from graft.report import wording as w
from graft.report.budget import ExampleBudget

__all__ = ["gallery", "in_order_of_showing"]

_N_SUREST = 12
_MOST_EACH, _MOST_SOUNDS_EACH = 6, 3
_OPEN_GROUPS, _OPEN_GROUPS_HEARD = 12, 4  # the others are folded away
_MOST_GROUPS = 900  # as many pairs as the largest grid has


def gallery(
    predictions: Predictions | MultiLabelPredictions | None, budget: ExampleBudget, *, most: int
) -> dict[str, Any] | None:
    """Return the mistakes as they are shown; None where there are none.

    Parameters
    ----------
    most : examples in all groups together.

    Returns
    -------
    dict
        ``surest``: examples; ``groups`` and ``more_groups``: pairs, the most frequent first; ``form``: ``"pictures"``,
        ``"sounds"``, ``"texts"`` or ``"names"``. A recording among the surest is not heard again in its group: there
        ``at`` is its place among them.
    """
    if predictions is None:
        return None
    groups: list[dict[str, Any]] = []
    if isinstance(predictions, MultiLabelPredictions):
        surest = _farthest_off(predictions, budget)
    else:
        rows = _mistakes(predictions)[:_N_SUREST]
        surest = _shown(predictions, rows, budget)
        heard = {row: place for place, row in enumerate(rows)} if budget.has_sounds else {}
        groups = _pair_groups(predictions, budget, most=most, heard=heard)
    if not surest:
        return None
    examples = [*surest, *(e for g in groups for e in g["examples"])]
    form = next((f"{key}s" for key in ("picture", "sound", "text") if any(e[key] for e in examples)), "names")
    n_open = _OPEN_GROUPS_HEARD if form == "sounds" else _OPEN_GROUPS
    return {
        "surest": surest,
        "groups": groups[:n_open],
        "more_groups": groups[n_open:],
        "form": form,
    }


def in_order_of_showing(predictions: Predictions, *, n_surest: int = 2 * _N_SUREST) -> list[int]:
    """Return the rows of all mistakes: the surest first, then one of each confused pair in turn."""
    predicted = predictions.predicted
    seen: dict[tuple[int, int], int] = {}
    turns = []
    for place, i in enumerate(_mistakes(predictions)):
        pair = (int(predictions.targets[i]), int(predicted[i]))
        turn = seen[pair] = seen.get(pair, -1) + 1
        turns.append((-1 if place < n_surest else turn, place, i))
    return [i for _, _, i in sorted(turns)]


def _farthest_off(predictions: MultiLabelPredictions, budget: ExampleBudget) -> list[dict[str, Any]]:
    """Return the examples with a label wrongly given or missing, those first whose probability was farthest off."""
    p, said, has = predictions.probabilities, predictions.predicted, predictions.targets
    distance = np.where(said != has, np.abs(p - has), -1.0)
    distance[~predictions.is_known] = -1.0
    worst = distance.argmax(axis=1)
    farthest = distance.max(axis=1)
    rows = [int(i) for i in np.argsort(-farthest, kind="stable")[:_N_SUREST] if farthest[i] >= 0]

    def names(row: int, sets: Any) -> str:
        found = [w.clipped(predictions.label_names[k], 60) for k in np.flatnonzero(sets[row] == 1)]
        return w.clipped(", ".join(found), 240) or "none"

    return [
        {
            "true": names(i, has),
            "predicted": names(i, said),
            "confidence": f"{w.clipped(predictions.label_names[worst[i]], 60)} {100 * p[i, worst[i]]:.0f}{w.THIN}%",
            **budget.shown(predictions.ids[i]),
        }
        for i in rows
    ]


def _pair_groups(
    predictions: Predictions, budget: ExampleBudget, *, most: int, heard: Mapping[int, int]
) -> list[dict[str, Any]]:
    """Return the mistakes by (true, predicted), the most frequent pair first, most confident first in each.

    Parameters
    ----------
    heard : row to place of recordings that the page has above.
    """
    predicted = predictions.predicted

    def pair_of(i: int) -> tuple[int, int]:
        return int(predictions.targets[i]), int(predicted[i])

    counts: dict[tuple[int, int], int] = {}
    for i in _mistakes(predictions):
        counts[pair_of(i)] = counts.get(pair_of(i), 0) + 1
    largest = sorted(counts, key=lambda pair: (-counts[pair], pair))[:_MOST_GROUPS]
    chosen: dict[tuple[int, int], list[int]] = {pair: [] for pair in largest}
    left, most_each = most, _MOST_SOUNDS_EACH if budget.has_sounds else _MOST_EACH
    for i in in_order_of_showing(predictions, n_surest=0):
        members = chosen.get(pair_of(i))
        if members is not None and len(members) < most_each and left > 0:
            members.append(i)
            left -= 1
    return [
        {
            "key": f"pair-{t}-{p}",
            "true": w.clipped(predictions.label_names[t], 80),
            "predicted": w.clipped(predictions.label_names[p], 80),
            "n": counts[t, p],
            "n_more": counts[t, p] - len(chosen[t, p]),
            "examples": _shown(predictions, chosen[t, p], budget, heard=heard),
        }
        for t, p in largest
    ]


def _mistakes(predictions: Predictions) -> list[int]:
    """Return the rows of mistakes, the surest first."""
    is_wrong = ~predictions.is_correct & (predictions.targets >= 0)
    rows = np.flatnonzero(is_wrong)
    confidence = predictions.probabilities[rows, predictions.predicted[rows]]
    return [int(i) for i in rows[np.argsort(-confidence, kind="stable")]]


def _shown(
    predictions: Predictions, rows: Sequence[int], budget: ExampleBudget, *, heard: Mapping[int, int] | None = None
) -> list[dict[str, Any]]:
    predicted = predictions.predicted
    sure = predictions.probabilities
    places = heard or {}
    return [
        {
            "true": w.clipped(predictions.label_names[int(predictions.targets[i])], 80),
            "predicted": w.clipped(predictions.label_names[int(predicted[i])], 80),
            "confidence": f"{100 * float(sure[i, predicted[i]]):.0f}{w.THIN}%",
            **budget.shown(predictions.ids[i], is_named=i in places),
            **({"at": places[i]} if i in places else {}),
        }
        for i in rows
    ]
