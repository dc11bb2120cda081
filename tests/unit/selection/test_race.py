"""Races of short runs: who leads, what is not run twice, and that it does not matter where trials run."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from conformance.small_methods import make_architecture, settings, small_images
from graft.backbones.heads import Head
from graft.core.errors import UsageError
from graft.core.threads import with_threads
from graft.methods.arena import Arena
from graft.methods.head_only import HeadOnly
from graft.methods.lora import LoRA
from graft.methods.lp_ft import LPFT
from graft.methods.partial import Partial
from graft.methods.where import Where
from graft.selection.learning_rate import rate_contestants
from graft.selection.race import Contestant, Race, Rung, hold_race
from graft.selection.race_journal import Journal
from graft.selection.race_strategies import contestant_of, race_strategies
from graft.selection.trials import DIVERGED_LOSS, Trial, TrialBed, TrialResult, run_trial, trial_bed, with_rate
from graft.selection.trials_executors import InTurn, LocalProcesses, RayCluster, executor_for

RUNGS = (Rung(0.25, n_repeats=2, n_kept=2), Rung(0.5))
METHOD = LPFT(settings(epochs=0.01, fewest_steps=16, learning_rate=None))


class Counted:
    """Runs trials in turn and keeps which; may die before one."""

    def __init__(self, *, die_before: int | None = None) -> None:
        self.keys: list[Any] = []
        self._die_before = die_before

    def run(self, bed: TrialBed, trials: Sequence[Trial]) -> Iterator[TrialResult]:
        for trial in trials:
            if len(self.keys) == self._die_before:
                raise KeyboardInterrupt
            self.keys.append(trial.key)
            yield run_trial(bed, trial)


@pytest.fixture(scope="module")
def bed(tmp_path_factory: pytest.TempPathFactory) -> TrialBed:
    small = small_images(make_architecture("resnet", tmp_path_factory.mktemp("network") / "n"), n=30, noise=150)
    features = small.features(30)
    probe = HeadOnly(n_folds=3).fit(features, small.examples.targets, n_classes=2)
    network = small.network
    Head(network, small.head).set(torch.from_numpy(probe.weights), torch.from_numpy(probe.bias))
    where = Where(device="cpu", precision="fp32", folder=tmp_path_factory.mktemp("race"))
    return trial_bed(
        Arena(
            network=network, head=small.head, probe=probe, features=features, task=small.task, examples=small.examples,
            n_train=30, where=where,
        )
    )  # fmt: skip


def figures(race: Race) -> list[tuple[Any, ...]]:
    return [(one.name, one.rung, one.n_steps, one.log_losses, one.accuracy) for one in race.standings]


def test_short_runs_decide_who_runs_longer(bed: TrialBed) -> None:
    counted = Counted()
    field = rate_contestants(METHOD, 1e-3, factors=(1e-6, 1.0, 3.0))
    race = hold_race(field, bed, RUNGS, executor=counted)
    names = [one.name for one in field]
    assert counted.keys[:6] == [(name, 4, repeat) for name in names for repeat in range(2)]
    assert [key[1:] for key in counted.keys[6:]] == [(8, 0)] * 2
    assert [one.rung for one in race.standings] == [1, 1, 0]
    assert race.leader.log_loss <= race.standings[1].log_loss
    assert race.leader.log_loss_difference == 0
    assert race.standings[1].log_loss_difference >= 0
    assert race.n_steps == 6 * 4 + 2 * 8
    losses, is_right = race.table()
    assert losses.shape == is_right.shape == (10, 3)
    assert race.selection() is not None


def test_several_processes_give_what_one_gives(bed: TrialBed) -> None:
    field = rate_contestants(METHOD, 1e-3, factors=(1.0, 3.0))
    with with_threads(1):  # as each of the processes has: sums over two threads round differently
        alone = hold_race(field, bed, RUNGS)
    assert figures(hold_race(field, bed, RUNGS, executor=LocalProcesses(2))) == figures(alone)


def test_a_killed_race_goes_on_where_it_was(bed: TrialBed, tmp_path: Path) -> None:
    field = rate_contestants(METHOD, 1e-3, factors=(1.0, 3.0))
    whole = hold_race(field, bed, RUNGS)
    first = Counted(die_before=3)
    with pytest.raises(KeyboardInterrupt):
        hold_race(field, bed, RUNGS, executor=first, journal=Journal(tmp_path, identity={"seed": 0}))
    second = Counted()
    race = hold_race(field, bed, RUNGS, executor=second, journal=Journal(tmp_path, identity={"seed": 0}))
    assert not set(first.keys) & set(second.keys)
    assert len(first.keys) + len(second.keys) == len(whole.results)
    assert figures(race) == figures(whole)
    third = Counted()
    hold_race(field, bed, RUNGS, executor=third, journal=Journal(tmp_path, identity={"seed": 0}))
    assert third.keys == []
    with pytest.raises(UsageError, match="other data, model or options"):
        Journal(tmp_path, identity={"seed": 1})


def test_optuna_reads_the_journal(bed: TrialBed, tmp_path: Path) -> None:
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    field = rate_contestants(METHOD, 1e-3, factors=(1e-6, 1.0, 3.0))
    race = hold_race(field, bed, RUNGS, journal=Journal(tmp_path, identity={}))
    storage = JournalStorage(JournalFileBackend(str(tmp_path / "journal.log")))
    study = optuna.load_study(storage=storage, study_name="race")
    assert study.best_trial.user_attrs["name"] == race.leader.name
    assert study.best_trial.params["learning_rate"] == pytest.approx(race.leader.learning_rate)
    assert sorted(trial.state.name for trial in study.trials) == ["COMPLETE", "COMPLETE", "PRUNED"]


def test_a_run_that_comes_apart_is_last_and_no_error(bed: TrialBed) -> None:
    wild = LPFT(settings(fewest_steps=60, epochs=0.01, optimizer="sgd", clip_norm=None))
    field = rate_contestants(wild, 1e-3, factors=(1.0, 1e6))
    race = hold_race(field, bed, (Rung(1.0),))
    assert race.leader.name == field[0].name
    assert race.standings[1].has_diverged
    assert race.standings[1].log_loss == DIVERGED_LOSS


def test_a_race_without_time_ends_after_its_first_rung(bed: TrialBed) -> None:
    told: list[str] = []
    left = iter([600.0, 0.0])  # before the first rung, before the second
    field = rate_contestants(METHOD, 1e-3, factors=(1.0, 3.0))
    race = hold_race(field, bed, RUNGS, seconds_left=lambda: next(left), say=told.append)
    assert race.ended_by == "time"
    assert {one.rung for one in race.standings} == {0}
    assert "ends after 1 of 2 rungs" in told[0]


def test_of_equals_the_first_leads(bed: TrialBed) -> None:
    method = with_rate(METHOD, 1e-3)
    race = hold_race([Contestant("z", method), Contestant("a", method)], bed, (Rung(0.25, n_kept=1), Rung(0.5)))
    assert [one.name for one in race.standings] == ["z", "a"]


def test_strategies_share_one_leaderboard(bed: TrialBed) -> None:
    counted = Counted()
    methods = [Partial(1, METHOD.settings), METHOD, LoRA(rank=4, alpha=8, settings=METHOD.settings)]
    found = race_strategies(methods, bed, strengths=("none", "light"), rungs=(Rung(0.25),), executor=counted)
    assert len(counted.keys) == len(set(counted.keys)) == 3 + 1 + 4
    assert len(found.race.standings) == 8
    assert found.selection is not None
    assert found.selection.n_candidates == 8
    best = found.finalists[0]
    assert best.settings.learning_rate is not None
    assert found.race.leader.name.startswith(best.name)
    assert len({method.name for method in found.finalists}) == len(found.finalists)


def test_executors_are_chosen_by_options(monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(executor_for(), InTurn)
    assert executor_for(n_jobs=3) == LocalProcesses(3)
    with pytest.raises(UsageError, match="--jobs 0"):
        executor_for(n_jobs=0)
    with pytest.raises(UsageError, match="one of them"):
        executor_for(n_jobs=2, ray_address="auto")
    monkeypatch.setattr("graft.core.optional.is_installed", lambda package: False)
    with pytest.raises(UsageError, match=r"needs the package 'ray'[\s\S]*graft-finetune\[ray\]"):
        executor_for(ray_address="auto")


def test_ray_gives_what_one_process_gives(bed: TrialBed) -> None:
    ray: Any = pytest.importorskip("ray", reason="ray is an extra of 209 MB: pip install graft-finetune[ray]")
    field = rate_contestants(METHOD, 1e-3, factors=(1.0, 3.0))
    try:
        race = hold_race(field, bed, (Rung(0.25),), executor=RayCluster("local"))
    finally:
        ray.shutdown()
    assert figures(race) == figures(hold_race(field, bed, (Rung(0.25),)))


def test_a_trial_hears_of_no_held_out_example(bed: TrialBed) -> None:
    result = run_trial(bed, Trial("a", METHOD, 4, 1))
    rows, held_out = bed.splits[1]
    assert not set(rows) & set(held_out)
    np.testing.assert_array_equal(result.rows, held_out)


def test_small_folds_are_held_out_two_at_a_time(tmp_path: Path) -> None:
    small = small_images(make_architecture("resnet", tmp_path / "n"), n=30, noise=150)
    features = small.features(30)
    probe = HeadOnly(n_folds=5).fit(features, small.examples.targets, n_classes=2)
    where = Where(device="cpu", precision="fp32", folder=tmp_path)
    own = trial_bed(
        Arena(
            network=small.network, head=small.head, probe=probe, features=features, task=small.task,
            examples=small.examples, n_train=30, where=where,
        ),
        n_splits=3,
    )  # fmt: skip
    assert [len(held_out) for _, held_out in own.splits] == [12, 12]  # of five folds a third pair is not to be had
    assert not set(own.splits[0][1]) & set(own.splits[1][1])


def result(name: str, n_steps: int, losses: list[float]) -> TrialResult:
    values = np.array(losses, np.float32)
    return TrialResult((name, n_steps, 0), np.arange(len(values)), values, values < 1, 1e-3, 1.0)


class Told:
    """Gives results that were made up."""

    def __init__(self, losses: dict[tuple[str, int], list[float]]) -> None:
        self._losses = losses

    def run(self, bed: TrialBed, trials: Sequence[Trial]) -> Iterator[TrialResult]:
        for trial in trials:
            yield result(trial.name, trial.n_steps, self._losses[trial.name, trial.n_steps])


def test_two_lengths_foretell_a_whole_run(bed: TrialBed) -> None:
    """After a quarter of the steps the steep one is still behind, and falls as 1 / s ** 0.75 to where it leads."""
    method = LPFT(settings(epochs=0.01, fewest_steps=100))

    def loss(share: float, *, floor: float, fall: float) -> list[float]:
        return [floor + extra + fall / share**0.75 for extra in (0.0, 0.1)]

    flat, steep = {"floor": 1.0, "fall": 0.01}, {"floor": 0.5, "fall": 0.3}
    told = {
        (name, round(100 * share)): loss(share, **shape)
        for name, shape in (("flat", flat), ("steep", steep))
        for share in (0.1, 0.25)
    }
    field = [Contestant(name, method) for name in ("flat", "steep")]
    race = hold_race(field, bed, (Rung(0.1, n_kept=2), Rung(0.25)), executor=Told(told))
    assert race.leader.name == "steep"
    assert race.leader.log_loss > race.standings[1].log_loss
    assert race.leader.foreseen == pytest.approx(0.5 + 0.05 + 0.3, rel=1e-5)


@pytest.mark.parametrize(("lead", "kept"), [(0.005, "lp-ft"), (0.5, "partial")])
def test_the_standard_strategy_is_left_only_for_a_clear_lead(bed: TrialBed, lead: float, kept: str) -> None:
    """In the first rung three others have less loss than the standard: it runs on all the same."""
    standard = LPFT(settings(epochs=0.01, fewest_steps=100, learning_rate=None))
    others = [Partial(k, standard.settings) for k in (1, 2, 3)]
    noise = np.random.default_rng(0).normal(0, 0.05, (4, 40))
    losses = [(1.02, 0.7), (1.0 - lead, 0.7 - lead), (1.01, 0.9), (1.01, 0.9)]  # after 10 steps, and after 40
    told = {
        (contestant_of(method).name, n_steps): list(loss + extra)
        for method, pair, extra in zip([standard, *others], losses, noise, strict=True)
        for n_steps, loss in zip((10, 40), pair, strict=True)
    }
    more: dict[str, Any] = {"strengths": ("light",), "has_rates": False, "executor": Told(told)}
    found = race_strategies([*others, standard], bed, standard=standard, **more)
    assert found.finalists[0].name == kept
    assert ("clearly ahead" in found.why[0] and "stays" not in found.why[0]) == (kept == "partial")
    if kept == "lp-ft":
        assert [method.name for method in found.finalists] == ["lp-ft", "partial"]  # it may still win the contest
    by_loss = race_strategies([*others, standard], bed, **more)
    assert [method.name for method in by_loss.finalists] == ["partial"]


def test_a_race_of_strategies_without_time_keeps_the_standard(bed: TrialBed) -> None:
    methods = [Partial(1, METHOD.settings), METHOD]
    found = race_strategies(methods, bed, standard=METHOD, rungs=RUNGS, seconds_left=lambda: 0.0)
    assert found.race.ended_by == "time"
    assert found.finalists[0] == METHOD


@pytest.mark.parametrize(("flip", "strengths"), [(True, ["none", "light"]), (False, ["light"])])
def test_of_cached_activations_only_mirror_images_race(bed: TrialBed, flip: bool, strengths: list[str]) -> None:
    method = Partial(1, settings(epochs=0.01, fewest_steps=100, learning_rate=None))
    told = {(f"partial of 1, {strength}", n): [0.5, 0.6] for strength in strengths for n in (10, 40)}
    own = replace(bed, examples=replace(bed.examples, flip=flip))
    found = race_strategies([method], own, has_rates=False, executor=Told(told))  # of others it knows no result
    assert {standing.name for standing in found.race.standings} == {name for name, _ in told}


def made_up(losses: dict[tuple[str, int], float], *, seconds: float = 1.0) -> Any:
    """Return an executor whose trials end with these losses, all at once, after some seconds of the clock."""

    class MadeUp:
        def run(self, bed: TrialBed, trials: Sequence[Trial]) -> Iterator[TrialResult]:
            for trial in trials:
                loss = losses[trial.name, trial.n_steps]
                n = np.full(20, loss, np.float32)
                yield TrialResult(trial.key, np.arange(20), n, n < 1, 1e-3, seconds, has_diverged=loss == DIVERGED_LOSS)

    return MadeUp()


def test_a_run_that_came_apart_foretells_nothing(bed: TrialBed) -> None:
    field = [Contestant("a", with_rate(METHOD, 1e-3)), Contestant("b", with_rate(METHOD, 1e-2))]
    losses = {("a", 4): 0.6, ("a", 8): 0.5, ("b", 4): DIVERGED_LOSS, ("b", 8): 1.0}
    race = hold_race(field, bed, (Rung(0.25, n_kept=2), Rung(0.5)), executor=made_up(losses), kept="b")
    assert race.leader.name == "a"
    assert {one.name: one.foreseen for one in race.standings}["b"] == pytest.approx(1.0)


def test_runs_at_once_are_counted_by_the_clock(bed: TrialBed) -> None:
    """Each trial says that it took 100 s; all of them together took none."""
    field = [Contestant(name, with_rate(METHOD, 1e-3)) for name in "abcd"]
    losses = {(name, n): 1.0 for name in "abcd" for n in (4, 8)}
    rungs = (Rung(0.25, n_kept=2), Rung(0.5))
    race = hold_race(field, bed, rungs, executor=made_up(losses, seconds=100.0), seconds_left=lambda: 60.0)
    assert race.ended_by == "rungs"


def test_what_was_left_for_its_size_has_no_part_in_the_correction(bed: TrialBed) -> None:
    field = [Contestant(name, with_rate(METHOD, 1e-3)) for name in "abc"]
    losses = {("a", 4): 0.9, ("b", 4): 0.5, ("c", 4): 1.5, ("a", 8): 0.8}
    race = hold_race(
        field, bed, (Rung(0.25), Rung(0.5)), executor=made_up(losses), order=lambda one, loss: one.name != "a"
    )
    found = race.selection()
    assert found is not None
    assert found.n_candidates == 2, "b had less loss and was not left for it; c was"
    assert found.plain == 1.0


def test_the_first_runs_heed_the_time_too_and_cut_ones_are_not_kept(bed: TrialBed, tmp_path: Path) -> None:
    slow = LPFT(settings(epochs=0.01, fewest_steps=400_000, learning_rate=1e-4))
    field = [Contestant("a", slow), Contestant("b", with_rate(slow, 1e-5))]
    told: list[str] = []
    journal = Journal(tmp_path, identity={"x": 1})
    began = time.monotonic()
    race = hold_race(field, bed, RUNGS, journal=journal, seconds_left=lambda: 2.0, say=told.append)
    assert time.monotonic() - began < 20
    assert race.ended_by == "time"
    assert "within its first rung" in told[-1]
    assert journal.results() == {}
