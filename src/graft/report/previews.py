"""Small pictures, sounds and texts of the examples that a report shows, kept in the run's folder as one file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from graft.core.files import atomic_path
from graft.core.types import Preview
from graft.report.wording import storable

__all__ = ["MOST_BYTES", "read_previews", "write_previews"]

MOST_BYTES = 2_600_000
"""Of all that is kept; a report holds no more."""

_MOST_TEXT = 1_000


def write_previews(path: Path, previews: Mapping[str, Preview]) -> None:
    """Write a row an example, first come first served, until their bytes are spent: id, picture, sound, text.

    Raises
    ------
    ResourceError
        When the file cannot be written.
    """
    import pyarrow as pa
    import pyarrow.parquet as parquet

    kept: list[tuple[str, Preview]] = []
    left = MOST_BYTES
    for name, shown in previews.items():
        size = len(shown.picture) + len(shown.sound) + min(len(shown.text), _MOST_TEXT)
        if size <= left:
            kept.append((name, shown))
            left -= size
    columns = {
        "id": pa.array([storable(name) for name, _ in kept], pa.string()),
        "picture": pa.array([shown.picture or None for _, shown in kept], pa.binary()),
        "sound": pa.array([shown.sound or None for _, shown in kept], pa.binary()),
        "text": pa.array([storable(shown.text[:_MOST_TEXT]) or None for _, shown in kept], pa.string()),
    }
    with atomic_path(path) as temporary:
        parquet.write_table(pa.table(columns), temporary)


def read_previews(path: Path) -> dict[str, Preview]:
    """Return what `write_previews` kept, by id, in its order."""
    import pyarrow.parquet as parquet

    return {
        row["id"]: Preview(row["picture"] or b"", row["text"] or "", row["sound"] or b"")
        for row in parquet.read_table(path).to_pylist()
    }
