"""Low-rank updates: which layers get one, how large they are, and what cannot have any."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from graft.core.errors import ModelError
from graft.methods.lora import LoRA


class Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.ModuleDict(
            {"plain": nn.Conv2d(4, 4, 3, padding=1), "depthwise": nn.Conv2d(4, 4, 3, padding=1, groups=4)}
        )
        self.norm = nn.BatchNorm2d(4)
        self.dense = nn.Linear(4, 6)
        self.head = nn.Linear(6, 2)

    def forward(self, pixel_values: Any) -> Any:
        x = self.norm(self.body["depthwise"](self.body["plain"](pixel_values)))
        return self.head(torch.relu(self.dense(x.mean((2, 3)))))


class Bare(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm, self.head = nn.BatchNorm1d(3), nn.Linear(3, 2)


def trainable(network: nn.Module) -> dict[str, nn.Parameter]:
    return {
        name.removeprefix("base_model.model."): parameter
        for name, parameter in network.named_parameters()
        if parameter.requires_grad
    }


def test_dense_layers_and_ungrouped_convolutions_get_updates_and_the_head_trains_whole() -> None:
    own = LoRA(rank=2).prepare(Small(), head="head", family="tiny")
    found = {name: tuple(parameter.shape) for name, parameter in trainable(own.network).items()}
    assert found == {
        "body.plain.lora_A.default.weight": (2, 4, 3, 3),
        "body.plain.lora_B.default.weight": (4, 2, 1, 1),
        "dense.lora_A.default.weight": (2, 4),
        "dense.lora_B.default.weight": (6, 2),
        "head.modules_to_save.default.weight": (2, 6),
        "head.modules_to_save.default.bias": (2,),
    }


def test_updates_start_at_zero_and_are_scaled_by_alpha_over_rank() -> None:
    network = Small().eval()
    pixels = torch.randn(3, 4, 5, 5, generator=torch.Generator().manual_seed(0))
    weight = network.dense.weight.detach().clone()
    with torch.no_grad():
        before = network(pixels)
        own = LoRA(rank=2, alpha=6).prepare(network, head="head", family="tiny")
        assert torch.equal(own.network.eval()(pixel_values=pixels), before)
        updates = trainable(own.network)
        updates["dense.lora_B.default.weight"].fill_(0.5)
    merged: Any = own.finish(own.network)
    a, b = updates["dense.lora_A.default.weight"], updates["dense.lora_B.default.weight"]
    torch.testing.assert_close(merged.dense.weight, weight + 3 * b @ a)


def test_the_updates_are_still_there_after_merging() -> None:
    """Merging takes peft's layers out of the network; the adapter is saved later."""
    own = LoRA(rank=2).prepare(Small(), head="head", family="tiny")
    before = set(trainable(own.network))
    assert not any("lora" in name for name in own.finish(own.network).state_dict())
    assert set(trainable(own.network)) == before


def test_an_adapted_convolution_still_tells_its_stride() -> None:
    network: Any = LoRA(rank=2).prepare(Small(), head="head", family="tiny").network
    layer = network.base_model.model.body["plain"]
    assert (layer.stride, layer.kernel_size, layer.padding) == ((1, 1), (3, 3), (1, 1))


def test_a_network_without_a_layer_to_adapt_is_refused() -> None:
    with pytest.raises(ModelError, match="no layer of this tiny can take a low-rank update"):
        LoRA().prepare(Bare(), head="head", family="tiny")
