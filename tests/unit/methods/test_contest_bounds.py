"""Soups of several runs, and a bound on the time of a contest."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from conformance.small_methods import weights_of
from graft.core.errors import Interrupted
from graft.methods.contest import Contest
from graft.methods.weights import uniform_soup

from .contest_ring import Ring

# Soups


def without_temperature(ring: Ring, contest: Contest) -> dict[str, Any]:
    assert contest.network is not None
    assert contest.verdict is not None
    weights = weights_of(contest.network)
    for name in (f"{ring.small.head}.weight", f"{ring.small.head}.bias"):
        weights[name] *= contest.verdict.temperature
    return weights


def test_a_soup_of_two_last_runs(ring: Ring, tmp_path: Path) -> None:
    contest = ring.hold(tmp_path, soup=2, alphas=(1.0,), is_kept_anyway=True)
    assert len(ring.runs) == 3 + 2
    assert ring.runs[3]["seed"] != ring.runs[4]["seed"]
    expected = uniform_soup([run.network.state_dict() for run in ring.tuned[3:]])
    for name, tensor in without_temperature(ring, contest).items():
        torch.testing.assert_close(tensor, expected[name])
    assert any("mean of 2 runs" in note for note in contest.notes)


@pytest.mark.parametrize("is_greedy", [True, False])
def test_a_soup_of_two_runs_with_a_validation_split(ring: Ring, tmp_path: Path, is_greedy: bool) -> None:
    contest = ring.hold(tmp_path, soup=2, is_greedy=is_greedy, has_valid=True, alphas=(1.0,), is_kept_anyway=True)
    assert len(ring.runs) == 2
    states: list[Any] = [run.network.state_dict() for run in ring.tuned]
    found = without_temperature(ring, contest)

    def is_soup_of(*runs: Any) -> bool:
        expected = uniform_soup(runs)
        return all(torch.allclose(found[name], tensor) for name, tensor in expected.items())

    assert is_soup_of(*states) or (is_greedy and (is_soup_of(states[0]) or is_soup_of(states[1])))


def test_a_soup_within_a_bound_on_time_shares_what_is_left_by_runs(ring: Ring, tmp_path: Path) -> None:
    contest = ring.hold(tmp_path, soup=2, seconds_left=lambda: 1_000.0, is_kept_anyway=True, n_folds=1)
    assert contest.facts["n_steps"] == 6
    told = [run for run in ring.runs if run.get("n_steps") not in (1, 4)]  # those measure what a run costs
    fold, *last = [run["max_seconds"] for run in told if "max_seconds" in run]
    assert fold == pytest.approx(0.75 * 1_000 / 3 - 0.5)
    assert last == [pytest.approx((0.9 * 1_000 - 1) / 2)] * 2


# A bound on time


def test_where_next_to_nothing_is_left_nothing_is_done(ring: Ring, tmp_path: Path) -> None:
    contest = ring.hold(tmp_path, seconds_left=lambda: 0.01)
    assert contest.verdict is None
    assert contest.network is None
    assert "left out" in contest.notes[0]
    assert contest.facts["left_out"] == contest.notes[0]
    assert not list(tmp_path.iterdir())


def test_with_time_enough_all_is_done_as_planned(ring: Ring, tmp_path: Path) -> None:
    contest = ring.hold(tmp_path, seconds_left=lambda: 1_000.0, is_kept_anyway=True)
    assert len(ring.runs) == 2 + 4  # two to measure
    assert contest.facts["n_steps"] == 6
    assert contest.notes == ()


def out_of_time() -> tuple[Callable[[], float], Callable[[str], None]]:
    """Return seconds that are left, many until the verdict is told, then next to none; and who is told."""
    left = [1_000.0]

    def say(text: str) -> None:
        if "the probe on" in text:
            left[0] = 0.1

    return lambda: left[0], say


def test_without_time_for_the_last_run_the_held_out_one_is_kept(ring: Ring, tmp_path: Path) -> None:
    seconds_left, say = out_of_time()
    contest = ring.hold(tmp_path, seconds_left=seconds_left, say=say, is_kept_anyway=True, alphas=(1.0,))
    assert any("the held-out run is kept" in note for note in contest.notes)
    assert contest.final is ring.tuned[-1]
    for name, tensor in without_temperature(ring, contest).items():
        torch.testing.assert_close(tensor, ring.tuned[-1].network.state_dict()[name])


def test_without_time_after_a_resume_a_short_last_run_is_made(ring: Ring, tmp_path: Path) -> None:
    """Of folds that an earlier process finished there are logits, but no weights that could be kept."""
    ring.die_in = 3
    with pytest.raises(Interrupted):
        ring.hold(tmp_path, is_kept_anyway=True)
    ring.die_in = None
    seconds_left, say = out_of_time()
    contest = ring.hold(tmp_path, seconds_left=seconds_left, say=say, is_kept_anyway=True, resume=True)
    assert contest.network is not None
    assert contest.final is ring.tuned[-1]
    assert contest.final.training.ended_by in ("time", "steps")
