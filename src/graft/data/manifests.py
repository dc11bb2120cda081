"""Tables of transcribed utterances: which column holds the sound, which the text, the part, the speaker, the split."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from graft.core.errors import DataError
from graft.data.column_names import GROUP_NAMES, find_column, no_column
from graft.data.columns import split_name
from graft.data.kinds import RECORDING
from graft.data.tables import Table
from graft.data.utterances import Utterance, Utterances

__all__ = ["TEXT_NAMES", "ManifestColumns", "is_manifest", "utterances_of"]

TEXT_NAMES = (
    "transcript", "transcription", "text", "sentence", "normalized_text", "normalised_text", "raw_text",
    "raw_transcription", "words", "utterance",
)  # fmt: skip
_PATH_NAMES = (*RECORDING.path_names, "audio_filepath", "audio_file_path", "clip_path", "wav_path", "wav_file")
_START_NAMES = ("start_s", "start", "begin", "start_time", "offset")
_END_NAMES = ("end_s", "end", "stop", "end_time")
_DURATION_NAMES = ("duration_s", "duration")
_SPEAKER_NAMES = (*GROUP_NAMES, "client_id", "spk", "spk_id")
_BELOW = ("", "clips", "wavs", "wav", "audio")  # folders beside a table that its names may start from


@dataclass(frozen=True)
class ManifestColumns:
    """Names that the user gave for the columns of a table; None: found by usual names."""

    path: str | None = None
    text: str | None = None
    group: str | None = None


def is_manifest(table: Table) -> bool:
    """Return whether a table names recordings and texts, and no labels."""
    from graft.data.column_names import LABEL_NAMES

    has = [find_column(table, None, names, kind="") for names in (_PATH_NAMES, TEXT_NAMES, LABEL_NAMES)]
    return has[0] is not None and has[1] is not None and has[2] is None


def utterances_of(table: Table, columns: ManifestColumns) -> dict[str, Utterances]:
    """Return the utterances of a table by split; the key is ``""`` where no column ``split`` divides it.

    Raises
    ------
    DataError
        When there is no column of sounds or texts, a file is missing (row named), or a time is no number.
    """
    path = find_column(table, columns.path, _PATH_NAMES, kind="path")
    text = find_column(table, columns.text, TEXT_NAMES, kind="text")
    if path is None:
        raise no_column(table, "path", _PATH_NAMES)
    if text is None:
        raise no_column(table, "text", TEXT_NAMES)
    group = find_column(table, columns.group, _SPEAKER_NAMES, kind="group")
    start, end = (find_column(table, None, names, kind="") for names in (_START_NAMES, _END_NAMES))
    duration = find_column(table, None, _DURATION_NAMES, kind="") if end is None and start is not None else None
    split = find_column(table, None, ("split", "subset"), kind="")
    cells, texts = _sounds(table, path), table.column(text)
    groups = table.column(group) if group is not None else [""] * len(texts)
    splits = table.column(split) if split is not None else [""] * len(texts)
    if split is not None and not all(split_name(str(value)) for value in splits):
        splits = [""] * len(texts)  # a column of that name that divides otherwise
    starts, ends = _times(table, start), _times(table, end or duration)
    found: dict[str, list[Utterance]] = {}
    counts: dict[str, int] = {}
    for row, cell in enumerate(cells):
        place, content = _place(table, row, cell)
        first = starts[row] or 0.0
        last = ends[row] if duration is None or ends[row] is None else first + float(ends[row] or 0)
        base = str(cell.get("path") or f"row {row + 1}") if isinstance(cell, dict) else str(cell)
        if isinstance(cell, bytes):
            base = f"row {row + 1}"
        if first < 0 or (last is not None and last <= first):
            raise DataError(
                f"{table.place(row)}: a part from {first:g} s to {'its end' if last is None else f'{last:g} s'}",
                expected="a start from 0 on, before the end, in seconds",
                fix="correct the row; where times are in other units, give them in seconds",
            )
        name = f"{base}@{first:g}-{last:g}" if start is not None and last is not None else base
        counts[name] = counts.get(name, 0) + 1
        item = Utterance(
            name if counts[name] == 1 else f"{name} (row {row + 1})",
            place,
            "" if texts[row] is None else str(texts[row]),
            first,
            last,
            "" if groups[row] is None else str(groups[row]),
            content,
        )
        found.setdefault(split_name(str(splits[row])) or "", []).append(item)
    label = (group or "").lower().removesuffix("_id").removesuffix("_name").replace("client", "speaker")
    source = table.source
    return {
        name: Utterances(tuple(items), f"{source} ({name})" if name else source, label) for name, items in found.items()
    }


def _sounds(table: Table, path: str) -> Sequence[Any]:
    """Return the cells of the column of sounds, never decoded."""
    if isinstance(table.values, dict) or not hasattr(table.values, "cast_column"):
        return table.column(path)
    from datasets import Audio

    rows: Any = table.values
    if isinstance(rows.features[path], Audio):
        rows = rows.cast_column(path, Audio(decode=False))
    return list(rows[path][:])


def _place(table: Table, row: int, cell: Any) -> tuple[str, bytes | None]:
    """Return the file of a row, or the row's name with the bytes that it holds."""
    if isinstance(cell, dict):
        if cell.get("bytes") is not None:
            return f"{table.source}, row {row + 1}", bytes(cell["bytes"])
        cell = cell.get("path")
    if isinstance(cell, bytes):
        return f"{table.source}, row {row + 1}", cell
    if not cell:
        raise DataError(f"{table.place(row)} names no recording", expected="a file", fix="remove the row")
    name = os.path.expanduser(str(cell))  # noqa: PTH111  a hot path
    for below in _BELOW:
        for ending in ("", ".wav", ".flac", ".mp3"):
            file = os.path.join(table.root, below, name + ending)  # noqa: PTH118
            if os.path.isfile(file):  # noqa: PTH113
                return file, None
    raise DataError(
        f"{table.place(row)}: there is no file {Path(table.root) / name}",
        expected="paths that start from the table's folder (or from clips, wavs or audio in it), or whole paths",
        fix="put the file there, correct the path, or remove the row",
    )


def _times(table: Table, column: str | None) -> list[float | None]:
    if column is None:
        return [None] * len(table.values[table.columns[0]])
    found: list[float | None] = []
    for row, value in enumerate(table.column(column)):
        try:
            found.append(None if value in (None, "") else float(value))
        except (TypeError, ValueError):
            raise DataError(
                f"{table.place(row)}: {column} is {value!r}", expected="a time in seconds, such as 12.5"
            ) from None
    return found
