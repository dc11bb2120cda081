"""The splits of a user's data, read as the options say."""

from __future__ import annotations

from pathlib import Path

from graft.api.config import FitConfig
from graft.data.dataset import Splits
from graft.data.readers import read_splits
from graft.tasks.registry import task_class

__all__ = ["read_as_told"]


def read_as_told(data: str | Path, task_name: str, config: FitConfig) -> Splits:
    """Return the splits of `data`, of the kind of example that a task has, by the columns and files that options name.

    Raises
    ------
    DataError, UsageError
        As `graft.data.readers.read_splits` does.
    """
    return read_splits(
        data,
        kind=task_class(task_name).kind,
        valid=config.valid,
        test=config.test,
        path_column=config.path_column,
        label_column=config.label_column,
        group_column=config.group_column,
        text_column=config.text_column,
        text_pair_column=config.text_pair_column,
        multi_label=config.multi_label,
    )
