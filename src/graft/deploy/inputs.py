"""What is to be predicted: files below folders, rows of tables, lines of text files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from graft.core.errors import DataError
from graft.data.dataset import read_bytes
from graft.data.folders import list_inputs
from graft.data.kinds import TEXT, ExampleKind
from graft.data.tables import TABLE_SUFFIXES, read_table
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
    say: Callable[[str], None] = lambda text: None,
) -> Iterator[Input]:
    """Yield every example of some kind in files and folders, in order.

    For texts a table gives a text a row, and a text file that is named itself a text a line; below folders each text
    file is one text.

    Parameters
    ----------
    text_column, text_pair_column : columns of the tables, where they were named.
    known_texts : columns of the texts that the model was fitted to, see `graft.data.texts.text_columns_of`.
    say : told where texts are read from a column of another name.

    Raises
    ------
    DataError
        When a path does not exist, there is no example at all, or these are single texts and the model reads pairs,
        or the reverse.
    """
    for path in map(Path, paths):
        if kind is TEXT and path.is_file() and path.suffix.lower() in TABLE_SUFFIXES:
            yield from _rows(path, text_column, text_pair_column, known_texts, say)
            continue
        if kind is TEXT and path.exists():
            check_number_of_texts(1, known_texts, source=str(path))
        if kind is TEXT and path.is_file():
            yield from _lines(path)
        else:
            for name, file in list_inputs([path], kind=kind):
                yield Input(name, file)


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
