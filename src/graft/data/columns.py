"""Which column of a table holds the examples, which the labels; from a table to examples."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from graft.core.errors import DataError
from graft.data.column_names import GROUP_NAMES, LABEL_NAMES, find_column, no_column
from graft.data.found import Found
from graft.data.kinds import PICTURE, ExampleKind
from graft.data.label_sets import LabelSet, clean_label_set, find_separator, holds_lists
from graft.data.labels import Label, clean_labels
from graft.data.tables import Table, named_rows, numbered_rows
from graft.data.texts import text_columns_of, texts_of

__all__ = ["SPLIT_NAMES", "Columns", "examples_of", "split_name"]

SPLIT_NAMES = {
    "train": ("train", "training"),
    "valid": ("valid", "val", "dev", "validation"),
    "test": ("test", "testing"),
}
_SAMPLE = 20


@dataclass(frozen=True)
class Columns:
    """Names that the user gave for the columns of a table; None: found by name and content.

    Parameters
    ----------
    path, label, group : of files, labels and groups.
    text, text_pair : of texts that stand in the table itself, and of the second one where two belong together.
    kind : of the examples.
    multi_label : an example may have any number of labels: texts of labels are taken apart. Lists say so themselves.
    known_texts : columns of the texts that a model was fitted to, see `graft.data.texts.text_columns_of`.
    """

    path: str | None = None
    label: str | None = None
    group: str | None = None
    text: str | None = None
    text_pair: str | None = None
    kind: ExampleKind = PICTURE
    multi_label: bool = False
    known_texts: tuple[str, ...] | None = None

    def given(self) -> list[str]:
        """Return the options that were given, as on the command line."""
        options = ("path", "label", "group", "text", "text_pair")
        return [f"--{key.replace('_', '-')}-column" for key in options if getattr(self, key) is not None]


def split_name(name: str) -> str | None:
    """Return ``"train"``, ``"valid"`` or ``"test"`` for any usual name of it, else None.

    Examples
    --------
    >>> split_name("Validation"), split_name("daisy")
    ('valid', None)
    """
    return next((split for split, names in SPLIT_NAMES.items() if name.lower() in names), None)


def examples_of(table: Table, wanted: Columns) -> dict[str, Found]:
    """Return the examples of a table by split; the key is ``""`` where nothing divides it.

    A column ``split`` divides it where every value is a usual name of a split and one is train.

    Raises
    ------
    DataError
        When a column cannot be found (with the columns there are), a file is missing or a label empty (row named).
    """
    label_column = find_column(table, wanted.label, LABEL_NAMES, kind="label")
    text_columns = (
        text_columns_of(
            table, wanted.text, wanted.text_pair, kind=wanted.kind, label=label_column, known=wanted.known_texts
        )
        if wanted.kind.inline_names
        else ()
    )
    own_columns = text_columns or (_path_column(table, wanted, but=label_column),)
    if label_column is None:
        rest = [name for name in table.columns if name not in (*own_columns, wanted.group)]
        if len(rest) != 1:
            raise no_column(table, "label", LABEL_NAMES)
        label_column = rest[0]
    group_column = find_column(table, wanted.group, (), kind="group") if wanted.group is not None else None
    labels, declared = _labels(table, label_column, is_multi_label=wanted.multi_label)
    groups = None if group_column is None else table.column(group_column)
    ids, content = texts_of(table, text_columns) if text_columns else _content(table, own_columns[0])
    id_column = None if isinstance(content, list) else _id_column(table, but=(*own_columns, label_column, group_column))
    if id_column is not None:
        ids = named_rows(table, id_column)
    split_column, splits = _splits(table, but=(*own_columns, label_column, group_column))

    suspect = None if group_column else _shared_by_several(table, but=(*own_columns, label_column, split_column))
    used = [name for name in (*own_columns, label_column, group_column, split_column, id_column) if name]
    unused = [name for name in table.columns if name not in used]
    named = " and ".join(f"'{name}'" for name in own_columns)
    note = f"{table.source}: {wanted.kind.noun}s in the column{'s' * (len(own_columns) > 1)} {named}, labels in"
    note += f" '{label_column}'"
    note += f", ids in '{id_column}'" if id_column else ""
    note += f", groups in '{group_column}'" if group_column else ""
    note += f", splits in '{split_column}'" if split_column else ""
    note += f"; unused: {', '.join(unused)}." if unused else "."
    whole = Found(
        table.source,
        ids,
        labels,
        content,
        table.place,
        table.root,
        declared,
        groups,
        suspected_groups=None if suspect is None else table.column(suspect),
        group_column=group_column or suspect or "",
        text_columns=text_columns,
        places=None if isinstance(content, list) else table.places(),
        notes=(note,),
    )
    if splits is None:
        return {"": whole}
    return {
        name: _part(whole, [row for row, split in enumerate(splits) if split == name], name)
        for name in SPLIT_NAMES
        if name in splits
    }


def _id_column(table: Table, *, but: Sequence[str | None]) -> str | None:
    """Return the column named ``id``, where it tells all rows apart."""
    name = find_column(table, None, ("id",), kind="id")
    if name is None or name in but:
        return None
    values = table.column(name)
    is_said = all(isinstance(value, (str, int)) and str(value).strip() for value in values)
    return name if is_said and len({str(value).strip() for value in values}) == len(values) else None


def _shared_by_several(table: Table, *, but: Sequence[str | None]) -> str | None:
    """Return a column that nobody named, but that looks as if it held groups: by its name, and by values that recur."""
    for usual in GROUP_NAMES:
        name = find_column(table, None, (usual,), kind="group")
        if name is not None and name not in but:
            values = {str(value) for value in table.column(name)}
            if 1 < len(values) <= len(table.column(name)) // 2:
                return name
    return None


def _part(whole: Found, rows: list[int], name: str) -> Found:
    content = whole.content
    return replace(
        whole,
        source=f"{whole.source} ({name})",
        ids=[whole.ids[row] for row in rows],
        labels=[whole.labels[row] for row in rows],
        content=[content[row] for row in rows] if isinstance(content, list) else content.select(rows),
        place=lambda index: whole.place(rows[index]),
        places=None if whole.places is None else whole.places.select(rows),
        groups=None if whole.groups is None else [whole.groups[row] for row in rows],
        suspected_groups=None if whole.suspected_groups is None else [whole.suspected_groups[row] for row in rows],
        notes=whole.notes if name == "train" else (),
    )


def _path_column(table: Table, wanted: Columns, *, but: str | None) -> str:
    path_names = wanted.kind.path_names
    if (found := find_column(table, wanted.path, (), kind="path")) is not None:
        return found
    pictures = [name for name in table.columns if name != but and _holds_bytes(table, name)]
    if pictures:
        return pictures[0]
    named = [name for name in table.columns if name.lower() in path_names and name != but]
    named.sort(key=lambda name: path_names.index(name.lower()))
    others = [name for name in table.columns if name != but and name not in named]
    for name in (*named, *others):
        sample = list(table.values[name][:_SAMPLE])
        if any(isinstance(value, str) and value and _resolve(table.root, value) for value in sample):
            return name
    if named:
        return named[0]  # its files are missing: said with the row
    raise no_column(table, "path", path_names)


def _holds_bytes(table: Table, name: str) -> bool:
    if isinstance(table.values, Mapping):
        return False
    kind = table.values.features[name]
    return type(kind).__name__ in ("Image", "Audio") or (isinstance(kind, dict) and "bytes" in kind) or _is_binary(kind)


def _is_binary(kind: object) -> bool:
    return getattr(kind, "dtype", None) in ("binary", "large_binary")


def _resolve(root: str, value: str) -> str | None:
    """Return `value`, or `value` with forward slashes, whichever names a file; else None."""
    for candidate in (value, value.replace("\\", "/")):
        if os.path.isfile(os.path.join(root, candidate)):  # noqa: PTH113, PTH118  a call a row
            return candidate
    return None


def _content(table: Table, name: str) -> tuple[list[str], Any]:
    if _holds_bytes(table, name):
        from datasets import Audio, Image

        values: Any = table.values
        rows = values.select_columns([name])
        decoded: dict[str, Any] = {"Image": Image(decode=False), "Audio": Audio(decode=False)}
        if (as_bytes := decoded.get(type(rows.features[name]).__name__)) is not None:
            rows = rows.cast_column(name, as_bytes)
        content = rows if name == "content" else rows.rename_column(name, "content")
        return numbered_rows(table, len(rows)), content
    paths: list[str] = []
    missing: list[tuple[int, object]] = []
    for row, value in enumerate(table.column(name)):
        found = _resolve(table.root, value) if isinstance(value, str) and value else None
        if found is None:
            missing.append((row, value))
        else:
            paths.append(found)
    if missing:
        row, value = missing[0]
        share = f" ({len(missing)} of {len(missing) + len(paths)} rows name no file)" if len(missing) > 1 else ""
        raise DataError(
            f"{table.place(row)}: there is no file {value!r} (column '{name}'){share}",
            expected=f"paths that start from the table's folder, {table.root}, or absolute ones",
            fix="correct the path, remove the row, or name the right column with --path-column (Python: path_column=)",
        )
    return [_id(table.root, path) for path in paths], paths


def _id(root: str, path: str) -> str:
    whole = os.path.abspath(root) + os.sep  # noqa: PTH100
    inner = path.removeprefix(whole)
    return posixpath.normpath(inner.replace(os.sep, "/"))


def _labels(
    table: Table, name: str, *, is_multi_label: bool
) -> tuple[Sequence[Label | LabelSet | None], tuple[str, ...] | None]:
    kind: Any = None if isinstance(table.values, Mapping) else table.values.features[name]
    values = table.column(name)
    if type(kind).__name__ == "ClassLabel":
        names = tuple(str(label) for label in kind.names)
        # -1 is how public data sets hide the labels of their test split.
        found = [None if v is None or v < 0 else names[v] for v in values]
        return [None if v is None else (v,) for v in found] if is_multi_label else found, names
    if is_multi_label or holds_lists(values):
        inner: Any = getattr(kind, "feature", None)  # of a list of class labels
        declared = tuple(map(str, inner.names)) if type(inner).__name__ == "ClassLabel" else None
        separator = find_separator(values)
        places = map(table.place, range(len(values)))
        sets = [
            clean_label_set(value, place=place, separator=separator, names=declared)
            for value, place in zip(values, places, strict=True)
        ]
        return sets, declared
    return clean_labels(values, place=table.place), None


def _splits(table: Table, *, but: Sequence[str | None]) -> tuple[str | None, list[str | None] | None]:
    for name in () if table.split else table.columns:
        if name.lower() in ("split", "subset", "partition") and name not in but:
            values = [split_name(str(value).strip()) for value in table.column(name)]
            if None not in values and "train" in values:
                return name, values
    return None, None
