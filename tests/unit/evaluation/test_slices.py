from __future__ import annotations

import numpy as np

from graft.evaluation.slices import find_slices


def test_parts_of_a_column_of_numbers_are_written_as_short_as_keeps_them_apart() -> None:
    rng = np.random.default_rng(0)
    columns = {"loudness": np.linspace(-30.8249, -19.9213, 80), "bytes": np.linspace(1_000.5, 90_000.5, 80)}
    found = find_slices(rng.random(80) < 0.5, columns)
    told = {part.value for part in found if part.column == "loudness"}
    assert told == {"−31 to −28", "−28 to −25", "−25 to −23", "−23 to −20"}
    assert all("." not in part.value for part in found)
