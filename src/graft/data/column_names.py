"""Columns of a table by the names that people give them."""

from __future__ import annotations

from collections.abc import Sequence

from graft.core.errors import DataError, did_you_mean
from graft.data.tables import Table

__all__ = ["GROUP_NAMES", "LABEL_NAMES", "find_column", "no_column"]

LABEL_NAMES = (
    "label",
    "labels",
    "class",
    "category",
    "target",
    "intent",
    "class_name",
    "label_name",
    "classname",
    "fine_label",
    "y",
)
# What several examples may share and new data will not: to be held on one side of a split.
GROUP_NAMES = tuple(
    f"{name}{end}"
    for name in (
        "speaker", "group", "subject", "patient", "participant", "person", "session", "writer", "recording", "scene",
    )
    for end in ("", "_id", "_name")
)  # fmt: skip


def find_column(table: Table, given: str | None, usual: Sequence[str], *, kind: str) -> str | None:
    """Return the column that was given, else the first with a usual name; None: there is none.

    Raises
    ------
    DataError
        When the given one is not in the table.
    """
    if given is not None:
        if given not in table.columns:
            raise DataError(
                f"{table.source} has no column '{given}'.{did_you_mean(given, table.columns)}",
                expected=f"one of its columns: {', '.join(table.columns)}",
                fix=f"--{kind}-column NAME (Python: {kind.replace('-', '_')}_column=NAME)",
            )
        return given
    by_lower = {name.lower().replace(" ", "_").replace("-", "_"): name for name in reversed(table.columns)}
    return next((by_lower[name] for name in usual if name in by_lower), None)


def no_column(table: Table, kind: str, usual: Sequence[str]) -> DataError:
    """Return the error for a column that cannot be found, with what is nearest."""
    hints = [(name, did_you_mean(name.lower(), usual)) for name in table.columns]
    near = next((f" Is '{name}' it?" for name, hint in hints if hint), "")
    what = {"label": "the label", "path": "the file of each example"}.get(kind, "the text")
    return DataError(
        f"{table.source}: no column was recognised that holds {what}; there are {', '.join(table.columns)}.{near}",
        expected=f"a column named {', '.join(usual[:6])} or the like",
        fix=f"name it with --{kind}-column (Python: {kind}_column=)",
    )
