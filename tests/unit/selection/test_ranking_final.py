"""A short run of the first two of a ranking: one that comes apart, one that is as good, and no time for both."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from conformance.small_methods import make_architecture, settings, small_images
from graft.backbones.heads import Head
from graft.methods.arena import Arena
from graft.methods.head_only import HeadOnly
from graft.methods.lp_ft import LPFT
from graft.methods.prepared import FineTuningMethod
from graft.methods.where import Where
from graft.selection.ranking_final import hold_final
from graft.selection.trials import TrialBed, trial_bed, with_rate

METHOD = LPFT(settings(epochs=0.01, fewest_steps=40, learning_rate=1e-4))


@pytest.fixture(scope="module")
def bed(tmp_path_factory: pytest.TempPathFactory) -> TrialBed:
    small = small_images(make_architecture("resnet", tmp_path_factory.mktemp("network") / "n"), n=30, noise=150)
    features = small.features(30)
    probe = HeadOnly(n_folds=3).fit(features, small.examples.targets, n_classes=2)
    Head(small.network, small.head).set(torch.from_numpy(probe.weights), torch.from_numpy(probe.bias))
    where = Where(device="cpu", precision="fp32", folder=Path())
    return trial_bed(
        Arena(
            network=small.network, head=small.head, probe=probe, features=features, task=small.task,
            examples=small.examples, n_train=30, where=where,
        ),
        n_splits=1,
    )  # fmt: skip


def given(bed: TrialBed, *methods: FineTuningMethod) -> Iterator[tuple[str, FineTuningMethod, TrialBed]]:
    return iter([(name, method, bed) for name, method in zip(("one", "other"), methods, strict=True)])


def test_the_second_goes_first_where_the_first_comes_apart(bed: TrialBed) -> None:
    found = hold_final(given(bed, with_rate(METHOD, 1e3), METHOD))
    assert found is not None
    assert found.is_turned
    assert found.told.startswith("other goes before one")
    assert found.n == 10  # one fold of three
    assert found.n_steps == 10  # a quarter of 40


def test_equals_stay_as_they_are(bed: TrialBed) -> None:
    found = hold_final(given(bed, METHOD, METHOD))
    assert found is not None
    assert found.difference == 0
    assert not found.is_turned
    assert "can't tell one and other apart" in found.told


def test_without_time_for_the_second_nothing_is_said(bed: TrialBed) -> None:
    assert hold_final(given(bed, METHOD, METHOD), seconds_left=lambda: 0.0) is None


def test_without_time_for_what_two_are_expected_to_take_none_is_begun(bed: TrialBed) -> None:
    def none() -> Iterator[tuple[str, FineTuningMethod, TrialBed]]:
        raise AssertionError("a model was loaded")
        yield

    assert hold_final(none(), seconds_left=lambda: 30.0, expected_s=20.0) is None


def test_a_run_that_takes_longer_than_there_is_time_for_is_broken_off(bed: TrialBed) -> None:
    slow = with_rate(LPFT(settings(epochs=0.01, fewest_steps=400_000, learning_rate=1e-4)), 1e-4)
    assert hold_final(given(bed, slow, slow), seconds_left=lambda: 2.0) is None
