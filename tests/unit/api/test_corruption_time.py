"""What corruptions may cost: foreseen, reserved, and the budget that a run gives them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from graft.api.config import FitConfig
from graft.api.corruption_time import budget_s, foreseen_s, reserved_s
from graft.api.plan_estimates import Job
from graft.api.plan_measures import PassMeasure
from graft.data.corruptions.corrupted import SEVERITIES, corruptions_of
from graft.data.kinds import PICTURE, TEXT

AUTO = FitConfig(model="m", out="run")
ALL = replace(AUTO, corruptions="all")


def test_what_is_foreseen_is_all_of_it_or_the_budget() -> None:
    passes = 5 * len(corruptions_of(TEXT)) + 1
    quick = {"n_test": 100, "example_s": 0.001, "is_tuned": False}
    assert foreseen_s(AUTO, TEXT, seconds=1000.0, **quick) == pytest.approx(passes * 100 * 0.001 / 0.9)
    assert foreseen_s(AUTO, TEXT, seconds=1000.0, **quick | {"is_tuned": True}) > passes * 0.1 / 0.9
    slow = {"n_test": 5_000, "example_s": 1.0, "is_tuned": True}
    assert foreseen_s(AUTO, TEXT, seconds=100.0, **slow) == budget_s(AUTO, 100.0) == 24
    assert foreseen_s(AUTO, TEXT, seconds=1.0, **slow) == budget_s(AUTO, 1.0) == 1
    n = len(corruptions_of(TEXT))
    everything = 300 * (len(SEVERITIES) * n + 1 + n + 1) / 0.9
    assert foreseen_s(ALL, TEXT, seconds=1.0, **slow) == pytest.approx(everything)


def test_none_and_too_few_take_nothing() -> None:
    none = replace(AUTO, corruptions="none")
    for config, n in ((none, 500), (AUTO, 29)):
        assert foreseen_s(config, PICTURE, n_test=n, example_s=1.0, seconds=50.0, is_tuned=True) == 0
        assert reserved_s(config, PICTURE, n_test=n, example_s=1.0, limit_s=60.0) == 0
    assert reserved_s(ALL, PICTURE, n_test=29, example_s=0.001, limit_s=60.0) > 0


def test_a_time_limit_keeps_a_tenth_and_none_keeps_nothing() -> None:
    own: dict[str, Any] = {"n_test": 500, "example_s": 0.1}
    assert reserved_s(AUTO, PICTURE, **own, limit_s=None) == 0
    assert reserved_s(AUTO, PICTURE, **own, limit_s=20.0) == 2
    assert reserved_s(AUTO, PICTURE, **own, limit_s=600.0) == 60
    assert reserved_s(ALL, PICTURE, **own, limit_s=600.0) == 300
    assert reserved_s(AUTO, PICTURE, n_test=100, example_s=1e-4, limit_s=600.0) < 1


def job(**options: Any) -> Job:
    config = FitConfig(model="m", out="run", workers=0, **options)
    measured = PassMeasure(None, 0.5, 0.02, None, None, 0)  # type: ignore[arg-type]
    return Job(config, PICTURE, 800, 0, 400, False, 3, 10, 10, 1.0, 0.005, 0, 2.0, False, measured)


def test_plan_foresees_them_and_a_limit_bounds_them() -> None:
    free, none = job().seconds(), job(corruptions="none").seconds()
    assert none["corruptions"] == 0
    assert free["corruptions"] == pytest.approx(0.25 * (none["total"] - 4))
    assert free["total"] == pytest.approx(none["total"] + free["corruptions"])
    limited = job(time_limit="50s")
    assert limited.reserved_s == 5
    assert job(time_limit="50s", corruptions="none").reserved_s == 0
    assert limited.seconds()["corruptions"] == 0
    assert job(time_limit="52s").seconds()["total"] == pytest.approx(52)
