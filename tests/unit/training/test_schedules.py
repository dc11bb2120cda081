from __future__ import annotations

import math
from itertools import pairwise

import pytest

from graft.training.schedules import rate_factor


@pytest.mark.parametrize("schedule", ["cosine", "linear", "constant"])
def test_warmup_rises_to_one_then_the_schedule_falls(schedule):
    at = [rate_factor(i / 100, schedule=schedule, warmup_fraction=0.1) for i in range(101)]
    assert at[0] == 0
    assert math.isclose(at[5], 0.5)
    assert math.isclose(at[10], 1)
    assert all(later <= earlier + 1e-12 for earlier, later in pairwise(at[10:]))
    assert math.isclose(at[100], 1.0 if schedule == "constant" else 0.0, abs_tol=1e-12)


def test_middle_of_the_fall():
    assert math.isclose(rate_factor(0.75, schedule="cosine", warmup_fraction=0.0), 0.5 * (1 + math.cos(0.75 * math.pi)))
    assert math.isclose(rate_factor(0.75, schedule="linear", warmup_fraction=0.5), 0.5)
