"""What corruptions may cost: the plan keeps to its time, and gives up severities first, corruptions last."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import pytest

from graft.api.config import FitConfig
from graft.api.corrupting import corruption_figures, plan_corruptions
from graft.api.passes import Joined
from graft.core.types import Predictions

NAMES = tuple("abcdefg")


@pytest.mark.parametrize("seconds", [0.5, 3.0, 10.0, 30.0, 200.0])
@pytest.mark.parametrize("examples_a_second", [3.0, 40.0, 500.0])
@pytest.mark.parametrize("n_extra", [0, 8])
def test_the_plan_fits_into_its_time(seconds: float, examples_a_second: float, n_extra: int) -> None:
    plan = plan_corruptions(NAMES, n=300, examples_a_second=examples_a_second, seconds=seconds, n_extra=n_extra)
    passes = plan.n * (len(plan.corruptions) * len(plan.severities) + n_extra)
    assert not plan.corruptions or passes <= seconds * examples_a_second
    assert bool(plan.left_out) == (plan.n < 300 or len(plan.severities) < 5 or len(plan.corruptions) < 7)
    assert 3 in plan.severities
    assert plan.n >= 30


def test_what_is_given_up_first() -> None:
    def plan(seconds: float) -> tuple[int, int, int]:
        found = plan_corruptions(NAMES, n=300, examples_a_second=100.0, seconds=seconds)
        return len(found.corruptions), len(found.severities), found.n

    assert plan(np.inf) == (7, 5, 300)
    assert plan(60.0) == (7, 5, 171)
    assert plan(30.0) == (7, 3, 142)
    assert plan(10.0) == (7, 1, 142)
    assert plan(1.2) == (4, 1, 30)
    assert plan(0.1)[0] == 0


def test_few_examples_are_all_taken() -> None:
    found = plan_corruptions(NAMES, n=40, examples_a_second=100.0, seconds=20.0)
    assert (found.n, len(found.severities), found.left_out) == (40, 5, "")


class _Some:
    def __init__(self, *values: bytes) -> None:
        self.values = values

    def __len__(self) -> int:
        return len(self.values)

    def read(self, index: int) -> bytes:
        return self.values[index]

    def place(self, index: int) -> str:
        return f"{len(self.values)}:{index}"


def test_lists_one_behind_the_other() -> None:
    both = Joined([_Some(b"a", b"b"), _Some(), _Some(b"c")])
    assert [both.read(i) for i in range(len(both))] == [b"a", b"b", b"c"]
    assert both.place(2) == "1:0"


@pytest.mark.parametrize(
    ("n", "seconds", "why"),
    [(12, 60.0, "12 labelled test examples, of at least 30"), (40, 0.4, "the time limit leaves no time for it")],
)
def test_what_is_not_looked_at_has_its_row_in_the_verdict(n: int, seconds: float, why: str) -> None:
    y, nothing = np.arange(n) % 2, cast(Any, None)
    test = Predictions([str(i) for i in range(n)], y, np.eye(2)[y], ("a", "b"), "test")
    figures, claims = corruption_figures(
        nothing,
        test,
        FitConfig(model="m", out="run"),
        extractor=nothing,
        kept=nothing,
        decision=nothing,
        probe=None,
        seconds=seconds,
        say=lambda text: None,
    )
    assert figures == {}
    assert [(c.name, c.answer, c.sentence) for c in claims] == [
        ("shift:distortions", "can't tell", f"Not judged: {why}.")
    ]
