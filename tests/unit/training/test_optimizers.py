from __future__ import annotations

import pytest
import torch
from runs import BODY, HEAD, tiny_network, weights_of

from graft.core.errors import ModelError, UsageError
from graft.training.averaging import WeightAverage
from graft.training.optimizers import ParameterGroup, StartPull, build_optimizer, parameter_groups
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


def test_average_follows_the_formula_and_leaves_the_rest_to_the_network():
    network = tiny_network()
    network.convolution.requires_grad_(False)
    average = WeightAverage(network, decay=0.5)
    start = network.head.weight.detach().clone()
    with torch.no_grad():
        network.head.weight.add_(1)
        network.norm.running_mean.add_(3)
    average.update(step=100)  # late: the decay is 0.5
    torch.testing.assert_close(average.tensors["head.weight"], start + 0.5)
    average.update(step=0)  # early: the decay is 0.1
    torch.testing.assert_close(average.tensors["head.weight"], start + 0.95)
    assert not {"convolution.weight", "norm.running_mean"} & set(average.tensors)
    present = network.head.weight.detach().clone()
    with average.applied():
        torch.testing.assert_close(network.head.weight.detach(), start + 0.95)
    assert torch.equal(network.head.weight, present)
    average.write_to_network()
    torch.testing.assert_close(network.head.weight.detach(), start + 0.95)
    assert torch.equal(network.norm.running_mean, torch.full((8,), 3.0))


def test_groups_are_parted_by_decay_and_keep_their_marks():
    network = tiny_network()
    groups = [ParameterGroup(HEAD, is_new=True), ParameterGroup(BODY, rate_factor=0.1, starts_at=0.5)]
    found = parameter_groups(network, weight_decay=0.3, groups=groups)
    marks = [(g["weight_decay"], g["rate_factor"], g["starts_at"], g["is_new"], len(g["params"])) for g in found]
    assert marks == [(0.3, 1.0, 0.0, True, 1), (0.0, 1.0, 0.0, True, 1), (0.3, 0.1, 0.5, False, 1),
                     (0.0, 0.1, 0.5, False, 3)]  # fmt: skip
    network.head.requires_grad_(False)
    with pytest.raises(ModelError, match=r"head\.weight"):
        parameter_groups(network, weight_decay=0.3, groups=groups)


def test_the_pull_goes_back_to_the_start_but_not_for_what_is_new():
    """By hand: w <- w + min(1, rate * strength) * (start - w), with each group's present rate."""
    network = tiny_network()
    start = weights_of(network)
    groups = [ParameterGroup(HEAD, is_new=True), ParameterGroup(BODY)]
    optimizer = build_optimizer(network, Recipe(n_steps=1, l2_sp=4.0), groups)
    pull = StartPull(optimizer, strength=4.0)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(1)
    rates = {"convolution.weight": 0.05, "norm.weight": 0.0}
    for group in optimizer.param_groups:
        group["lr"] = 0.05 if group["weight_decay"] else 0.0
    pull.step()
    now = weights_of(network)
    for name, rate in rates.items():
        torch.testing.assert_close(now[name], start[name] + (1 - 4.0 * rate))
    assert torch.equal(now["norm.bias"], start["norm.bias"] + 1)
    assert torch.equal(now["head.weight"], start["head.weight"] + 1)
    for group in optimizer.param_groups:
        group["lr"] = 10.0  # never beyond the start
    pull.step()
    torch.testing.assert_close(weights_of(network)["norm.weight"], start["norm.weight"])
