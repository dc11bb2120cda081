"""The head alone: fitted by the solver, not by the loop, on every task."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from conformance.method_checks import changed
from conformance.small_methods import (
    Small,
    weights_of,
)
from graft.backbones.heads import Head
from graft.methods.head_only import HeadOnly


@pytest.fixture
def fitted(small: Small) -> tuple[Small, nn.Module, Any, Any]:
    """Return the task, its network with the fitted head, its features, and the head."""
    network = deepcopy(small.network)
    features = small.features(8)
    head = HeadOnly(n_folds=2).fit(features, small.examples.targets[:8], n_classes=2)
    Head(network, small.head).set(torch.from_numpy(head.weights), torch.from_numpy(head.bias))
    return small, network, features, head


def test_the_head_alone_leaves_all_else_bit_identical(fitted: Any) -> None:
    small, network, _, _ = fitted
    assert changed(weights_of(small.network), weights_of(network)) == {f"{small.head}.weight", f"{small.head}.bias"}


def test_the_head_alone_learns_eight_examples(fitted: Any) -> None:
    small, _, features, head = fitted
    assert (head.logits(features).argmax(1) == small.examples.targets[:8]).all()


def test_the_network_with_the_head_says_what_the_head_says_of_features(fitted: Any) -> None:
    small, network, features, head = fitted
    np.testing.assert_allclose(small.logits(network)[:8], head.logits(features), rtol=1e-3, atol=1e-3)


def test_a_saved_network_with_the_head_says_the_same(fitted: Any, tmp_path: Path) -> None:
    small, network, _, _ = fitted
    loaded = small.save_and_load(network, tmp_path / "model")
    np.testing.assert_array_equal(small.logits(loaded), small.logits(network))
