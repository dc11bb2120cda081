from __future__ import annotations

import math

import torch
from runs import tiny_network
from torch import nn

from graft.training.held_out import BestWeights


def test_the_least_log_loss_is_kept_and_given_back():
    network = tiny_network()
    network.convolution.requires_grad_(False)
    best = BestWeights(network)
    kept = {}
    for step, log_loss in enumerate((math.nan, 0.9, 0.4, 0.4, math.inf, 0.5), start=1):
        with torch.no_grad():
            network.head.weight.fill_(step)
            network.norm.running_mean.fill_(step)
        kept[step] = best.take(step, {"log_loss": log_loss, "accuracy": 0.5})
    assert [step for step, is_best in kept.items() if is_best] == [2, 3]  # a tie is no improvement
    assert best.best == {"step": 3, "log_loss": 0.4, "accuracy": 0.5}
    assert best.n_since_best() == 3
    assert len(best.history) == 6
    assert "convolution.weight" not in best.tensors  # frozen: nothing to keep
    best.write_to_network()
    assert torch.equal(network.head.weight, torch.full_like(network.head.weight, 3))
    assert torch.equal(network.norm.running_mean, torch.full_like(network.norm.running_mean, 3))


def test_without_a_finite_look_nothing_is_best():
    best = BestWeights(tiny_network())
    assert not best.take(1, {"log_loss": math.nan})
    assert (best.best, best.n_since_best(), best.tensors) == (None, 0, {})


def test_frozen_tied_weights_are_not_kept():
    network = nn.ModuleDict({"a": nn.Linear(2, 2), "b": nn.Linear(2, 2)}).requires_grad_(False)
    network["b"].weight = network["a"].weight
    network["b"].bias.requires_grad_(True)
    best = BestWeights(network)
    best.take(1, {"log_loss": 1.0})
    assert set(best.tensors) == {"b.bias"}
