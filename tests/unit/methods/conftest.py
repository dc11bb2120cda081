"""The tiny network, the little pictures, and all that a contest is held with, for the tests of this folder."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[2]))

import graft.methods.budget
import graft.methods.contest_runs
from conformance.small_methods import make_architecture, small_images
from graft.backbones.heads import Head
from graft.core.errors import Interrupted
from graft.methods.fine_tuning import FineTuned, fine_tune
from graft.methods.head_only import HeadOnly
from small_things import checkpoint, pictures  # noqa: F401

from .contest_ring import Ring


@pytest.fixture
def ring(tmp_path_factory: pytest.TempPathFactory, prepared: Ring, monkeypatch: pytest.MonkeyPatch) -> Ring:
    """Return what a contest is held with; runs are noted, and one may be made to die."""

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
