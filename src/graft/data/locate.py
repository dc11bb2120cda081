"""What lies at a path: class folders, tables, a saved data set, each perhaps divided into splits."""

from __future__ import annotations

import os
import re
from pathlib import Path

from graft.core.errors import DataError, UsageError
from graft.data.columns import Columns, examples_of, split_name
from graft.data.folders import is_file_of, missing_path, scan_class_folders
from graft.data.found import Found
from graft.data.saved import is_hub_id, is_saved, read_hub, read_saved
from graft.data.tables import TABLE_SUFFIXES, Table, read_table

__all__ = ["locate"]

# The shards that `datasets` writes: train-00000-of-00002.parquet
_SHARD = re.compile(r"-\d{5}-of-\d{5}$")
_DESCRIBING = ("metadata", "labels", "annotations")


def locate(data: str | Path, columns: Columns) -> dict[str, Found]:
    """Return the examples at a path or hub id by split; the key is ``""`` where they are not divided.

    Raises
    ------
    DataError
        When nothing is there, or nothing that can be read as labelled examples.
    UsageError
        When columns are named for data that is no table.
    """
    path = Path(data).expanduser()
    if path.is_file():
        if is_file_of(columns.kind, str(path)):
            raise DataError(
                f"{path} is one {columns.kind.noun}",
                expected="a folder with a subfolder a class, or a table",
                fix=f"name the folder; to classify single {columns.kind.noun}s, use graft predict",
            )
        return examples_of(read_table([path]), columns)
    if path.is_dir():
        return _of_folder(path, columns)
    if isinstance(data, str) and is_hub_id(data) and path.suffix.lower() not in TABLE_SUFFIXES:
        try:
            tables = read_hub(data)
        except DataError as error:
            # Most likely a mistyped path: say first what lies here.
            raise DataError(f"{missing_path(path).got}\n{error.got}", expected=error.expected, fix=error.fix) from error
        return _of_tables(tables, columns)
    raise missing_path(path)


def _of_tables(tables: dict[str, Table], columns: Columns) -> dict[str, Found]:
    if "" in tables:
        return examples_of(tables[""], columns)
    return {split: examples_of(table, columns)[""] for split, table in tables.items()}


def _of_folder(folder: Path, columns: Columns) -> dict[str, Found]:
    if is_saved(folder):
        return _of_tables(read_saved(folder), columns)
    if tables := _split_tables(folder):
        return _of_tables(tables, columns)
    if not _describing_tables(folder):
        names = sorted(entry.name for entry in os.scandir(folder) if entry.is_dir() and not entry.name.startswith("."))
        divided = [name for name in names if split_name(name)]
        if any(split_name(name) == "train" for name in divided) or (divided and len(divided) == len(names)):
            return _of_split_folders(folder, divided, [name for name in names if name not in divided], columns)
    return _undivided(folder, columns)


def _split_tables(folder: Path) -> dict[str, Table]:
    files: dict[str, list[Path]] = {}
    for path in sorted(folder.iterdir()):
        split = split_name(_SHARD.sub("", path.stem))
        if split is not None and path.suffix.lower() in TABLE_SUFFIXES and path.is_file():
            files.setdefault(split, []).append(path)
    if "train" not in files and any(path.is_dir() and split_name(path.name) == "train" for path in folder.iterdir()):
        return {}
    for split, paths in files.items():
        if len(paths) > 1 and not all(path.suffix == ".parquet" and _SHARD.search(path.stem) for path in paths):
            raise DataError(
                f"{folder} has several tables for {split}: {', '.join(path.name for path in paths)}",
                expected="one",
                fix="remove or rename the others, or name each file: DATA --valid FILE --test FILE",
            )
    return {split: read_table(paths).of_split(split) for split, paths in files.items()}


def _of_split_folders(folder: Path, divided: list[str], ignored: list[str], columns: Columns) -> dict[str, Found]:
    found: dict[str, Found] = {}
    for name in divided:
        split = split_name(name) or name
        if split in found:
            raise DataError(
                f"{folder} has several folders for {split}: {', '.join(n for n in divided if split_name(n) == split)}",
                expected="one",
                fix="remove or rename the others",
            )
        parts = _undivided(folder / name, columns, top=folder)
        found[split] = parts[""]
    if ignored:
        note = f"{folder}: ignored the folders {', '.join(ignored)} beside {', '.join(divided)}."
        first = next(iter(found))
        found[first] = found[first].with_note(note)
    return found


def _describing_tables(folder: Path) -> list[Path]:
    return [
        path
        for path in sorted(folder.iterdir())
        if path.stem.lower() in _DESCRIBING and path.suffix.lower() in TABLE_SUFFIXES
    ]


def _undivided(folder: Path, columns: Columns, *, top: Path | None = None) -> dict[str, Found]:
    """Return what one folder holds; with `top`, the folder is one split of the data at `top`."""
    split = "" if top is None else folder.name
    if is_saved(folder):
        tables = read_saved(folder)
        if split and "" not in tables:
            raise DataError(f"{folder} is itself divided into {', '.join(tables)}", expected="one split")
        return _of_tables({"": tables[""].of_split(split)} if split else tables, columns)
    described = _describing_tables(folder)
    found = None if described else scan_class_folders(folder, top=top, kind=columns.kind)
    if found is not None and found.paths:
        if given := columns.given():
            raise UsageError(
                f"{', '.join(given)} for {folder}, which is a folder with a subfolder a class",
                expected="columns are for tables",
                fix="leave the option out, or give the table instead of the folder",
            )
        return {"": found.as_examples()}
    tables_here = described or [p for p in sorted(folder.iterdir()) if p.suffix.lower() in TABLE_SUFFIXES]
    if len(tables_here) == 1:
        return examples_of(read_table(tables_here).of_split(split), columns)
    if tables_here:
        raise DataError(
            f"{folder} holds several tables: {', '.join(path.name for path in tables_here)}",
            expected="one, or tables named train, valid and test",
            fix="name the files: DATA --valid FILE --test FILE (Python: valid=, test=)",
        )
    noun = columns.kind.noun
    flat = sum(entry.is_file() and is_file_of(columns.kind, entry.path) for entry in os.scandir(folder))
    holds = f"{flat} {noun}s but no subfolders" if flat else f"no {noun}s and no table"
    if found is not None and found.empty:
        holds += f" (only empty folders: {', '.join(found.empty[:5])})"
    raise DataError(
        f"{folder} holds {holds}",
        expected=f"a subfolder of {noun}s for each class (also below train/, valid/ and test/), or a CSV, JSONL or"
        f" Parquet table with {'a text' if columns.kind.inline_names else 'a path'} and a label in each row",
        fix=f"sort the {noun}s into a folder a class, or write a table",
    )
