from __future__ import annotations

import pytest
import torch
from runs import digit_batches, tiny_network
from torch import nn

from graft.training.freezing import recalibrate_batch_norms, set_training_mode
from graft.training.loop import train
from graft.training.losses import classification_loss
from graft.training.recipe import Recipe


def block() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3, momentum=0.997), nn.Dropout(0.5))


def buffers_of(network: nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in network.named_buffers()}


def test_frozen_blocks_are_in_eval_mode_with_their_dropout_and_buffers():
    network = nn.Sequential(block(), block())
    network[0].requires_grad_(False)
    set_training_mode(network, batch_norm="train")
    assert not any(module.training for module in network[0].modules())
    assert all(module.training for module in network[1].modules())
    before = buffers_of(network)
    network(torch.randn(4, 3, 2, 2) + 3)
    moved = {name for name, tensor in network.named_buffers() if not torch.equal(tensor, before[name])}
    assert moved == {"1.1.running_mean", "1.1.running_var", "1.1.num_batches_tracked"}


@pytest.mark.parametrize(("momentum", "used"), [(0.997, 0.1), (0.1, 0.1), (0.01, 0.01)])
def test_statistics_move_with_a_momentum_of_a_tenth_at_most(momentum, used):
    norm = nn.BatchNorm1d(2, momentum=momentum)
    set_training_mode(norm, batch_norm="train")
    x = torch.tensor([[1.0, 10.0], [3.0, 30.0]])
    norm(x)
    torch.testing.assert_close(norm.running_mean, used * torch.tensor([2.0, 20.0]))
    torch.testing.assert_close(norm.running_var, 1 - used + used * torch.tensor([2.0, 200.0]))


def test_frozen_statistics_stay_while_scale_and_shift_train():
    network = tiny_network()
    network.norm.momentum = 0.997
    before, scale = buffers_of(network), network.norm.weight.detach().clone()
    recipe = Recipe(n_steps=3, learning_rate=0.01, batch_norm="frozen")
    train(network, digit_batches(), loss=classification_loss(), recipe=recipe, device="cpu")
    assert all(torch.equal(before[name], tensor) for name, tensor in network.named_buffers())
    assert not torch.equal(network.norm.weight, scale)
    assert network.norm.momentum == 0.997


def test_recalibrated_statistics_are_the_mean_of_the_batches():
    network = nn.Sequential(nn.BatchNorm2d(3, momentum=0.3), nn.Dropout(0.9), nn.BatchNorm2d(3, momentum=None))
    network.append(nn.BatchNorm2d(3, track_running_stats=False))
    batches = [{"x": torch.randn(5, 3, 4, 4) * k + k} for k in (1, 2, 3)]
    network(batches[0]["x"] + 100)  # what was there before does not count
    assert recalibrate_batch_norms(network, batches, predict=lambda batch: network(batch["x"])) == 2
    x = torch.stack([batch["x"] for batch in batches])
    torch.testing.assert_close(network[0].running_mean, x.mean((1, 3, 4)).mean(0))
    torch.testing.assert_close(network[0].running_var, x.transpose(1, 2).flatten(2).var(2).mean(0))
    torch.testing.assert_close(network[2].running_mean, torch.zeros(3), atol=1e-5, rtol=0)  # of what norm 0 gave
    assert [norm.momentum for norm in (network[0], network[2])] == [0.3, None]
    assert not any(module.training for module in network.modules())


def test_a_failure_leaves_the_momenta_as_they_were():
    network = nn.Sequential(nn.BatchNorm2d(3, momentum=0.3))
    with pytest.raises(ZeroDivisionError):
        recalibrate_batch_norms(network, [{}], predict=lambda batch: 1 / 0)
    assert network[0].momentum == 0.3
    assert not network[0].training
