"""`graft rank` from data to table and JSON, on tiny pictures and networks."""

from __future__ import annotations

from pathlib import Path

import pytest


def test_rank_orders_named_models_and_leaves_the_test_split_alone(
    letters: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pass
