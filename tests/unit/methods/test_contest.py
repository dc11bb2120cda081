"""The contest: what is held out from whom, and what is kept."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from graft.core.errors import Interrupted, UsageError
from graft.methods.contest import n_contest_folds, refuse_soup
from graft.methods.partial import Partial
from graft.methods.weights import interpolate

from .contest_ring import Ring, equal, fast, figures_of, slow


@pytest.mark.parametrize(
    ("n", "folds", "expected"),
    [(30, 5, 5), (250, 5, 5), (251, 5, 3), (1_000, 5, 3), (1_001, 5, 2), (3_001, 5, 1), (30, 2, 2)],
)
def test_folds(n: int, folds: int, expected: int) -> None:
    assert n_contest_folds(n, folds) == expected


def test_a_greedy_soup_needs_a_judge() -> None:
    with pytest.raises(UsageError, match="greedy soup without a validation split"):
        refuse_soup(2, True, False)
    refuse_soup(2, True, True)
    refuse_soup(2, False, False)
    refuse_soup(1, True, False)


def test_each_fold_is_held_out_from_its_run_and_the_last_run_sees_all(ring: Ring, tmp_path: Path) -> None:
    contest = ring.hold(tmp_path, is_kept_anyway=True)
    assert len(ring.runs) == 4
    for k, run in enumerate(ring.runs[:3]):
        np.testing.assert_array_equal(run["rows"], np.flatnonzero(ring.probe.folds != k))
        np.testing.assert_array_equal(run["held_out_rows"], np.flatnonzero(ring.probe.folds == k))
        assert not np.array_equal(run["start"][0], ring.probe.weights), "the probe of all examples has seen the fold"
    assert ring.runs[3]["rows"].tolist() == list(range(30))
    np.testing.assert_array_equal(ring.runs[3]["start"][0], ring.probe.weights)
    assert "held_out_rows" not in ring.runs[3]
    assert len({run["seed"] for run in ring.runs}) == 4
    assert sorted(contest.rows) == list(range(30))
    assert contest.facts["held_out"] == "3 of 3 folds"
    assert contest.verdict is not None
    assert contest.verdict.logits.shape == (30, 2)
    assert contest.final is ring.tuned[3]


def test_the_network_is_the_mix_with_the_temperature_in_its_head(ring: Ring, tmp_path: Path) -> None:
    contest = ring.hold(tmp_path, is_kept_anyway=True)
    verdict, final = contest.verdict, ring.tuned[3].network
    assert verdict is not None
    assert contest.network is not None
    mixed = ring.network_of(interpolate(ring.probe_weights, final.state_dict(), verdict.alpha))
    expected = ring.small.logits(mixed) / verdict.temperature
    np.testing.assert_allclose(ring.small.logits(contest.network), expected, rtol=1e-4, atol=1e-5)
    assert contest.facts["temperature"] == verdict.temperature


def test_the_judged_logits_are_those_of_the_folds(ring: Ring, tmp_path: Path) -> None:
    """Without mixing: of each fold, what the run that had not seen it says, over the temperature."""
    contest = ring.hold(tmp_path, alphas=(1.0,), n_folds=2)
    verdict = contest.verdict
    assert verdict is not None
    said = [ring.small.logits(ring.tuned[k].network)[np.flatnonzero(ring.probe.folds == k)] for k in (0, 1)]
    expected = np.concatenate(said) / verdict.temperature
    np.testing.assert_allclose(verdict.logits, expected, rtol=1e-3, atol=1e-4)
    np.testing.assert_array_equal(contest.rows, np.concatenate([np.flatnonzero(ring.probe.folds == k) for k in (0, 1)]))
    assert contest.facts["held_out"] == "2 of 3 folds"


def test_what_is_no_better_is_not_trained_once_more(ring: Ring, tmp_path: Path) -> None:
    told: list[str] = []
    contest = ring.hold(tmp_path, method=slow(), say=told.append)
    assert contest.verdict is not None
    assert not contest.verdict.is_better
    assert (contest.final, contest.network) == (None, None)
    assert len(ring.runs) == 3
    assert contest.facts["is_better"] is False
    assert "does not beat the probe on 30 held-out examples" in told[0]


def test_what_was_asked_for_by_name_is_kept_anyway(ring: Ring, tmp_path: Path) -> None:
    contest = ring.hold(tmp_path, method=slow(), is_kept_anyway=True)
    assert contest.verdict is not None
    assert not contest.verdict.is_better
    assert contest.network is not None
    assert contest.final is not None
    assert len(ring.runs) == 4


def test_the_same_contest_twice(ring: Ring, tmp_path: Path) -> None:
    first = ring.hold(tmp_path / "a", is_kept_anyway=True)
    second = ring.hold(tmp_path / "b", is_kept_anyway=True)
    assert equal(first.network, second.network)
    assert figures_of(first) == figures_of(second)
    assert not equal(first.network, ring.hold(tmp_path / "c", is_kept_anyway=True, seed=1).network)


@pytest.mark.parametrize("n_done", [1, 2, 3])
def test_resuming_skips_finished_folds_and_ends_the_same(ring: Ring, tmp_path: Path, n_done: int) -> None:
    whole = ring.hold(tmp_path / "whole", is_kept_anyway=True)
    ring.die_in = n_done
    with pytest.raises(Interrupted):
        ring.hold(tmp_path / "cut", is_kept_anyway=True)
    assert len(ring.runs) == n_done
    ring.die_in = None
    resumed = ring.hold(tmp_path / "cut", is_kept_anyway=True, resume=True)
    assert len(ring.runs) == 4 - n_done
    assert equal(whole.network, resumed.network)
    assert figures_of(whole) == figures_of(resumed)
    assert whole.verdict is not None
    assert resumed.verdict is not None
    np.testing.assert_array_equal(whole.verdict.logits, resumed.verdict.logits)


def test_without_resuming_nothing_is_skipped(ring: Ring, tmp_path: Path) -> None:
    ring.hold(tmp_path)
    n = len(ring.runs)
    ring.hold(tmp_path)
    assert len(ring.runs) == n


def test_folds_that_patience_ended_tell_the_last_run_how_long_to_train(ring: Ring, tmp_path: Path) -> None:
    """At a rate that ruins the network most runs see their best figures early, and patience ends them."""
    method = fast(learning_rate=0.5, evaluations=6, patience=1, fewest_steps=30)
    contest = ring.hold(tmp_path, method=method, is_kept_anyway=True)
    assert [run.training.ended_by for run in ring.tuned[:3]].count("patience") >= 2
    best = sorted(run.training.best_step for run in ring.tuned[:3])
    assert ring.runs[3]["n_steps"] == best[1] < 30
    assert contest.facts["n_steps"] == best[1]


# A validation split


def test_a_validation_split_is_the_judge(ring: Ring, tmp_path: Path) -> None:
    contest = ring.hold(tmp_path, has_valid=True, is_kept_anyway=True)
    assert len(ring.runs) == 1
    assert ring.runs[0]["rows"].tolist() == list(range(30))
    assert ring.runs[0]["held_out_rows"].tolist() == contest.rows.tolist() == list(range(30, 42))
    np.testing.assert_array_equal(ring.runs[0]["start"][0], ring.probe.weights)
    assert contest.facts["held_out"] == "valid"
    assert contest.final is ring.tuned[0]
    assert contest.verdict is not None
    assert contest.network is not None
    mixed = ring.network_of(interpolate(ring.probe_weights, ring.tuned[0].network.state_dict(), contest.verdict.alpha))
    expected = ring.small.logits(mixed)[30:] / contest.verdict.temperature
    np.testing.assert_allclose(contest.verdict.logits, expected, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(ring.small.logits(contest.network)[30:], expected, rtol=1e-3, atol=1e-4)


def test_a_validation_split_with_cached_activations(ring: Ring, tmp_path: Path) -> None:
    contest = ring.hold(tmp_path, method=Partial(1, fast().settings), has_valid=True, is_kept_anyway=True)
    assert contest.network is not None
