from __future__ import annotations

import pytest
import torch
from runs import tiny_network

from graft.core.errors import UsageError
from graft.training.averaging import WeightAverage
from graft.training.optimizers import build_optimizer, parameter_groups
from graft.training.recipe import Recipe


def test_norms_and_biases_do_not_decay():
    network = tiny_network()
    decayed, free = parameter_groups(network, weight_decay=0.3)
    assert {id(p) for p in decayed["params"]} == {id(network.convolution.weight), id(network.head.weight)}
    assert (decayed["weight_decay"], free["weight_decay"]) == (0.3, 0.0)
    assert len(decayed["params"]) + len(free["params"]) == len(list(network.parameters()))


@pytest.mark.parametrize("name", ["adamw", "sgd"])
def test_a_step_goes_downhill(name):
    network = torch.nn.Linear(3, 1)
    optimizer = build_optimizer(network, Recipe(n_steps=1, optimizer=name, learning_rate=0.01))
    x = torch.ones(4, 3)
    before = network(x).square().sum()
    before.backward()
    optimizer.step()
    assert network(x).square().sum().item() < before.item()


@pytest.mark.parametrize(
    "wrong", [{"optimizer": "adam"}, {"schedule": "step"}, {"learning_rate": -1}, {"ema_decay": 1.0}]
)
def test_settings_out_of_range_are_named(wrong):
    with pytest.raises(UsageError, match=str(next(iter(wrong.values())))):
        Recipe(n_steps=1, **wrong)


def test_average_follows_the_formula_and_copies_buffers():
    network = tiny_network()
    average = WeightAverage(network, decay=0.5)
    start = network.head.weight.detach().clone()
    with torch.no_grad():
        network.head.weight.add_(1)
        network.norm.running_mean.add_(3)
    average.update(step=100)  # late: the decay is 0.5
    torch.testing.assert_close(average.tensors["head.weight"], start + 0.5)
    average.update(step=0)  # early: the decay is 0.1
    torch.testing.assert_close(average.tensors["head.weight"], start + 0.95)
    assert torch.equal(average.tensors["norm.running_mean"], network.norm.running_mean)
    average.write_to_network()
    torch.testing.assert_close(network.head.weight.detach(), start + 0.95)
