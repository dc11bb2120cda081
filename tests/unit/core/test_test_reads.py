from __future__ import annotations

import os
from pathlib import Path

import pytest

from graft.core.test_reads import count_split_read


def test_readings_of_a_split_are_counted_over_runs(tmp_path: Path) -> None:
    assert count_split_read(tmp_path / "cache", "f", run="a") == (1, 1)
    assert count_split_read(tmp_path / "cache", "f", run="b") == (2, 2)
    assert count_split_read(tmp_path / "cache", "f", run="a") == (3, 2)
    assert count_split_read(tmp_path / "cache", "another", run="a") == (1, 1)


def test_what_cannot_be_read_is_passed_over(tmp_path: Path) -> None:
    count_split_read(tmp_path, "f", run="a")
    (file,) = (tmp_path / "test-reads").iterdir()
    file.write_bytes(file.read_bytes() + b'{"run": "b"\n[]\n\xff\n')
    assert count_split_read(tmp_path, "f", run="c") == (2, 2)


def test_a_cache_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert count_split_read(tmp_path / "file", "f", run="a") is None


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_cache_that_is_read_only_is_no_error(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    assert count_split_read(tmp_path, "f", run="a") is None
