"""What is to be predicted: files below folders, rows of tables, lines of text files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from graft.core.errors import DataError
from graft.data.dataset import read_bytes
from graft.data.folders import list_inputs, missing_path
from graft.data.kinds import TEXT, ExampleKind
from graft.data.tables import TABLE_SUFFIXES, not_utf8, read_table
from graft.data.texts import check_number_of_texts, text_columns_of, texts_of

__all__ = ["Input", "list_examples"]


@dataclass(frozen=True)
class Input:
    """One example to predict.

    Parameters
    ----------
    id : how it is named in the output.
    path : its file; None: `content` is all of it.
    content : its bytes, where it is no file of its own.
    place : how a message names it; empty: by its id.
    """

    id: str
    path: Path | None = None
    content: bytes = b""
    place: str = ""

    def read(self) -> bytes:
        """Return the bytes of the example.

        Raises
        ------
        DataError
            When its file cannot be read.
        """
        return self.content if self.path is None else read_bytes(str(self.path))


def list_examples(
    paths: Sequence[str | Path],
    *,
    kind: ExampleKind,
    text_column: str | None = None,
    text_pair_column: str | None = None,
    known_texts: tuple[str, ...] | None = None,
    refuse_empty: bool = False,
    say: Callable[[str], None] = lambda text: None,
) -> Iterator[Input]:
    """Yield every example of some kind in files and folders, in order.

    For texts a table gives a text a row, and a text file that is named itself a text a line; below folders each text
    file is one text.

    Parameters
    ----------
    text_column, text_pair_column : columns of the tables, where they were named.
    known_texts : columns of the texts that the model was fitted to, see `graft.data.texts.text_columns_of`.
    refuse_empty : raise where a row of a table is empty, before the first example is given.
    say : told where texts are read from a column of another name, and which files are passed over.

    Raises
    ------
    DataError
        When a path does not exist, a table or text file is not UTF-8, there is no example at all, or these are single
        texts and the model reads pairs, or the reverse.
    """
    listed = [Path(path) for path in paths]
    if kind is not TEXT:
        for name, file in list_inputs(listed, kind=kind, say=say):
            yield Input(name, file)
        return
    rows: dict[int, list[Input]] = {}
    for number, path in enumerate(listed):  # before the first is given, and a file is begun with it
        if not path.exists():
            raise missing_path(path, expected="a text, a table of texts, or a folder of texts")
        if path.is_file() and path.suffix.lower() in TABLE_SUFFIXES:
            rows[number] = list(_rows(path, text_column, text_pair_column, known_texts, say))
            if refuse_empty:
                _refuse_empty(rows[number])
            continue
        check_number_of_texts(1, known_texts, source=str(path))
        if path.is_file() and not _is_utf8(path):
            raise not_utf8(path, what="texts")
    for number, path in enumerate(listed):
        if number in rows:
            yield from rows[number]
        elif path.is_file():
            yield from _lines(path)
        else:
            for name, file in list_inputs([path], kind=kind, say=say):
                yield Input(name, file)


def _refuse_empty(rows: Sequence[Input]) -> None:
    for row in rows:
        if not row.content.strip(b"\x1f \t\r\n\0"):
            raise DataError(
                f"{row.place} is empty",
                expected="a text in every row",
                fix="remove the row, or --skip-unreadable (Python: skip_unreadable=True) gives it an empty label",
            )


def _is_utf8(path: Path) -> bool:
    try:
        with open(path, encoding="utf-8") as file:
            for _ in file:
                pass
    except UnicodeDecodeError:
        return False
    return True


def _rows(
    path: Path,
    text_column: str | None,
    pair_column: str | None,
    known: tuple[str, ...] | None,
    say: Callable[[str], None],
) -> Iterator[Input]:
    table = read_table([path])
    columns = text_columns_of(table, text_column, pair_column, kind=TEXT, label=None, known=known)
    if known and columns != known and text_column is None:
        read, fitted = (" and ".join(f"'{name}'" for name in names) for names in (columns, known))
        say(f"{path}: texts are read from {read}; the model was fitted to {fitted} (--text-column names another)")
    if not columns:
        raise DataError(f"{path} names files, not texts", expected="a column of texts", fix="--text-column NAME")
    _, rows = texts_of(table, columns)
    for number, content in enumerate(rows["content"]):
        yield Input(f"{path.as_posix()}:{number + 1}", content=content, place=table.place(number))


def _lines(path: Path) -> Iterator[Input]:
    with open(path, "rb") as file:
        for number, line in enumerate(file, start=1):
            if text := line.strip():
                yield Input(f"{path.as_posix()}:{number}", content=text, place=f"{path}, line {number}")
