"""The budget: what runs are reckoned to take, and what they are measured to take."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graft.methods.budget
from conformance.small_methods import Small, make_architecture, settings, small_images
from graft.methods.budget import (
    RunBudget,
    RunCost,
    affordable_folds,
    fewest_steps,
    measuring_s,
    n_planned_runs,
    planned_run_s,
)
from graft.methods.fine_tuning import FineTuned, fine_tune
from graft.methods.lp_ft import LPFT
from graft.methods.partial import Partial
from graft.methods.settings import FineTuning
from graft.methods.where import Where


def budget_of(left: float, *, frozen_s: float = 0.0, n_valid: int = 0, soup: int = 1) -> RunBudget:
    """Return a budget of 100 steps of 0.1 s."""
    method, cost = LPFT(FineTuning(epochs=1)), RunCost(0.1, frozen_s)
    return RunBudget(method, lambda: left, n_train=320, n_valid=n_valid, soup=soup, cost=cost)


# Reckoning


def test_a_run_by_hand() -> None:
    own = FineTuning(epochs=1, batch_size=32, evaluations=6)
    # 100 steps; 6 + 5 looks at 64 examples, 2 batches, a third of a step each.
    seconds = 10 + 11 * 2 * 0.1 / 3
    assert planned_run_s(own, RunCost(0.1), n_train=320) == pytest.approx(1.1 * seconds + 1)
    # All 320 go through the frozen part once, and the 64 held-out ones with each of the five shares.
    assert planned_run_s(own, RunCost(0.1, 0.01), n_train=320) == pytest.approx(1.1 * (seconds + 3.2 + 3.2) + 1)
    # With a validation split that is what is held out.
    seconds = 10 + 11 * 20 * 0.1 / 3 + (320 + 640 + 5 * 640) * 0.01
    assert planned_run_s(own, RunCost(0.1, 0.01), n_train=320, n_valid=640) == pytest.approx(1.1 * seconds + 1)


def test_all_members_of_a_soup_are_counted() -> None:
    assert budget_of(0).planned_s(3) == pytest.approx(4 * budget_of(0).planned_run_s())
    assert budget_of(0, soup=3).planned_s(3) == pytest.approx(6 * budget_of(0).planned_run_s())
    valid = budget_of(0, soup=3, n_valid=64)
    assert valid.planned_s(1) == pytest.approx(3 * valid.planned_run_s())


def test_folds_are_given_up_before_steps() -> None:
    run_s = budget_of(0).planned_run_s()
    assert budget_of(4.1 * run_s).affordable(3) == (3, 1.0)
    assert budget_of(3.9 * run_s).affordable(3) == (2, 1.0)
    assert budget_of(1.0 * run_s).affordable(3) == (1, pytest.approx(0.5))
    assert budget_of(3.9 * run_s, soup=2).affordable(3) == (1, 1.0), "a fold, and two runs on all"
    assert budget_of(1.5 * run_s, soup=2).affordable(3) == (1, pytest.approx(0.5))
    assert affordable_folds(1, run_s=10, seconds=15, soup=3, has_valid=True) == (1, pytest.approx(0.5))
    assert affordable_folds(2, run_s=10, seconds=-5) == (1, 0.0)


def test_the_fewest_steps() -> None:
    assert fewest_steps(1_000, is_cut_short=True, is_kept_anyway=False) == 50
    assert fewest_steps(100, is_cut_short=True, is_kept_anyway=False) == 25
    assert fewest_steps(100, is_cut_short=True, is_kept_anyway=True) == 1
    assert fewest_steps(100, is_cut_short=False, is_kept_anyway=True) == 100


@pytest.mark.parametrize("soup", [1, 3])
@pytest.mark.parametrize("frozen_s", [0.0, 0.01])
def test_shares_use_up_the_time_and_no_more(soup: int, frozen_s: float) -> None:
    """Each run takes its share and what comes around it; the last ones leave a tenth and a second."""
    n_runs, left = n_planned_runs(3, soup=soup), [200.0]
    method = LPFT(FineTuning(epochs=1))
    budget = RunBudget(method, lambda: left[0], n_train=320, soup=soup, cost=RunCost(0.1, frozen_s))
    for number in range(3):
        share = budget.share(n_runs - number)
        assert share == pytest.approx(0.75 * left[0] / (n_runs - number) - 0.5 - 320 * frozen_s)
        left[0] -= share + 320 * frozen_s
    share = budget.share(soup, n_now=soup)
    assert soup * (share + 320 * frozen_s) == pytest.approx(0.9 * left[0] - 1)


# Measuring


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Small:
    return small_images(make_architecture("resnet", tmp_path_factory.mktemp("network") / "n"), n=42)


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, dict[str, Any], FineTuned]]:
    found: list[tuple[Any, dict[str, Any], FineTuned]] = []

    def watched(method: Any, *arguments: Any, **more: Any) -> FineTuned:
        done = fine_tune(method, *arguments, **more)
        found.append((method, more, done))
        return done

    monkeypatch.setattr(graft.methods.budget, "fine_tune", watched)
    return found


def measured(small: Small, method: Any, folder: Path | None) -> RunCost:
    budget = RunBudget(method, lambda: 1_000.0, n_train=42)
    where = Where(device="cpu", precision="fp32", folder=folder)
    return budget.measure(
        small.network, head=small.head, start=small.probe, task=small.task, examples=small.examples, where=where
    )


@pytest.mark.parametrize("has_folder", [True, False])
def test_a_step_is_measured_on_all_examples_and_nothing_stays(
    small: Small, runs: list[Any], tmp_path: Path, has_folder: bool
) -> None:
    cost = measured(small, LPFT(settings()), tmp_path if has_folder else None)
    assert cost.step_s > 0
    assert cost.frozen_s == 0
    assert [(len(more["rows"]), more["n_steps"]) for _, more, _ in runs] == [(2, 1), (42, 4)]
    assert not list(tmp_path.iterdir())


def test_what_is_cached_is_measured_with_its_cache(small: Small, runs: list[Any], tmp_path: Path) -> None:
    cost = measured(small, Partial(1, settings()), tmp_path)
    assert all(method.is_cached for method, _, _ in runs)
    assert len(runs[-1][1]["rows"]) == 16, "two batches of 8"
    assert cost.frozen_s == pytest.approx(runs[-1][2].frozen_s / 16)
    assert cost.frozen_s > 0
    assert not list(tmp_path.iterdir())
    assert measuring_s(settings(), RunCost(1.0, 0.5), n_train=42) == 4 + 16 * 0.5
    assert measuring_s(settings(), RunCost(1.0, 0.5), n_train=10) == 4 + 10 * 0.5


def test_without_the_cache_nothing_is_run_once(small: Small, runs: list[Any], tmp_path: Path) -> None:
    assert measured(small, Partial(1, settings(), is_cached=False), tmp_path).frozen_s == 0
    np.testing.assert_array_equal(runs[-1][1]["rows"], np.arange(42))


def test_traces_of_a_failure_are_removed(small: Small, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: Any, where: Where, **__: Any) -> FineTuned:
        assert where.folder is not None
        where.folder.mkdir()
        raise ValueError("the test")

    monkeypatch.setattr(graft.methods.budget, "fine_tune", fails)
    with pytest.raises(ValueError, match="the test"):
        measured(small, LPFT(settings()), tmp_path)
    assert not list(tmp_path.iterdir())


def slow(step_s: float, clock: list[float], begun: list[int], *, loading_s: float = 0.0) -> Any:
    """Return a `fine_tune` whose steps take `step_s` a batch of 8, the first of all `loading_s` more."""

    def run(
        method: Any, *_: Any, rows: Any, n_steps: int, max_seconds: float | None, where: Where, **__: Any
    ) -> FineTuned:
        began, ends = clock[0], list[float]()
        while len(ends) < n_steps and (not ends or max_seconds is None or ends[-1] < max_seconds):
            clock[0] += step_s * min(len(rows), 8) / 8 + (0.0 if begun else loading_s)
            begun.append(len(rows))
            ends.append(clock[0] - began)
        assert where.folder is not None
        where.folder.mkdir(parents=True, exist_ok=True)
        (where.folder / "steps.jsonl").write_text("".join(f'{{"seconds": {end}}}\n' for end in ends))
        return FineTuned(None, None, 0.1, 1)  # type: ignore[arg-type]

    return run


@pytest.mark.parametrize(
    ("step_s", "loading_s", "expected"),
    [
        (0.1, 0.0, [2, 42, 42, 42, 42]),
        (14.0, 0.0, [2, 42]),  # one whole step uses up more than a tenth of the time left
        (0.1, 20.0, [2, 2, 42, 42, 42, 42]),  # what was slow was the loading of libraries
        (80.0, 0.0, [2, 2]),  # no whole step is tried
    ],
)
def test_measuring_ends_where_it_takes_too_much_of_the_time_left(
    step_s: float, loading_s: float, expected: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, begun = [0.0], list[int]()
    monkeypatch.setattr(graft.methods.budget, "fine_tune", slow(step_s, clock, begun, loading_s=loading_s))
    budget = RunBudget(LPFT(settings()), lambda: 100.0 - clock[0], n_train=42)
    cost = budget.measure(None, where=Where(device="cpu", folder=tmp_path))  # type: ignore[arg-type]
    assert begun == expected
    assert cost.step_s == pytest.approx(step_s)
    assert not list(tmp_path.iterdir())
