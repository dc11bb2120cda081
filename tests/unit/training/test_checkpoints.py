from __future__ import annotations

import pytest
import torch
from runs import run, tiny_network
from safetensors import safe_open

from graft.core.errors import ResourceError, UsageError
from graft.training.checkpoints import CheckpointPlan, read_checkpoint, write_checkpoint
from graft.training.optimizers import build_optimizer
from graft.training.recipe import Recipe


def test_a_checkpoint_of_another_run_is_refused_with_what_differs(tmp_path):
    network = tiny_network()
    optimizer = build_optimizer(network, Recipe(n_steps=1))
    plan = CheckpointPlan(tmp_path / "c", identity={"epochs": 3, "arch": "x"})
    write_checkpoint(plan, network, optimizer, None, step=7, seconds=1.5)
    found = read_checkpoint(plan)
    assert found is not None
    assert (found.step, found.seconds) == (7, 1.5)
    with pytest.raises(UsageError, match="epochs: 3 there, 4 now"):
        read_checkpoint(CheckpointPlan(tmp_path / "c", identity={"epochs": 4, "arch": "x"}))


def test_a_damaged_checkpoint_is_an_error_and_a_missing_one_is_none(tmp_path):
    plan = CheckpointPlan(tmp_path / "c", identity={})
    assert read_checkpoint(plan) is None
    plan.path.write_bytes(b"not a checkpoint")
    with pytest.raises(ResourceError, match="overwrite"):
        read_checkpoint(plan)


def test_optimizer_states_are_stored_under_parameter_names(tmp_path):
    run(tmp_path / "c")
    with safe_open(tmp_path / "c", framework="pt") as file:
        names = set(file.keys())
    assert {"optimizer.head.weight.exp_avg", "optimizer.head.weight.step", "average.norm.running_var"} <= names
    assert {"network.convolution.weight", "random.cpu"} <= names


def test_memory_formats_survive(tmp_path):
    network = tiny_network().to(memory_format=torch.channels_last)
    optimizer = build_optimizer(network, Recipe(n_steps=1))
    network(torch.randn(2, 3, 8, 8)).logits.sum().backward()
    optimizer.step()
    plan = CheckpointPlan(tmp_path / "c", identity={})
    write_checkpoint(plan, network, optimizer, None, step=1, seconds=0)
    found = read_checkpoint(plan)
    assert found is not None
    found.restore(network, optimizer, None)
    moment = optimizer.state[network.convolution.weight]["exp_avg"]
    assert moment.stride() == network.convolution.weight.stride()
