"""Rates of architectures and blocks."""

from __future__ import annotations

import pytest
from torch import nn

from graft.backbones.depth import DEPTHS, Block
from graft.core.errors import ModelError
from graft.methods.full import Full
from graft.methods.gradual import GradualUnfreeze
from graft.methods.lora import LoRA
from graft.methods.lp_ft import LPFT
from graft.methods.partial import Partial
from graft.methods.rates import layer_groups, prior_rate
from graft.methods.settings import FineTuning

BLOCKS = (Block("stem", ("0",)), Block("block 1", ("1", "2")), Block("head", ("3",)))


def network() -> nn.Sequential:
    return nn.Sequential(nn.Linear(1, 1), nn.Linear(1, 1), nn.LayerNorm(1), nn.Linear(1, 1))


def test_a_block_has_the_decay_to_the_power_of_its_distance_from_the_head() -> None:
    stem, block, head = layer_groups(network(), BLOCKS, layer_decay=0.1)
    assert [stem.rate_factor, block.rate_factor, head.rate_factor] == pytest.approx([0.01, 0.1, 1])
    assert stem.names == ("0.weight", "0.bias")
    assert block.names == ("1.weight", "1.bias", "2.weight", "2.bias")
    assert head.names == ("3.weight", "3.bias")
    assert [group.is_new for group in (stem, block, head)] == [False, False, True]


def test_the_frozen_is_named_nowhere_and_changes_no_rate() -> None:
    own = network()
    own[0].requires_grad_(False)
    own[1].bias.requires_grad_(False)
    block, head = layer_groups(own, BLOCKS, layer_decay=0.1)
    assert (block.names, block.rate_factor) == (("1.weight", "2.weight", "2.bias"), pytest.approx(0.1))
    assert head.rate_factor == 1


def test_a_parameter_of_no_block_is_refused() -> None:
    with pytest.raises(ModelError, match="no known block"):
        layer_groups(network(), BLOCKS[1:], layer_decay=0.5)


def test_a_rate_that_was_given_is_taken_by_all() -> None:
    settings = FineTuning(learning_rate=0.25)
    for method in (LPFT, Full, GradualUnfreeze):
        assert method(settings).learning_rate("vit") == 0.25
    assert Partial(1, settings).learning_rate("vit") == 0.25
    assert LoRA(settings=settings).learning_rate("vit") == 0.25


def test_priors() -> None:
    assert prior_rate("vit") == 3e-5
    assert prior_rate("unheard of") == 2e-5
    assert Full().learning_rate("vit") == 3e-5
    assert LoRA().learning_rate("vit") == pytest.approx(3e-4)
    assert all(1e-6 < prior_rate(family) < 1e-3 for family in DEPTHS)
