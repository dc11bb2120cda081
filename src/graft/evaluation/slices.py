"""Which kinds of example the model fails on: slices tested against the rest, with their number in mind."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from graft.core.errors import DataError
from graft.core.text import percent
from graft.core.types import Estimate, MultiLabelPredictions, Predictions
from graft.evaluation.claims import ALPHA, Claim, strength_of_p, unsigned_points
from graft.evaluation.comparisons import holm
from graft.evaluation.distributions import hypergeometric_at_most
from graft.evaluation.intervals import NoInterval, proportion

__all__ = ["Slice", "benjamini_hochberg", "find_slices", "judge_slices", "truth_columns"]

FEWEST: Final = 10
"""Examples that a slice needs to be looked at."""
_MOST_VALUES = 50  # of one column; the most frequent ones


@dataclass(frozen=True)
class Slice:
    """One kind of example beside all others.

    Parameters
    ----------
    column, value : what its examples have in common.
    accuracy : of the slice.
    rest : accuracy of all other examples.
    p_value : one-sided, of the slice being no worse than the rest.
    adjusted_p_value : for the number of slices.
    rows : (n,), positions of its examples.
    """

    column: str
    value: str
    accuracy: Estimate | NoInterval
    rest: Estimate | NoInterval
    p_value: float
    adjusted_p_value: float
    rows: NDArray[np.int64]

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form, without the rows."""
        return {
            "column": self.column,
            "value": self.value,
            "n": int(self.rows.size),
            "accuracy": self.accuracy.as_dict(),
            "rest": self.rest.as_dict(),
            "p_value": self.p_value,
            "adjusted_p_value": self.adjusted_p_value,
        }


def truth_columns(predictions: Predictions | MultiLabelPredictions) -> dict[str, list[str | None]]:
    """Return what the truth itself makes slices of: the class; or each label, given or not told, and their number.

    Examples
    --------
    >>> truth_columns(Predictions(["a", "b"], np.array([1, -1]), np.zeros((2, 2)), ("cat", "dog")))
    {'class': ['dog', None]}
    """
    names = predictions.label_names
    if isinstance(predictions, Predictions):
        return {"class": [None if t < 0 else names[int(t)] for t in predictions.targets]}
    columns: dict[str, list[str | None]] = {
        f"the label {name}": ["given" if own == 1 else None for own in predictions.targets[:, i]]
        for i, name in enumerate(names)
    }
    counts = np.where(predictions.is_known, (predictions.targets == 1).sum(axis=1), -1)
    return columns | {"the number of labels": [None if n < 0 else str(n) for n in counts]}


def find_slices(
    is_correct: NDArray[np.bool_],
    columns: Mapping[str, Sequence[Any] | NDArray[Any]],
    *,
    correction: Literal["holm", "bh"] = "holm",
    fewest: int = FEWEST,
) -> list[Slice]:
    """Return all slices that are large enough, the surest failures first.

    Parameters
    ----------
    is_correct : (n_examples,), whether the model was right.
    columns : by name, one value an example: metadata, or the number of the cluster of features that it lies in. A
        column of numbers with many values is cut at its quartiles. None and NaN are in no slice.
    correction : ``"holm"``: a chance of 5 % to name any slice that does not fail; ``"bh"``: of the named ones 5 % in
        the mean do not.
    fewest : examples that a slice, and its rest, need.

    Raises
    ------
    DataError
        When a column has another length.

    Notes
    -----
    Fisher's exact test of slice against rest, one-sided.

    Examples
    --------
    >>> right = np.array([True] * 60 + [False] * 20)
    >>> found = find_slices(right, {"camera": ["a"] * 50 + ["b"] * 30})
    >>> found[0].value, found[0].adjusted_p_value < 0.001
    ('b', True)
    """
    right = np.asarray(is_correct, dtype=bool)
    n, total = right.size, int(right.sum())
    raw: list[tuple[str, str, NDArray[np.int64], float]] = []
    for column, values in columns.items():
        if len(values) != n:
            raise DataError(f"column {column!r} has {len(values)} values for {n} examples", expected="one an example")
        for value, rows in _parts(values):
            if fewest <= rows.size <= n - fewest:
                hits = int(right[rows].sum())
                p = hypergeometric_at_most(hits, n, total, rows.size)
                raw.append((column, value, rows, p))
    adjust = holm if correction == "holm" else benjamini_hochberg
    adjusted = adjust([p for *_, p in raw])
    found = []
    for (column, value, rows, p), q in zip(raw, adjusted, strict=True):
        hits = int(right[rows].sum())
        own, rest = proportion(hits, rows.size), proportion(total - hits, n - rows.size)
        found.append(Slice(column, value, own, rest, p, q, rows))
    return sorted(found, key=lambda s: (s.adjusted_p_value, s.p_value))


def _parts(values: Sequence[Any] | NDArray[Any]) -> list[tuple[str, NDArray[np.int64]]]:
    """Return the values of a column and where they are."""
    given = list(values.tolist() if isinstance(values, np.ndarray) else values)
    known = [i for i, v in enumerate(given) if v is not None and v == v]
    numbers = [given[i] for i in known]
    if known and all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in numbers):
        x = np.array(numbers, dtype=np.float64)
        if np.unique(x).size > 20:
            edges = np.quantile(x, [0.25, 0.5, 0.75])
            part = np.searchsorted(edges, x, side="left")
            ends = _written([float(x.min()), *edges.tolist(), float(x.max())])
            rows = np.array(known, dtype=np.int64)
            return [(f"{ends[k]} to {ends[k + 1]}", rows[part == k]) for k in range(4)]
    places: dict[str, list[int]] = {}
    for i in known:
        places.setdefault(str(given[i]), []).append(i)
    ordered = sorted(places.items(), key=lambda item: -len(item[1]))[:_MOST_VALUES]
    return [(value, np.array(rows, dtype=np.int64)) for value, rows in ordered]


def _written(ends: Sequence[float]) -> list[str]:
    """Return ascending numbers with as few decimals as keep them apart.

    Examples
    --------
    >>> _written([0.337, 0.4223, 0.5104]), _written([-30.82, -26.65, -25.8])
    (['0.34', '0.42', '0.51'], ['−30.8', '−26.6', '−25.8'])
    """
    gaps = [b - a for a, b in pairwise(ends) if b > a]
    decimals = max(0, math.ceil(-math.log10(min(gaps)))) if gaps else 0
    return [f"{end:.{decimals}f}".replace("-", "−") for end in ends]


def benjamini_hochberg(p_values: Sequence[float]) -> list[float]:
    """Return the p-values adjusted so that their cut at 5 % lets in 5 % of false ones in the mean.

    References
    ----------
    Benjamini and Hochberg 1995, Controlling the false discovery rate.

    Examples
    --------
    >>> [round(p, 4) for p in benjamini_hochberg([0.01, 0.02, 0.5])]
    [0.03, 0.03, 0.5]
    """
    p = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(-p, kind="stable")
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(1.0, np.minimum.accumulate(p[order] * p.size / np.arange(p.size, 0, -1)))
    return [float(a) for a in adjusted]


def judge_slices(slices: Sequence[Slice], *, n: int, is_multi_label: bool = False) -> Claim:
    """Return whether any kind of example fails more than the others, and which.

    Parameters
    ----------
    slices : as `find_slices` gives them.
    n : all examples.
    is_multi_label : right is what was given exactly its own labels.
    """
    question = "Are there kinds of example that it fails on?"
    facts = {"n_slices": len(slices), "worst": [s.as_dict() for s in slices[:5]]}
    test = "fisher-exact, adjusted for the number of slices"
    if not slices:
        sentence = f"Not judged: no kind of example has {FEWEST} test examples and as many beside it."
        return Claim("slices_fail", question, "can't tell", "none", sentence, facts, test, None, n)
    failing = [s for s in slices if s.adjusted_p_value <= ALPHA]
    if failing:
        worst = failing[0]
        gap = (worst.rest.value or 0.0) - (worst.accuracy.value or 0.0)
        sentence = (
            f"Yes, {len(failing)} of {len(slices)}: worst where {worst.column} is {worst.value} ({worst.rows.size} test"
            f" examples): {percent(worst.accuracy.value or 0.0)}"
            f" {'with exactly their own labels' if is_multi_label else 'right'}, {unsigned_points(gap)} below the rest."
        )
        strength = strength_of_p(worst.adjusted_p_value)
        return Claim("slices_fail", question, "yes", strength, sentence, facts, test, worst.adjusted_p_value, n)
    sentence = f"None shows: of {len(slices)} kinds looked at, no gap is larger than chance makes among so many."
    smallest = min(s.rows.size for s in slices)
    strength = "moderate" if smallest >= 50 else "weak"
    p_value = slices[0].adjusted_p_value
    return Claim("slices_fail", question, "no", strength, sentence, facts, test, p_value, n)
