"""Tables of examples, and which of their columns hold pictures, labels, groups and splits."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from graft.core.errors import DataError
from graft.data.places import Places

if TYPE_CHECKING:
    from datasets import Dataset

__all__ = ["TABLE_SUFFIXES", "Table", "named_rows", "not_utf8", "numbered_rows", "read_table"]

TABLE_SUFFIXES = frozenset({".csv", ".tsv", ".jsonl", ".ndjson", ".json", ".parquet"})


@dataclass(frozen=True)
class Table:
    """Columns by name, still as the file holds them.

    Parameters
    ----------
    source : the file, for messages.
    root : folder that relative paths in the table start from.
    values : the columns, as lists or as a Hugging Face dataset; both give a list for ``values[name][:]``.
    lines : line of each row in the file, counted from 1; None: rows are named by their number, counted from 1.
    split : name of the split that the whole table is; empty where it may be divided by a column.
    """

    source: str
    root: str
    values: Mapping[str, list[Any]] | Dataset
    lines: Sequence[int] | None = None
    split: str = ""

    def of_split(self, split: str) -> Table:
        """Return the same table, known to be one split."""
        return replace(self, split=split)

    @property
    def columns(self) -> list[str]:
        """The names of the columns, in order."""
        return list(self.values) if isinstance(self.values, Mapping) else list(self.values.column_names)

    def column(self, name: str) -> list[Any]:
        """Return the values of one column."""
        return list(self.values[name][:])

    def places(self) -> Places:
        """Return how messages name the rows."""
        n = len(self.values[self.columns[0]])
        numbers = np.arange(1, n + 1) if self.lines is None else np.asarray(self.lines, dtype=np.int64)
        return Places(self.source, numbers, "row" if self.lines is None else "line")

    def place(self, row: int) -> str:
        """Return how a message names a row."""
        return f"{self.source}, line {self.lines[row]}" if self.lines is not None else f"{self.source}, row {row + 1}"


def numbered_rows(table: Table, n: int) -> list[str]:
    """Return an id for each of `n` rows: its number, padded, behind the name of the split that the table is."""
    digits, start = len(str(n)), f"{table.split}/" if table.split else ""
    return [f"{start}{row:0{digits}d}" for row in range(n)]


def named_rows(table: Table, column: str) -> list[str]:
    """Return an id for each row from a column of them, behind the name of the split that the table is."""
    start = f"{table.split}/" if table.split else ""
    return [f"{start}{str(value).strip()}" for value in table.column(column)]


def read_table(paths: Sequence[Path]) -> Table:
    """Return the columns of a table file; several only for the shards of one Parquet table.

    Parquet is read lazily where it holds the pictures themselves.

    Raises
    ------
    DataError
        When a file is of no known kind, cannot be parsed (line named), or holds no rows.
    """
    path = paths[0]
    suffix = path.suffix.lower()
    try:
        if suffix == ".parquet":
            table = _read_parquet(paths)
        elif suffix in (".csv", ".tsv"):
            table = _read_delimited(path)
        elif suffix in (".jsonl", ".ndjson"):
            table = _read_json_lines(path)
        elif suffix == ".json":
            table = _read_json(path)
        else:
            raise DataError(
                f"{path} is no table that can be read",
                expected=f"a file that ends in {', '.join(sorted(TABLE_SUFFIXES))}, or a folder",
                fix="a table holds one example and its label in each row",
            )
    except UnicodeDecodeError as error:
        raise not_utf8(path, what="a table") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error
    if not table.columns or not len(table.values[table.columns[0]]):
        raise DataError(f"{path} holds no rows", expected="a row an example")
    return table


def not_utf8(path: Path, *, what: str) -> DataError:
    """Return the error that names the first line that is not UTF-8.

    Parameters
    ----------
    what : is expected there.
    """
    with open(path, "rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError as error:
                shown = line[max(0, error.start - 12) :][:24].decode("latin-1")
                return DataError(
                    f"{path}, line {number} is not UTF-8 text: byte {error.start} of the line is"
                    f" 0x{line[error.start]:02x}, which reads as {shown!r} in Latin-1",
                    expected=f"{what} in UTF-8",
                    fix=f"save it again as UTF-8, for example: iconv -f latin1 -t utf-8 {path.name}",
                )
    return DataError(f"{path} is not UTF-8 text", expected=f"{what} in UTF-8", fix="save it again as UTF-8")


def _read_delimited(path: Path) -> Table:
    with open(path, encoding="utf-8-sig", newline="") as file:
        header = file.readline()
        file.seek(0)
        # Spreadsheets write .csv with semicolons in many countries.
        delimiter = "\t" if path.suffix.lower() == ".tsv" else max(",;\t", key=header.count)
        reader = csv.reader(file, delimiter=delimiter)
        try:
            names = [name.strip() for name in next(reader, [])]
            if len(set(names)) != len(names):
                raise DataError(
                    f"{path} has two columns of the same name: {', '.join(names)}", fix="rename one of them"
                )
            rows, lines, last = [], [], reader.line_num
            for row in reader:
                first, last = last + 1, reader.line_num  # a cell in quotes may hold line ends
                if not row:
                    continue
                if len(row) != len(names):
                    raise DataError(
                        f"{path}, line {first} has {len(row)} cells",
                        expected=f"{len(names)}, as the header has: {', '.join(names)}",
                        fix="put cells that hold the delimiter in double quotes",
                    )
                rows.append(row)
                lines.append(first)
        except csv.Error as error:
            raise DataError(f"{path}, line {reader.line_num} cannot be parsed: {error}") from error
    return Table(str(path), str(path.parent), {name: [r[i] for r in rows] for i, name in enumerate(names)}, lines)


def _columns_of(path: Path, rows: Sequence[object], lines: Sequence[int] | None) -> Table:
    names: dict[str, None] = {}
    for number, row in enumerate(rows):
        if not isinstance(row, dict):
            where = f"line {lines[number]}" if lines is not None else f"entry {number + 1}"
            raise DataError(f"{path}, {where} is {json.dumps(row)[:60]}", expected="an object with a path and a label")
        names.update(dict.fromkeys(row))
    values = {name: [row.get(name) for row in rows if isinstance(row, dict)] for name in names}
    return Table(str(path), str(path.parent), values, lines)


def _read_json_lines(path: Path) -> Table:
    rows, lines = [], []
    with open(path, encoding="utf-8-sig") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                rows.append(json.loads(line))
            except json.JSONDecodeError as error:
                raise DataError(
                    f"{path}, line {number} is not JSON: {error}", expected="one JSON object a line"
                ) from error
            lines.append(number)
    return _columns_of(path, rows, lines)


def _read_json(path: Path) -> Table:
    try:
        value = json.loads(path.read_text(encoding="utf-8-sig"))
    except json.JSONDecodeError as error:
        if error.msg == "Extra data":  # one object a line, under the other suffix
            return _read_json_lines(path)
        raise DataError(f"{path}, line {error.lineno} is not JSON: {error.msg}") from error
    if isinstance(value, dict) and value and all(isinstance(column, list) for column in value.values()):
        if len(value) == 1 and all(isinstance(row, dict) for row in next(iter(value.values()))):
            return _columns_of(path, next(iter(value.values())), None)
        lengths = {name: len(column) for name, column in value.items()}
        if len(set(lengths.values())) > 1:
            raise DataError(f"{path} has columns of unequal length: {lengths}", expected="columns of equal length")
        return Table(str(path), str(path.parent), value)
    if not isinstance(value, list):
        raise DataError(f"{path} holds one value of type {type(value).__name__}", expected="a list of objects")
    return _columns_of(path, value, None)


def _read_parquet(paths: Sequence[Path]) -> Table:
    import pyarrow as pa
    import pyarrow.parquet as pq
    from datasets import Dataset, concatenate_datasets

    try:
        schema = pq.read_schema(paths[0])
        if any(pa.types.is_struct(kind) or pa.types.is_binary(kind) for kind in schema.types):
            # Holds the pictures: through the cache of `datasets`, which maps it from disk.
            values = Dataset.from_parquet([str(path) for path in paths])
        else:
            values = concatenate_datasets([Dataset(pq.read_table(path)) for path in paths])
    except (pa.ArrowException, ValueError) as error:
        raise DataError(f"{paths[0]} is no Parquet table that can be read: {error}") from error
    return Table(str(paths[0]), str(paths[0].parent), values)
