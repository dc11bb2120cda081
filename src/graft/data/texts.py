"""Texts that stand in a table: which columns hold them, and their bytes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from graft.core.errors import DataError
from graft.data.column_names import find_column, no_column
from graft.data.kinds import ExampleKind
from graft.data.tables import Table, numbered_rows

if TYPE_CHECKING:
    from datasets import Dataset

__all__ = [
    "PAIR_SEPARATOR", "check_number_of_texts", "join_pair", "shown_text", "split_pair", "text_columns_of", "texts_of",
]  # fmt: skip

PAIR_SEPARATOR = "\x1f"  # ASCII's unit separator: no text that people write holds it
_SAMPLE = 50


def join_pair(first: str, second: str) -> str:
    """Return two texts as one example."""
    return f"{first}{PAIR_SEPARATOR}{second}"


def split_pair(text: str) -> tuple[str, str | None]:
    """Return the one or two texts of an example.

    Examples
    --------
    >>> split_pair("It rains."), split_pair(join_pair("It rains.", "It is wet."))
    (('It rains.', None), ('It rains.', 'It is wet.'))
    """
    first, separator, second = text.partition(PAIR_SEPARATOR)
    return first, second if separator else None


def shown_text(content: bytes) -> str:
    """Return a text as people are shown it, the two of a pair with a dash between.

    Examples
    --------
    >>> shown_text(join_pair("It rains.", "It is wet.").encode())
    'It rains. — It is wet.'
    """
    first, second = split_pair(content.decode("utf-8", errors="replace"))
    return first if second is None else f"{first} — {second}"


def text_columns_of(
    table: Table,
    given: str | None,
    pair: str | None,
    *,
    kind: ExampleKind,
    label: str | None,
    known: tuple[str, ...] | None = None,
) -> tuple[str, ...]:
    """Return the column, or two, that hold the texts; none where the table names files.

    Found by the names that were given, by those that the model was fitted to, by usual names of pairs and of single
    texts, else the column of strings that are longest on average.

    Parameters
    ----------
    known : columns of the texts that a model was fitted to, two of a model of pairs, none where its texts had no
        column; None: there is no such model.

    Raises
    ------
    DataError
        When a named column is not there, none holds texts, or the model reads pairs and these are none, or the reverse.
    """
    if known and given is None and pair is None and all(name in table.columns for name in known):
        return known
    found = _columns_found(table, given, pair, kind=kind, label=label)
    check_number_of_texts(len(found), known, source=table.source, columns=found, others=table.columns)
    return found


def check_number_of_texts(
    n: int,
    known: tuple[str, ...] | None,
    *,
    source: str,
    columns: Sequence[str] = (),
    others: Sequence[str] = (),
) -> None:
    """Check that a model of pairs gets pairs, and one of single texts single texts.

    Parameters
    ----------
    n : texts an example; 0 where they stand in files.
    known : columns of the texts that the model was fitted to, as in `text_columns_of`.
    source : where the examples come from, for messages.
    columns, others : where the texts were found, and all columns of the table.

    Raises
    ------
    DataError
        When it is otherwise.

    Examples
    --------
    >>> check_number_of_texts(2, ("premise", "hypothesis"), source="new.csv")
    """
    if known is None or max(n, 1) == max(len(known), 1):
        return
    read = f" in '{columns[0]}'" if n == 1 and columns else f" in {' and '.join(map(repr, columns))}" if columns else ""
    there = f"; it has the columns {', '.join(others)}" if others else ""
    if len(known) == 2:
        raise DataError(
            f"{source}: one text an example was found{read}, and the model reads pairs of texts{there}",
            expected=f"a table with two columns of texts; it was fitted to '{known[0]}' and '{known[1]}'",
            fix="name both with --text-column and --text-pair-column (Python: text_column=, text_pair_column=)",
        )
    raise DataError(
        f"{source}: two texts an example were found{read}, and the model reads single texts",
        expected="one column of texts" + (f"; it was fitted to '{known[0]}'" if known else ""),
        fix="name it with --text-column (Python: text_column=)",
    )


def _columns_found(
    table: Table, given: str | None, pair: str | None, *, kind: ExampleKind, label: str | None
) -> tuple[str, ...]:
    first = find_column(table, given, (), kind="text")
    second = find_column(table, pair, (), kind="text-pair")
    if second is not None and first is None:
        first = _single(table, kind, but=(label, second))
    if first is not None:
        return (first,) if second is None else (first, second)
    lower = {name.lower().replace(" ", "_").replace("-", "_"): name for name in table.columns}
    for names in kind.pair_names:
        if all(name in lower for name in names):
            return lower[names[0]], lower[names[1]]
    if any(name in lower for name in kind.path_names) and not any(name in lower for name in kind.inline_names):
        return ()
    return (_single(table, kind, but=(label,)),)


def texts_of(table: Table, columns: tuple[str, ...]) -> tuple[list[str], Dataset]:
    """Return an id for each row and the texts as UTF-8 bytes; the two texts of a pair are joined.

    Raises
    ------
    DataError
        When a cell holds something else than text (row named).
    """
    from datasets import Dataset, Features, Value

    values = [[_text(value, table.place(row)) for row, value in enumerate(table.column(name))] for name in columns]
    texts = values[0] if len(values) == 1 else [join_pair(a, b) for a, b in zip(*values, strict=True)]
    content = [text.encode("utf-8", errors="surrogatepass") for text in texts]
    rows = Dataset.from_dict({"content": content}, features=Features({"content": Value("binary")}))
    return numbered_rows(table, len(texts)), rows


def _single(table: Table, kind: ExampleKind, *, but: tuple[str | None, ...]) -> str:
    usual = find_column(table, None, kind.inline_names, kind="text")
    if usual is not None and usual not in but:
        return usual
    lengths = {}
    for name in table.columns:
        sample = list(table.values[name][:_SAMPLE])
        if name not in but and sample and all(isinstance(value, str) for value in sample):
            lengths[name] = sum(map(len, sample)) / len(sample)
    if not lengths:
        raise no_column(table, "text", kind.inline_names)
    return max(lengths, key=lambda name: lengths[name])


def _text(value: Any, place: str) -> str:
    if isinstance(value, str):
        return value
    if value is None or value != value:  # NaN differs from itself
        return ""
    if isinstance(value, (int, float)):
        return str(value)
    raise DataError(
        f"{place} holds {type(value).__name__} where a text should be: {str(value)[:60]}",
        expected="a text",
        fix="name the column of the texts with --text-column (Python: text_column=)",
    )
