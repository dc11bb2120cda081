"""What is saved as an adapter is what is kept: mixed with the probe, its head divided by the temperature."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conformance.small_methods import (
    ARCHITECTURES,
    Small,
    load_adapter,
    make_architecture,
    settings,
    small_images,
    weights_of,
)
from graft.methods.arena import Arena
from graft.methods.contest import Contest, hold_contest
from graft.methods.fine_tuning import FineTuned
from graft.methods.head_only import HeadFit, HeadOnly
from graft.methods.lora import LoRA
from graft.methods.lp_ft import LPFT
from graft.methods.where import Where


@pytest.fixture(scope="module", params=ARCHITECTURES)
def small(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Small:
    return small_images(make_architecture(request.param, tmp_path_factory.mktemp("network") / "n"), n=42, noise=150)


@pytest.fixture(scope="module")
def resnet(tmp_path_factory: pytest.TempPathFactory) -> Small:
    return small_images(make_architecture("resnet", tmp_path_factory.mktemp("network") / "n"), n=42, noise=150)


def lora(**changes: Any) -> LoRA:
    own = settings(**{"epochs": 0.01, "fewest_steps": 6, "learning_rate": 2e-2, **changes})
    return LoRA(rank=2, alpha=4, settings=own)


def hold(small: Small, folder: Path, method: Any, *, has_valid: bool = False, **more: Any) -> Contest:
    """Return a contest on 30 pictures, and 12 for validation; by default 0.4 of the way is gone."""
    features = small.features(42)
    probe: HeadFit = HeadOnly(n_folds=3).fit(features[:30], small.examples.targets[:30], n_classes=2)
    arena = Arena(
        network=small.network,
        head=small.head,
        probe=probe,
        features=features[:30],
        task=small.task,
        examples=small.examples,
        n_train=30,
        valid_logits=probe.logits(features[30:]) if has_valid else None,
        where=Where(device="cpu", precision="fp32", folder=folder / "training"),
    )
    return hold_contest(method, arena, n_folds=1, is_kept_anyway=True, **{"alphas": (0.4,), **more})


def gap(small: Small, first: Any, second: Any) -> float:
    """Return the greatest difference between two networks' logits, in shares of the greatest logit."""
    a, b = small.logits(first), small.logits(second)
    return float(np.abs(a - b).max() / np.abs(a).max())


def test_base_and_adapter_say_what_the_kept_network_says(small: Small, tmp_path: Path) -> None:
    contest = hold(small, tmp_path, lora())
    assert contest.save_adapter is not None
    assert contest.final is not None
    assert contest.facts["temperature"] != pytest.approx(1, abs=0.01)
    contest.save_adapter(tmp_path / "adapter")
    assert gap(small, contest.network, load_adapter(small, tmp_path / "adapter")) < 1e-5
    assert gap(small, contest.network, contest.final.network) > 1e-2, "the last run alone is another network"


def test_saving_changes_nothing(resnet: Small, tmp_path: Path) -> None:
    contest = hold(resnet, tmp_path, lora())
    assert contest.network is not None
    assert contest.save_adapter is not None
    before = weights_of(contest.network)
    for name in ("first", "second"):
        contest.save_adapter(tmp_path / name)
    assert all(tensor.equal(before[name]) for name, tensor in weights_of(contest.network).items())
    files = [tmp_path / name / "adapter_model.safetensors" for name in ("first", "second")]
    assert files[0].read_bytes() == files[1].read_bytes()


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_the_ends_of_the_way(resnet: Small, tmp_path: Path, share: float) -> None:
    contest = hold(resnet, tmp_path, lora(), alphas=(share,))
    assert contest.save_adapter is not None
    contest.save_adapter(tmp_path / "adapter")
    assert gap(resnet, contest.network, load_adapter(resnet, tmp_path / "adapter")) < 1e-5


def test_with_a_validation_split(resnet: Small, tmp_path: Path) -> None:
    contest = hold(resnet, tmp_path, lora(), has_valid=True)
    assert contest.save_adapter is not None
    contest.save_adapter(tmp_path / "adapter")
    assert gap(resnet, contest.network, load_adapter(resnet, tmp_path / "adapter")) < 1e-5


def test_with_averaged_weights_and_a_fold_that_is_kept_for_want_of_time(resnet: Small, tmp_path: Path) -> None:
    left = [1_000.0]

    def say(text: str) -> None:
        if "the probe on" in text:
            left[0] = 0.1

    contest = hold(resnet, tmp_path, lora(ema_decay=0.5), seconds_left=lambda: left[0], say=say)
    assert any("the held-out run is kept" in note for note in contest.notes)
    assert isinstance(contest.final, FineTuned)
    assert contest.save_adapter is not None
    contest.save_adapter(tmp_path / "adapter")
    assert gap(resnet, contest.network, load_adapter(resnet, tmp_path / "adapter")) < 1e-5


@pytest.mark.parametrize("has_valid", [False, True])
def test_a_soup_has_no_adapter_and_says_so(resnet: Small, tmp_path: Path, has_valid: bool) -> None:
    contest = hold(resnet, tmp_path, lora(), soup=2, has_valid=has_valid)
    assert contest.network is not None
    assert contest.save_adapter is None
    assert any("no adapter is saved beside the model" in note and "2 runs" in note for note in contest.notes)


def test_where_statistics_moved_there_is_no_adapter(resnet: Small, tmp_path: Path) -> None:
    contest = hold(resnet, tmp_path, lora(batch_norm="recalibrate"))
    assert contest.network is not None
    assert contest.save_adapter is None
    assert any("statistics of BatchNorm moved" in note for note in contest.notes)


def test_other_methods_have_none_and_say_nothing_of_it(resnet: Small, tmp_path: Path) -> None:
    contest = hold(resnet, tmp_path, LPFT(settings(epochs=0.01, fewest_steps=6)), soup=2)
    assert contest.save_adapter is None
    assert not any("adapter" in note for note in contest.notes)
