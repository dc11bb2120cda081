"""Predictions of label sets in a table: lists of labels as target and answer, a probability for each label."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graft.core.errors import DataError, did_you_mean
from graft.core.types import UNKNOWN

__all__ = ["holds_sets", "label_sets_of", "log_odds", "probabilities_in", "thresholds_of"]

_FIX = (
    "docs/predictions-file.md tells the form; label sets are lists, empty for no label, null where they are not known"
)


def holds_sets(values: Sequence[Any]) -> bool:
    """Return whether a column holds lists."""
    return any(isinstance(value, (list, tuple)) for value in values)


def label_sets_of(
    file: Path, values: Sequence[Any], ids: Sequence[str], names: Sequence[str], *, what: str
) -> NDArray[np.uint8]:
    """Return (n_examples, n_labels): 1 where the example has the label; `UNKNOWN` in rows that are null.

    Raises
    ------
    DataError
        When a value is no list, or a label in it has no name in `names`.
    """
    place = {name: i for i, name in enumerate(names)}
    found = np.zeros((len(values), len(names)), np.uint8)
    for i, own in enumerate(values):
        if own is None:
            found[i] = UNKNOWN
            continue
        if not isinstance(own, (list, tuple)):
            raise DataError(
                f"{file}: the {what} of {ids[i]!r} is {own!r}", expected="a list, as in other rows", fix=_FIX
            )
        for label in own:
            if str(label) not in place:
                raise DataError(
                    f"{file}: {what} {label!r} of {ids[i]!r}.{did_you_mean(str(label), place)}",
                    expected=f"labels among {', '.join(map(repr, list(names)[:8]))}",
                    fix=f"a column p_{label}, or another {what}",
                )
            found[i, place[str(label)]] = 1
    return found


def probabilities_in(file: Path, table: Mapping[str, Sequence[Any]], names: Sequence[str]) -> NDArray[np.float64]:
    """Return the columns ``p_<label>`` as they are: (n_examples, n_labels).

    Raises
    ------
    DataError
        When a column is missing, or a value is no number.
    """
    lacking = [name for name in names if f"p_{name}" not in table]
    if lacking:
        raise DataError(
            f"{file}: no column 'p_{lacking[0]}'", expected=f"one for each of {len(names)} labels", fix=_FIX
        )
    try:
        return np.array([table[f"p_{name}"] for name in names], dtype=np.float64).T
    except (TypeError, ValueError) as error:
        raise DataError(f"{file}: probabilities that are no numbers ({error})", expected="0 to 1", fix=_FIX) from error


def log_odds(file: Path, table: Mapping[str, Sequence[Any]], names: Sequence[str], ids: Sequence[str]) -> NDArray[Any]:
    """Return (n_examples, n_labels) log-odds of the columns ``p_<label>``.

    Raises
    ------
    DataError
        When a column is missing, or a value is no number from 0 to 1.
    """
    p = probabilities_in(file, table, names)
    is_odd = ~((p >= 0) & (p <= 1 + 1e-6)).all(axis=1)
    if is_odd.any():
        first = int(is_odd.argmax())
        shown = ", ".join(f"{v:.4g}" for v in p[first][:6])
        raise DataError(
            f"{file}: {int(is_odd.sum()):,} of {len(p):,} rows have probabilities that are NaN, empty, or not from 0 to"
            f" 1; the first is {ids[first]!r}: {shown}",
            expected="for each example and label a number from 0 to 1; they need not sum to one",
            fix="write sigmoid probabilities, not logits",
        )
    p = np.minimum(p, 1.0)
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(p) - np.log1p(-p))


def thresholds_of(said: NDArray[np.uint8], logits: NDArray[np.floating[Any]]) -> tuple[NDArray[np.float64], int]:
    """Return the probability from which on each label is given, as the answers tell it, and how many answers differ.

    Parameters
    ----------
    said : (n_examples, n_labels), 1 where the label was given.
    logits : (n_examples, n_labels), log-odds.

    Notes
    -----
    Any threshold between the likeliest label not given and the least likely one given would do: the one nearest to one
    half. Where answers contradict each other it is one half.

    Examples
    --------
    >>> thresholds_of(np.array([[1], [1], [0]], np.uint8), np.array([[0.5], [-1.0], [-2.0]]))[0].round(2).tolist()
    [0.27]
    """
    with np.errstate(over="ignore"):
        p = 1 / (1 + np.exp(-np.asarray(logits, np.float64)))
    found = np.full(p.shape[1], 0.5)
    for k in range(p.shape[1]):
        given, other = p[said[:, k] == 1, k], p[said[:, k] == 0, k]
        least, most = given.min(initial=1.0), other.max(initial=0.0)
        if most < least:
            found[k] = least if least < 0.5 else 0.5 if most < 0.5 else np.nextafter(most, 1.0)
    return found, int(((p >= found) != (said == 1)).any(axis=1).sum())
