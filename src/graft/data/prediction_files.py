"""Predictions that another framework wrote, read from a table: `docs/predictions-file.md` tells the form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from graft.core.errors import DataError, did_you_mean
from graft.core.types import MultiLabelPredictions, Predictions
from graft.data.prediction_sets import holds_sets, label_sets_of, log_odds, probabilities_in, thresholds_of

__all__ = ["PredictionFile", "read_prediction_file"]

_PREFIX: Final = "p_"
_TARGETS: Final = ("target", "label")
_SUM_TOLERANCE = 0.01  # probabilities are often written with two or three decimals
_FIX = "docs/predictions-file.md tells the form: id, target, prediction or p_<label> for each label, split"


@dataclass(frozen=True)
class PredictionFile:
    """Predictions by split, and what else is known of the examples.

    Parameters
    ----------
    predictions : by split; ``"test"`` where the file has no split column. All of one class an example, or all of sets.
    columns : by split, further columns by name, one value an example.
    has_probabilities : whether the file holds probabilities; else the logits are 0 for the answer and -inf elsewhere.
    notes : sentences on what was remarkable.
    """

    predictions: Mapping[str, Predictions] | Mapping[str, MultiLabelPredictions]
    columns: Mapping[str, Mapping[str, list[Any]]]
    has_probabilities: bool
    notes: tuple[str, ...] = ()


def read_prediction_file(path: str | Path, *, label_names: tuple[str, ...] | None = None) -> PredictionFile:
    """Return the predictions in a Parquet, CSV or JSONL file.

    Parameters
    ----------
    path : ``id`` (row numbers where it is missing), ``target`` or ``label`` (empty where not known), ``p_<label>`` for
        each label or else ``prediction``, and, where the file holds more than the test examples, ``split``. All other
        columns are kept as facts about the examples. Where the targets are lists, examples may have any number of
        labels.
    label_names : the labels and their order; None: those of the ``p_`` columns, or else all that occur, sorted.

    Raises
    ------
    DataError
        When the file cannot be read, a column is missing, an id stands twice in a split, probabilities are NaN, out of
        0 to 1 or do not sum to one, or a target is no label.
    """
    file = Path(path).expanduser()
    table = _read(file)
    target_column = next((name for name in _TARGETS if name in table), None)
    own = [name for name in table if name.startswith(_PREFIX)]
    if target_column is None or not (own or "prediction" in table):
        lacking = "target" if target_column is None else "p_<label> or prediction"
        raise DataError(
            f"{file}: no column {lacking!r}; its columns are {', '.join(list(table)[:12])}",
            expected="target, and p_<label> for each label or else prediction",
            fix=_FIX,
        )
    n = len(table[target_column])
    if n == 0:
        raise DataError(f"{file}: no rows", expected="a row an example", fix=_FIX)
    ids = [str(v) for v in table["id"]] if "id" in table else [str(i + 1) for i in range(n)]
    splits = [str(v) if v not in (None, "") else "test" for v in table["split"]] if "split" in table else ["test"] * n
    _refuse_twice(file, ids, splits)
    used = {"id", "split", "prediction", target_column, *own}
    facts = {name: values for name, values in table.items() if name not in used and not _is_nested(values)}
    by_split = {split: np.flatnonzero(np.array(splits) == split) for split in dict.fromkeys(splits)}
    columns = {
        split: {name: [values[i] for i in rows] for name, values in facts.items()} for split, rows in by_split.items()
    }
    if holds_sets(table[target_column]):
        sets, told = _of_sets(file, table, ids, by_split, target_column, label_names)
        return PredictionFile(sets, columns, True, told)
    targets = _labels(file, table[target_column], ids, what=target_column)
    said = _labels(file, table["prediction"], ids, what="prediction") if "prediction" in table else None
    names = label_names or tuple(name.removeprefix(_PREFIX) for name in own)
    if not names:
        names = tuple(sorted({v for v in (*targets, *(said or [])) if v is not None}))
    known = {name: i for i, name in enumerate(names)}
    target = np.array([_place(file, v, known, ids[i], what=target_column) for i, v in enumerate(targets)], np.int64)
    notes: list[str] = []
    if own:
        logits = _log_probabilities(file, table, names, ids)
        if said is not None:
            answers = np.array([_place(file, v, known, ids[i], what="prediction") for i, v in enumerate(said)])
            n_other = int(((answers >= 0) & (answers != logits.argmax(axis=1))).sum())
            if n_other:
                notes.append(f"in {n_other:,} rows the prediction is not the likeliest class; the likeliest is judged")
    else:
        answers = np.array([_place(file, v, known, ids[i], what="prediction") for i, v in enumerate(said or [])])
        if (answers < 0).any():
            raise DataError(f"{file}: no prediction for {ids[int((answers < 0).argmax())]!r}", expected="a label a row")
        logits = np.where(np.eye(len(names), dtype=bool)[answers], 0.0, -np.inf)
    predictions = {
        split: Predictions([ids[i] for i in rows], target[rows], logits[rows], names, split)
        for split, rows in by_split.items()
    }
    return PredictionFile(predictions, columns, bool(own), tuple(notes))


def _of_sets(
    file: Path,
    table: Mapping[str, list[Any]],
    ids: list[str],
    by_split: Mapping[str, NDArray[np.int64]],
    target_column: str,
    label_names: tuple[str, ...] | None,
) -> tuple[dict[str, MultiLabelPredictions], tuple[str, ...]]:
    """Return predictions of label sets by split, and what is remarkable."""
    own = tuple(name.removeprefix(_PREFIX) for name in table if name.startswith(_PREFIX))
    if not own:
        raise DataError(
            f"{file}: sets of labels without probabilities",
            expected="p_<label> for each label: mean average precision ranks by them",
            fix=_FIX,
        )
    names, answers = label_names or own, table.get("prediction")
    targets = label_sets_of(file, table[target_column], ids, names, what=target_column)
    said = None if answers is None else label_sets_of(file, answers, ids, names, what="prediction")
    notes: list[str] = []
    cut = np.full(len(names), 0.5)
    logits = log_odds(file, table, names, ids)
    if said is not None:
        answered = said[:, 0] <= 1
        cut, n_other = thresholds_of(said[answered], logits[answered])
        if n_other:
            notes.append(f"in {n_other:,} rows no threshold for each label gives the answer; the threshold is judged")
    found = {
        split: MultiLabelPredictions([ids[i] for i in rows], targets[rows], logits[rows], names, split, cut)
        for split, rows in by_split.items()
    }
    return found, tuple(notes)


def _read(file: Path) -> dict[str, list[Any]]:
    import pyarrow as pa
    from pyarrow import csv, json, parquet

    if not file.is_file():
        raise DataError(f"no file {file}", expected="a Parquet, CSV or JSONL file of predictions")
    kind = file.suffix.lower()
    try:
        if kind == ".parquet":
            table = parquet.read_table(file)
        elif kind in (".jsonl", ".json"):
            table = json.read_json(file)
        elif kind in (".csv", ".tsv"):
            words = {name: pa.string() for name in ("id", "split", "prediction", *_TARGETS)}
            table = csv.read_csv(
                file,
                parse_options=csv.ParseOptions(delimiter="\t" if kind == ".tsv" else ","),
                convert_options=csv.ConvertOptions(column_types=words),
            )
        else:
            raise DataError(f"{file}: unknown ending {kind!r}", expected=".parquet, .csv, .tsv or .jsonl", fix=_FIX)
    except pa.ArrowInvalid as error:
        raise DataError(f"{file} cannot be read: {error}", expected="a Parquet, CSV or JSONL file", fix=_FIX) from error
    return {str(name): table.column(i).to_pylist() for i, name in enumerate(table.column_names)}


def _labels(file: Path, values: list[Any], ids: list[str], *, what: str) -> list[str | None]:
    for i, value in enumerate(values):
        if isinstance(value, (list, dict)):
            raise DataError(
                f"{file}: the {what} of {ids[i]!r} is {value!r}",
                expected="one label an example, as the targets are; or lists as targets too",
                fix=_FIX,
            )
    return [None if v is None or v == "" else str(v) for v in values]


def _place(file: Path, value: str | None, known: Mapping[str, int], example: str, *, what: str) -> int:
    if value is None:
        return -1
    if value not in known:
        some = ", ".join(repr(name) for name in list(known)[:8]) + (", ..." if len(known) > 8 else "")
        raise DataError(
            f"{file}: {what} {value!r} of {example!r}.{did_you_mean(value, known)}",
            expected=f"one of {some}",
            fix=f"a column {_PREFIX}{value}, or another {what}",
        )
    return known[value]


def _log_probabilities(
    file: Path, table: Mapping[str, list[Any]], names: tuple[str, ...], ids: list[str]
) -> NDArray[np.float64]:
    p = probabilities_in(file, table, names)
    is_odd = ~np.isfinite(p).all(axis=1) | (p < -1e-9).any(axis=1) | (p > 1 + 1e-6).any(axis=1)
    total = np.where(is_odd, 1.0, np.nan_to_num(p).sum(axis=1))
    for bad, what in (
        (is_odd, "probabilities that are NaN, empty, or not from 0 to 1"),
        (np.abs(total - 1) > _SUM_TOLERANCE, "probabilities that do not sum to one"),
    ):
        if bad.any():
            first = int(bad.argmax())
            shown = ", ".join(f"{v:.4g}" for v in p[first][:6]) + (", ..." if p.shape[1] > 6 else "")
            raise DataError(
                f"{file}: {int(bad.sum()):,} of {len(p):,} rows have {what}; the first is {ids[first]!r}: {shown}"
                f" (sum {p[first].sum():.4g})",
                expected="for each example numbers from 0 to 1 whose sum is 1",
                fix="write softmax probabilities, not logits; one class an example",
            )
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(np.clip(p, 0.0, None) / total[:, None]))


def _refuse_twice(file: Path, ids: list[str], splits: list[str]) -> None:
    seen: set[tuple[str, str]] = set()
    for pair in zip(splits, ids, strict=True):
        if pair in seen:
            raise DataError(
                f"{file}: id {pair[1]!r} stands twice in split {pair[0]!r}",
                expected="each example once",
                fix="drop the copies; a copy that is counted twice makes intervals too narrow",
            )
        seen.add(pair)


def _is_nested(values: list[Any]) -> bool:
    return any(isinstance(v, (list, dict, bytes)) for v in values[:20])
