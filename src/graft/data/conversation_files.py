"""From what the user names to conversations by split: tables, saved data sets and data sets on the hub."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from graft.core.errors import DataError, did_you_mean
from graft.core.text import counted
from graft.data.columns import split_name
from graft.data.conversation_forms import FORMS, cells, form_of_columns, messages_of, tools_of
from graft.data.conversations import Conversation, Conversations
from graft.data.folders import missing_path
from graft.data.saved import is_hub_id, is_saved, read_hub, read_saved
from graft.data.tables import TABLE_SUFFIXES, Table, read_table

__all__ = ["ConversationSplits", "is_conversational", "read_conversations", "read_prompts"]


@dataclass(frozen=True)
class ConversationSplits:
    """Conversations to train, to choose and to judge with; None where the data brings none.

    Parameters
    ----------
    n_dropped : rows that were left out, by reason.
    """

    train: Conversations
    valid: Conversations | None = None
    test: Conversations | None = None
    notes: tuple[str, ...] = ()
    n_dropped: int = 0


def is_conversational(data: str | Path) -> bool:
    """Return whether data on this disk have the columns of conversations; nothing is asked of the hub."""
    path = Path(data).expanduser()
    try:
        if path.is_file():
            return path.suffix.lower() in TABLE_SUFFIXES and form_of_columns(_columns(path)) is not None
        if not path.is_dir():
            return False
        if is_saved(path):
            return form_of_columns(next(iter(read_saved(path).values())).columns) is not None
        tables = _tables_in(path)
        return bool(tables) and all(form_of_columns(_columns(p)) is not None for p in tables)
    except (DataError, OSError, ValueError):
        return False  # whoever reads the data says what is wrong with it


def read_conversations(
    data: str | Path,
    *,
    valid: str | Path | None = None,
    test: str | Path | None = None,
    form: str = "auto",
    group_column: str | None = None,
    skip_unusable: bool = False,
) -> ConversationSplits:
    """Return the conversations of some data by split.

    Parameters
    ----------
    data : a table (JSONL, JSON, Parquet, CSV), a folder of tables named train, valid and test, a folder that
        ``save_to_disk`` of Hugging Face `datasets` wrote, or a data set's id on its hub.
    valid, test : the same forms; they go before splits inside `data`.
    form : ``"auto"``: by the columns; else one of `graft.data.conversation_forms.FORMS`.
    group_column : rows with equal values stay on one side of every split.
    skip_unusable : leave rows without an answer, or with an empty one, out, and count them.

    Raises
    ------
    DataError
        When nothing can be read, the form is not recognised, or a row is no conversation (row named).
    """
    found = _located(data)
    if "train" not in found and "" not in found:
        raise DataError(
            f"{data} has the splits {', '.join(found)}, but none to train with",
            expected="a split named train",
            fix="name the file to train with, and the others by --valid and --test (Python: valid=, test=)",
        )
    tables = {"train" if name == "" else name: table for name, table in found.items()}
    for split, named in (("valid", valid), ("test", test)):
        if named is not None:
            own = _located(named)
            tables[split] = own[split] if split in own else next(iter(own.values()))
    notes: list[str] = []
    n_dropped = 0
    parts: dict[str, Conversations] = {}
    for split, table in tables.items():
        parts[split], dropped = _conversations(table, form, group_column, skip_unusable=skip_unusable)
        notes.append(f"{table.source}: {counted(len(parts[split]), 'conversation')} in the form {parts[split].form}")
        if dropped:
            notes.append(
                f"{table.source}: {counted(len(dropped), 'row')} left out, for example {dropped[0].splitlines()[0]}"
            )
            n_dropped += len(dropped)
    return ConversationSplits(parts["train"], parts.get("valid"), parts.get("test"), tuple(notes), n_dropped)


def read_prompts(path: Path, *, form: str = "auto") -> Iterator[Conversation]:
    """Yield the conversations of a file, which may end with a question or an answer; of a .txt each line is a question.

    Raises
    ------
    DataError
        When the file cannot be read, or a row holds no question.
    """
    if path.suffix.lower() == ".txt":
        table = Table(str(path), str(path.parent), {"prompt": path.read_text(encoding="utf-8").splitlines()})
        rows = [row for row in cells(table) if row["prompt"].strip()]
        form = "prompt-completion"
    else:
        table = read_table([path])
        rows = cells(table)
    if form == "auto":
        names = {name.lower() for name in table.columns}
        asked = next((own for name, own in _ASKED if name in names), None)
        form = form_of_columns(table.columns) or asked or _unknown(table)
    for number, row in enumerate(rows):
        place = table.place(number)
        messages = messages_of(row, form, place=place, is_prompt=True)
        yield Conversation(str(row.get("id") or number), place, messages, tools_of(row, place=place))


_ASKED = (("prompt", "prompt-completion"), ("instruction", "alpaca"))


def _unknown(table: Table) -> str:
    near = next((hint for name in table.columns if (hint := did_you_mean(name.lower(), _NAMES))), "")
    raise DataError(
        f"{table.source}: no form of conversations has the columns {', '.join(table.columns)}.{near}",
        expected="messages; conversations; prompt and completion; or instruction, input and output",
        fix=f"rename the columns, or say which form it is: --format {'|'.join(FORMS)} (Python: format=)",
    )


_NAMES = ("messages", "conversations", "prompt", "completion", "instruction", "input", "output", "response")


def _conversations(
    table: Table, form: str, group_column: str | None, *, skip_unusable: bool
) -> tuple[Conversations, list[str]]:
    """Return the conversations of a table and, where they may be left out, what is wrong with the others."""
    own = form if form != "auto" else form_of_columns(table.columns) or _unknown(table)
    if group_column is not None and group_column not in table.columns:
        raise DataError(
            f"{table.source} has no column '{group_column}'.{did_you_mean(group_column, table.columns)}",
            expected=f"one of its columns: {', '.join(table.columns)}",
            fix="--group-column NAME (Python: group_column=NAME)",
        )
    items: list[Conversation] = []
    dropped: list[str] = []
    for number, row in enumerate(cells(table)):
        place = table.place(number)
        try:
            messages = messages_of(row, own, place=place)
        except DataError as error:
            if not skip_unusable:
                raise
            dropped.append(str(error))
            continue
        group = "" if group_column is None else str(row[group_column.lower()])
        name = f"{table.split}/{number}" if table.split else str(number)
        items.append(Conversation(name, place, messages, tools_of(row, place=place), group))
    if not items:
        raise DataError(f"{table.source}: no row is a usable conversation: {dropped[0]}", expected="conversations")
    return Conversations(tuple(items), table.source, own, group_column or ""), dropped


def _located(data: str | Path) -> dict[str, Table]:
    path = Path(data).expanduser()
    if path.is_file():
        return _divided(read_table([path]))
    if not path.is_dir():
        if isinstance(data, str) and is_hub_id(data) and path.suffix.lower() not in TABLE_SUFFIXES:
            return read_hub(data)
        raise missing_path(path)
    if is_saved(path):
        return read_saved(path)
    files = {split_name(p.stem) or "": p for p in _tables_in(path)}
    if not files:
        raise DataError(f"{path} holds no table", expected=f"files that end in {', '.join(sorted(TABLE_SUFFIXES))}")
    if "" in files and len(files) > 1:
        raise DataError(
            f"{path} holds {files[''].name} beside {', '.join(p.name for s, p in files.items() if s)}",
            expected="tables named train, valid and test, or one alone",
        )
    return {split: read_table([p]).of_split(split) for split, p in files.items()}


def _divided(table: Table) -> dict[str, Table]:
    """Return the splits that a column named split divides a table into."""
    if "split" not in table.columns:
        return {"": table}
    names = [split_name(str(value)) for value in table.column("split")]
    if None in names or "train" not in names:
        return {"": table}
    columns = {column: table.column(column) for column in table.columns}
    found: dict[str, Table] = {}
    for split in dict.fromkeys(names):
        rows = [row for row, name in enumerate(names) if name == split]
        values = {column: [cells_of[row] for row in rows] for column, cells_of in columns.items()}
        lines = None if table.lines is None else [table.lines[row] for row in rows]
        found[str(split)] = Table(table.source, table.root, values, lines, str(split))
    return found


def _tables_in(folder: Path) -> list[Path]:
    tables = [p for p in sorted(folder.iterdir()) if p.suffix.lower() in TABLE_SUFFIXES and p.is_file()]
    named = [p for p in tables if split_name(p.stem) is not None]
    return named or tables[:1]


def _columns(path: Path) -> list[str]:
    """Return the columns of a table; of JSON lines only the first line is read."""
    if path.suffix.lower() in (".jsonl", ".ndjson"):
        with open(path, encoding="utf-8-sig") as file:
            first = next((line for line in file if line.strip()), "")
        row = json.loads(first)
        return list(row) if isinstance(row, Mapping) else []
    return read_table([path]).columns
