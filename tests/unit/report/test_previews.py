from __future__ import annotations

from pathlib import Path

from graft.core.types import Preview
from graft.report.previews import MOST_BYTES, read_previews, write_previews


def test_they_come_back_in_order_and_stop_where_the_bytes_are_spent(tmp_path: Path) -> None:
    path = tmp_path / "previews.parquet"
    large = bytes(MOST_BYTES // 2)
    given = {
        "a\udce9": Preview(text="t" * 5000),
        "b": Preview(picture=large),
        "c": Preview(sound=large),
        "d": Preview(picture=b"small"),
    }
    write_previews(path, given)
    found = read_previews(path)
    assert list(found) == ["a\\udce9", "b", "d"]
    assert found["a\\udce9"] == Preview(text="t" * 1000)
    assert found["d"] == Preview(picture=b"small")


def test_none_at_all(tmp_path: Path) -> None:
    write_previews(tmp_path / "previews.parquet", {})
    assert read_previews(tmp_path / "previews.parquet") == {}
