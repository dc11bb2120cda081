from __future__ import annotations

import pytest
import torch
from runs import run, tiny_network
from safetensors import safe_open

from graft.core.errors import ResourceError, UsageError
from graft.training.averaging import WeightAverage
from graft.training.checkpoints import CheckpointPlan, TrainingState, read_checkpoint, write_checkpoint
from graft.training.optimizers import build_optimizer
from graft.training.recipe import Recipe


def fresh_state() -> TrainingState:
    network = tiny_network()
    return TrainingState(network, build_optimizer(network, Recipe(n_steps=1)))


def names_of(plan: CheckpointPlan) -> list[str]:
    return sorted(path.name for path in plan.folder.iterdir())


def test_a_checkpoint_of_another_run_is_refused_with_what_differs(tmp_path):
    plan = CheckpointPlan(tmp_path / "c", identity={"epochs": 3, "arch": "x"})
    path = write_checkpoint(plan, fresh_state(), step=7, seconds=1.5)
    assert path == tmp_path / "c" / "step-00000007.safetensors"
    found = read_checkpoint(plan)
    assert found is not None
    assert (found.step, found.seconds) == (7, 1.5)
    with pytest.raises(UsageError, match="epochs: 3 there, 4 now"):
        read_checkpoint(CheckpointPlan(tmp_path / "c", identity={"epochs": 4, "arch": "x"}))


def test_damaged_checkpoints_are_an_error_and_missing_ones_are_none(tmp_path):
    plan = CheckpointPlan(tmp_path / "c", identity={})
    assert read_checkpoint(plan) is None
    plan.folder.mkdir()
    assert read_checkpoint(plan) is None
    (plan.folder / "step-00000003.safetensors").write_bytes(b"not a checkpoint")
    with pytest.raises(ResourceError, match="overwrite"):
        read_checkpoint(plan)


@pytest.mark.parametrize("damage", [b"", b"not a checkpoint", None, "folder"])
def test_where_the_newest_is_damaged_the_one_before_is_read(tmp_path, damage):
    plan = CheckpointPlan(tmp_path / "c", identity={})
    for step in (3, 6):
        newest = write_checkpoint(plan, fresh_state(), step=step, seconds=step)
    whole = newest.read_bytes()
    newest.unlink()
    if damage == "folder":
        newest.mkdir()
    else:
        newest.write_bytes(whole[: len(whole) // 2] if damage is None else damage)
    found = read_checkpoint(plan)
    assert found is not None
    assert found.step == 3


def test_the_newest_few_stay_and_what_killed_processes_left_goes(tmp_path):
    plan = CheckpointPlan(tmp_path / "c", identity={}, keep_last=2)
    for step in (3, 6, 9):
        write_checkpoint(plan, fresh_state(), step=step, seconds=0)
    assert names_of(plan) == ["step-00000006.safetensors", "step-00000009.safetensors"]
    (plan.folder / ".step-00000012.safetensors.77.partial").write_bytes(b"half")
    (plan.folder / "notes.txt").write_text("mine")
    write_checkpoint(plan, fresh_state(), step=12, seconds=0)
    assert names_of(plan) == ["notes.txt", "step-00000009.safetensors", "step-00000012.safetensors"]


def test_the_last_one_is_never_dropped_for_a_damaged_later_one(tmp_path):
    plan = CheckpointPlan(tmp_path / "c", identity={}, keep_last=1)
    plan.folder.mkdir()
    for step in (9, 10):
        (plan.folder / f"step-{step:08d}.safetensors").write_bytes(b"damaged")
    write_checkpoint(plan, fresh_state(), step=6, seconds=0)
    assert names_of(plan) == ["step-00000006.safetensors"]


def test_optimizer_states_are_stored_under_parameter_names(tmp_path):
    run(tmp_path / "c")
    (path, _) = CheckpointPlan(tmp_path / "c", identity={}).files()
    with safe_open(path, framework="pt") as file:
        names = set(file.keys())
    assert {"optimizer.head.weight.exp_avg", "optimizer.head.weight.step", "average.norm.weight"} <= names
    assert {"network.convolution.weight", "network.norm.running_var"} <= names


def test_memory_formats_survive(tmp_path):
    state = fresh_state()
    network, optimizer = state.network.to(memory_format=torch.channels_last), state.optimizer
    network(torch.randn(2, 3, 8, 8)).logits.sum().backward()
    optimizer.step()
    before = {key: value.clone() for key, value in optimizer.state[network.convolution.weight].items()}
    plan = CheckpointPlan(tmp_path / "c", identity={})
    write_checkpoint(plan, state, step=1, seconds=0)
    found = read_checkpoint(plan)
    assert found is not None
    optimizer.state.clear()
    found.restore(state)
    moment = optimizer.state[network.convolution.weight]["exp_avg"]
    assert moment.stride() == network.convolution.weight.stride()
    assert all(torch.equal(before[key], value) for key, value in optimizer.state[network.convolution.weight].items())


def test_tied_weights_and_a_scaler_come_back(tmp_path):
    network = tiny_network()
    network.also = network.head  # the same weights under a second name
    optimizer = build_optimizer(network, Recipe(n_steps=1))
    scaler = torch.amp.GradScaler("cpu", init_scale=512.0)
    state = TrainingState(network, optimizer, average=WeightAverage(network, decay=0.9), scaler=scaler)
    plan = CheckpointPlan(tmp_path / "c", identity={})
    write_checkpoint(plan, state, step=1, seconds=0)
    before = network.head.weight.detach().clone()
    with torch.no_grad():
        network.head.weight.zero_()
    scaler.load_state_dict({**scaler.state_dict(), "scale": 2.0})
    found = read_checkpoint(plan)
    assert found is not None
    found.restore(state)
    assert torch.equal(network.also.weight, before)
    assert scaler.state_dict()["scale"] == 512.0
