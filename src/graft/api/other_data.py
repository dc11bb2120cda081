"""Other data than the run's own, with labels or without: read, and passed through the kept model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graft.api.config import FitConfig
from graft.api.passes import head_weights, pass_through
from graft.backbones.extraction import Extractor
from graft.backbones.source import Readable
from graft.core.decision import AnyPredictions, Decision
from graft.core.errors import DataError
from graft.core.types import UNKNOWN
from graft.data.column_names import LABEL_NAMES, find_column
from graft.data.folders import is_file_of
from graft.data.kinds import ExampleKind
from graft.data.readers import read_labeled
from graft.data.tables import TABLE_SUFFIXES, read_table
from graft.deploy.inputs import Input, list_examples
from graft.tasks.base import Task

__all__ = ["OtherData", "predict_other", "read_other", "read_unlabeled"]


class _Listed:
    """Inputs in the form that an extractor reads."""

    def __init__(self, inputs: Sequence[Input]) -> None:
        self._inputs = list(inputs)

    def __len__(self) -> int:
        return len(self._inputs)

    def place(self, index: int) -> str:
        return self._inputs[index].place or self._inputs[index].id

    def read(self, index: int) -> bytes:
        return self._inputs[index].read()


@dataclass(frozen=True)
class OtherData:
    """Examples of the same kind and classes as the run's.

    Parameters
    ----------
    name : how it is called in sentences: the name of its folder or file.
    ids : n_examples names.
    targets : (n_examples,), class numbers, -1 where not known; or (n_examples, n_labels), 1 where an example has the
        label, `UNKNOWN` in the whole row where its labels are not known.
    examples : to be read.
    """

    name: str
    ids: Sequence[str]
    targets: NDArray[np.integer[Any]]
    examples: Readable


def read_other(
    data: str | Path,
    *,
    label_names: tuple[str, ...],
    kind: ExampleKind,
    config: FitConfig,
    option: str,
    is_multi_label: bool = False,
    known_texts: tuple[str, ...] | None = None,
) -> OtherData:
    """Return other data; its labels, where there are any, are matched with the run's by name.

    Parameters
    ----------
    data : in any form that ``fit`` reads, or files without labels as ``predict`` reads them.
    option : that named the data, for messages.
    is_multi_label : an example may have any number of labels.
    known_texts : columns of the texts that the model was fitted to, see `graft.data.texts.text_columns_of`.

    Raises
    ------
    DataError
        When it holds a label that the run does not have (named), or nothing that can be read.
    """
    path = Path(data).expanduser()
    if _has_no_labels(path, kind, config, known_texts):
        n_labels = len(label_names) if is_multi_label else None
        return read_unlabeled(path, kind=kind, config=config, n_labels=n_labels, known_texts=known_texts)
    try:
        part = read_labeled(
            data,
            label_names=label_names,
            path_column=config.path_column if path.is_file() else None,
            label_column=config.label_column if path.is_file() else None,
            text_column=config.text_column,
            text_pair_column=config.text_pair_column,
            kind=kind,
            multi_label=is_multi_label,
            known_texts=known_texts,
        )
    except DataError as error:
        raise DataError(f"--{option} {data}: {error.got}", expected=error.expected, fix=error.fix) from error
    return OtherData(path.name or str(data), part.ids, part.labels, part)


def read_unlabeled(
    data: str | Path,
    *,
    kind: ExampleKind,
    config: FitConfig,
    n_labels: int | None = None,
    known_texts: tuple[str, ...] | None = None,
) -> OtherData:
    """Return all examples of a kind in files and folders, whatever folder they lie in, with no class known.

    Parameters
    ----------
    n_labels : of the model, where an example may have any number of them; None: one class an example.
    known_texts : as in `read_other`.

    Raises
    ------
    DataError
        When there is nothing, or single texts where the model reads pairs.
    """
    path = Path(data).expanduser()
    first, second = config.text_column, config.text_pair_column
    if tuple(name for name in (first, second) if name) == known_texts:
        first = second = None  # named for the run's own data: other data may name its columns otherwise
    inputs = list(list_examples([path], kind=kind, text_column=first, text_pair_column=second, known_texts=known_texts))
    targets: NDArray[np.integer[Any]] = (
        np.full(len(inputs), -1, dtype=np.int64)
        if n_labels is None
        else np.full((len(inputs), n_labels), UNKNOWN, dtype=np.uint8)
    )
    return OtherData(path.name or str(data), [i.id for i in inputs], targets, _Listed(inputs))


def _has_no_labels(path: Path, kind: ExampleKind, config: FitConfig, known_texts: tuple[str, ...] | None) -> bool:
    """Return whether there is nothing at a path that could be a label: no subfolder, no second column."""
    if path.is_dir():
        entries = [entry for entry in path.iterdir() if not entry.name.startswith(".")]
        return not any(entry.is_dir() or entry.suffix.lower() in TABLE_SUFFIXES for entry in entries) and any(
            is_file_of(kind, str(entry)) for entry in entries
        )
    if not path.is_file():
        return False
    if path.suffix.lower() not in TABLE_SUFFIXES:
        return True
    table = read_table([path])
    if known_texts and set(table.columns) == set(known_texts):
        return True
    return len(list(table.columns)) == 1 and find_column(table, config.label_column, LABEL_NAMES, kind="label") is None


def predict_other(
    other: OtherData,
    kept: Task,
    extractor: Extractor,
    *,
    label_names: tuple[str, ...],
    decision: Decision,
    skip_unreadable: bool = False,
    say: Callable[[str], None],
) -> tuple[AnyPredictions, NDArray[np.float32]]:
    """Return what the kept model says of other data, and its features (n_examples, n_features).

    Parameters
    ----------
    kept : over the network that was saved, its head set.
    extractor : of its features.
    decision : of the kept model.
    """
    rows, features = pass_through(extractor, other.examples, skip_unreadable=skip_unreadable, say=say)
    weights, bias = head_weights(kept.model)
    said = decision.predictions(
        [other.ids[int(row)] for row in rows],
        other.targets[rows],
        logits=np.asarray(features @ weights.T + bias, dtype=np.float32),
        label_names=label_names,
        split="other",
    )
    return said, features
