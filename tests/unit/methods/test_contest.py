"""The contest: what is held out from whom, and what is kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

import graft.methods.budget
import graft.methods.contest_runs
from conformance.small_methods import Small, make_architecture, settings, small_images, weights_of
from graft.backbones.heads import Head
from graft.core.errors import Interrupted, UsageError
from graft.methods.arena import Arena
from graft.methods.contest import Contest, hold_contest, n_contest_folds, refuse_soup
from graft.methods.fine_tuning import FineTuned, fine_tune
from graft.methods.head_only import HeadFit, HeadOnly
from graft.methods.lp_ft import LPFT
from graft.methods.partial import Partial
from graft.methods.weights import interpolate, uniform_soup
from graft.methods.where import Where

Logits = NDArray[np.float32]


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


# The whole contest, on 30 noisy pictures and 12 more


@dataclass
class Ring:
    """All that a contest is held with, and the runs that it made."""

    small: Small
    features: Logits
    probe: HeadFit
    runs: list[dict[str, Any]]
    tuned: list[FineTuned]
    die_in: int | None = None

    def hold(self, folder: Path, *, method: Any = None, has_valid: bool = False, **more: Any) -> Contest:
        self.runs.clear()
        self.tuned.clear()
        valid = self.probe.logits(self.features[30:]) if has_valid else None
        own = {"device": "cpu", "precision": "fp32", "folder": folder, "resume": more.pop("resume", False)}
        arena = Arena(
            network=self.small.network,
            head=self.small.head,
            probe=self.probe,
            features=self.features[:30],
            task=self.small.task,
            examples=self.small.examples,
            n_train=30,
            valid_logits=valid,
            where=Where(**own),
            seed=more.pop("seed", 0),
        )
        return hold_contest(method or fast(), arena, **more)

    def network_of(self, weights: Any) -> nn.Module:
        from copy import deepcopy

        own = deepcopy(self.small.network)
        own.load_state_dict(weights)
        return own

    @property
    def probe_weights(self) -> Any:
        from copy import deepcopy

        own = deepcopy(self.small.network)
        Head(own, self.small.head).set(torch.from_numpy(self.probe.weights), torch.from_numpy(self.probe.bias))
        return weights_of(own)


def fast(**changes: Any) -> LPFT:
    return LPFT(settings(**{"epochs": 0.01, "fewest_steps": 6, "learning_rate": 3e-3, **changes}))


def slow() -> LPFT:
    """Return a method that leaves everything nearly as it is."""
    return fast(learning_rate=1e-9)


@pytest.fixture
def ring(tmp_path_factory: pytest.TempPathFactory, prepared: Ring, monkeypatch: pytest.MonkeyPatch) -> Ring:
    def watched(*arguments: Any, **more: Any) -> FineTuned:
        if prepared.die_in == len(prepared.runs):
            raise Interrupted("stopped by a test")
        prepared.runs.append(more)
        prepared.tuned.append(fine_tune(*arguments, **more))
        return prepared.tuned[-1]

    monkeypatch.setattr(graft.methods.contest_runs, "fine_tune", watched)
    monkeypatch.setattr(graft.methods.budget, "fine_tune", watched)
    prepared.die_in = None
    return prepared


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Ring:
    small = small_images(make_architecture("resnet", tmp_path_factory.mktemp("network") / "n"), n=42, noise=150)
    network = small.network
    features = small.features(42)
    probe = HeadOnly(n_folds=3).fit(features[:30], small.examples.targets[:30], n_classes=2)
    Head(network, small.head).set(torch.from_numpy(probe.weights), torch.from_numpy(probe.bias))
    return Ring(small, features, probe, [], [])


def equal(first: nn.Module | None, second: nn.Module | None) -> bool:
    assert first is not None
    assert second is not None
    other = weights_of(second)
    return all(torch.equal(tensor, other[name]) for name, tensor in weights_of(first).items())


def figures_of(contest: Contest) -> dict[str, Any]:
    return {key: value for key, value in contest.facts.items() if not key.startswith("seconds")}


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
    fold, *last = [run["max_seconds"] for run in ring.runs if "max_seconds" in run]
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
