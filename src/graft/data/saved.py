"""Data sets that Hugging Face `datasets` wrote to disk, or that lie on its hub."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from graft.core.errors import DataError
from graft.data.columns import SPLIT_NAMES, split_name
from graft.data.tables import Table

__all__ = ["is_hub_id", "is_saved", "read_hub", "read_saved"]

_HUB_ID = re.compile(r"[\w-][\w.-]*(/[\w-][\w.-]*)?(:[\w.-]+)?")


def is_saved(folder: Path) -> bool:
    """Return whether `Dataset.save_to_disk` or `DatasetDict.save_to_disk` wrote the folder."""
    return (folder / "dataset_dict.json").is_file() or (
        (folder / "state.json").is_file() and (folder / "dataset_info.json").is_file()
    )


def is_hub_id(data: str) -> bool:
    """Return whether text could name a data set on the hub (``name``, ``owner/name``, ``owner/name:configuration``).

    Examples
    --------
    >>> is_hub_id("uoft-cs/cifar10"), is_hub_id("./pictures"), is_hub_id("a/b/c")
    (True, False, False)
    """
    return _HUB_ID.fullmatch(data) is not None


def read_saved(folder: Path) -> dict[str, Table]:
    """Return the tables of a saved data set by split; the key is ``""`` where it is not divided.

    Raises
    ------
    DataError
        When it cannot be loaded, or its splits have no usual name.
    """
    from datasets import load_from_disk

    try:
        loaded = load_from_disk(str(folder))
    except Exception as error:  # whatever `datasets` raises on damaged files
        raise DataError(
            f"{folder} looks like a saved Hugging Face dataset but cannot be loaded: {error}",
            expected="a folder that Dataset.save_to_disk or DatasetDict.save_to_disk wrote",
            fix="save it again",
        ) from error
    return _tables(loaded, source=str(folder), root=str(folder))


def read_hub(name: str) -> dict[str, Table]:
    """Return the tables of a data set on the Hugging Face hub by split.

    Raises
    ------
    DataError
        When there is none of that name, no network and no copy in the cache, or a configuration must be named.
    """
    from datasets import load_dataset

    identifier, _, configuration = name.partition(":")
    try:
        loaded = load_dataset(identifier, configuration or None)
    except Exception as error:  # network, authorisation, format: the hub's clients raise a dozen kinds
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        fix = "check the path or the id; without a network, download the data first and give its folder"
        if "onfig name is missing" in reason:
            fix = f"name one of its configurations: {identifier}:NAME"
            reason = " ".join(str(error).split())
        raise DataError(
            f"'{name}' is no file or folder here, and could not be loaded from the Hugging Face hub: {reason}",
            expected="a path, or the id of a data set that is in the local cache or can be downloaded",
            fix=fix,
        ) from error
    return _tables(loaded, source=name, root="")


def _tables(loaded: Any, *, source: str, root: str) -> dict[str, Table]:
    if not isinstance(loaded, Mapping):
        return {"": Table(source, root, loaded)}
    tables: dict[str, Table] = {}
    for name, rows in loaded.items():
        split = split_name(name)
        if split is not None and split in tables:
            raise DataError(f"{source} has two splits that mean {split}: {', '.join(loaded)}", fix="remove one of them")
        if split is not None:
            tables[split] = Table(f"{source}/{name}", root, rows, split=split)
    if not tables and len(loaded) == 1:
        return {"": Table(source, root, next(iter(loaded.values())))}
    if not tables:
        raise DataError(
            f"{source} has the splits {', '.join(loaded)}",
            expected=f"splits named {', '.join(names[0] for names in SPLIT_NAMES.values())} or the like",
        )
    return tables
