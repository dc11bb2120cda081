from __future__ import annotations

import io

import pytest
from rich.console import Console

from graft.core import progress
from graft.core.progress import count_progress


def test_nothing_is_shown_without_a_console() -> None:
    with count_progress("features", 10, unit="pictures", console=None) as advance:
        advance(10)


def test_lines_now_and_then_where_there_is_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    file = io.StringIO()
    with count_progress("features", 1000, unit="pictures", console=Console(file=file, width=200)) as advance:
        advance(1)
    assert file.getvalue() == ""
    monkeypatch.setattr(progress, "_LINE_EVERY_S", 0.0)
    with count_progress("features", 1000, unit="pictures", console=Console(file=file, width=200)) as advance:
        advance(250)
        advance(250)
    lines = file.getvalue().splitlines()
    assert len(lines) == 2
    assert "features: 500 of 1,000" in lines[1]
    assert "pictures/s" in lines[1]
    assert "s left" in lines[1]


def test_a_bar_in_a_terminal_leaves_no_trace_behind() -> None:
    file = io.StringIO()
    console = Console(file=file, force_terminal=True, width=100)
    with count_progress("features", 4, unit="pictures", console=console) as advance:
        advance(4)
    assert "features" in file.getvalue()
