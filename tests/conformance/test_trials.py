"""A trial of every kind of method on every task: pictures, texts, recordings."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from conformance.small_methods import METHODS, SMALL, settings
from graft.backbones.heads import Head
from graft.methods.arena import Arena
from graft.methods.head_only import HeadOnly
from graft.methods.where import Where
from graft.selection.trials import DIVERGED_LOSS, Trial, run_trial, trial_bed


@pytest.mark.parametrize("task", SMALL)
@pytest.mark.parametrize("name", ["lp-ft", "full", "partial, cached", "contrastive", "lora"])
def test_a_trial_says_something_of_every_held_out_example(
    name: str, task: str, checkpoint: Path, tmp_path: Path
) -> None:
    small, method = SMALL[task](checkpoint), METHODS[name](settings())
    features, network = small.features(16), small.network
    probe = HeadOnly(n_folds=2).fit(features, small.examples.targets, n_classes=2)
    Head(network, small.head).set(torch.from_numpy(probe.weights), torch.from_numpy(probe.bias))
    arena = Arena(
        network=network, head=small.head, probe=probe, features=features, task=small.task, examples=small.examples,
        n_train=16, where=Where(device="cpu", precision="fp32", folder=tmp_path),
    )  # fmt: skip
    bed = trial_bed(arena)
    before = {key: tensor.clone() for key, tensor in network.state_dict().items()}
    first = run_trial(bed, Trial("a", method, 4, 0))
    again = run_trial(bed, Trial("a", method, 4, 0))
    assert len(first.losses) == len(first.is_right) == 8
    assert (first.losses < DIVERGED_LOSS).all()
    np.testing.assert_array_equal(first.losses, again.losses)
    assert all(torch.equal(tensor, before[key]) for key, tensor in network.state_dict().items())
