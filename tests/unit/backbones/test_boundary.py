"""A network cut in two says what it said whole, and training the one part trains the network."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_networks import PICTURES, PIXELS, build, head_of
from torch import Tensor, nn

from graft.backbones.boundary import Boundary, split_network
from graft.backbones.depth import block_numbers, layer_blocks
from graft.core.errors import ModelError, UsageError


def split(network: Any, first_trainable: int, sample: Tensor = PIXELS) -> Boundary:
    blocks = layer_blocks(network, head=head_of(network))
    return split_network(network, blocks, first_trainable=first_trainable % len(blocks), sample=sample)


def state(network: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


@pytest.mark.parametrize("name", PICTURES)
def test_the_parts_give_the_networks_logits_at_every_cut(name: str) -> None:
    network = build(name)
    blocks = layer_blocks(network, head=head_of(network))
    numbers = block_numbers(network, blocks)
    other = torch.randn(5, 3, 32, 32, generator=torch.Generator().manual_seed(1))  # not the sample, nor its size
    with torch.no_grad():
        expected = network(pixel_values=other).logits
        for first in range(1, len(blocks)):
            parts = split(network, first)
            activation = parts.frozen(other)
            assert tuple(activation.shape) == (5, *parts.activation_shape)
            torch.testing.assert_close(parts.tail(pixel_values=activation).logits, expected, rtol=1e-5, atol=1e-6)
            assert {n for n, _ in parts.tail.named_parameters()} == {n for n in numbers if numbers[n] >= first}


@pytest.mark.parametrize("name", PICTURES)
def test_training_the_tail_trains_the_network_above_the_cut_alone(name: str) -> None:
    network = build(name)
    blocks = layer_blocks(network, head=head_of(network))
    numbers = block_numbers(network, blocks)
    first = len(blocks) - 2
    before, modules = state(network), [*network.named_modules()]
    parts = split(network, first)
    assert all(torch.equal(before[key], tensor) for key, tensor in network.state_dict().items())
    assert [*network.named_modules()] == modules
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in network.modules())

    activation = parts.frozen(PIXELS)
    assert not activation.requires_grad
    parts.tail.train()
    optimizer = torch.optim.SGD(parts.tail.parameters(), lr=0.1)
    parts.tail(pixel_values=activation).logits.logsumexp(1).sum().backward()
    assert {n for n, p in network.named_parameters() if p.grad is not None} <= {
        n for n in numbers if numbers[n] >= first
    }
    optimizer.step()
    assert not any(module.training for module in network.modules())
    changed = {n for n, p in network.named_parameters() if not torch.equal(p, before[n])}
    assert head_of(network) + ".weight" in changed
    assert {numbers[n] for n in changed} == {first, first + 1}
    assert torch.equal(parts.frozen(PIXELS), activation)  # nor did any running mean below the cut move
    parts.tail.eval()
    with torch.no_grad():
        torch.testing.assert_close(
            parts.tail(pixel_values=activation).logits, network(pixel_values=PIXELS).logits, rtol=1e-5, atol=1e-6
        )


def test_the_gradient_is_that_of_the_whole_network() -> None:
    network = build("swin")
    parts = split(network, 2)
    parts.tail(pixel_values=parts.frozen(PIXELS)).logits.square().sum().backward()
    through_the_tail = {n: p.grad.clone() for n, p in network.named_parameters() if p.grad is not None}
    network.zero_grad()
    network(pixel_values=PIXELS).logits.square().sum().backward()
    assert set(through_the_tail) == {n for n, _ in parts.tail.named_parameters()}
    for name, parameter in parts.tail.named_parameters():
        torch.testing.assert_close(through_the_tail[name], parameter.grad, rtol=1e-4, atol=1e-5)


def test_later_blocks_are_not_run_and_the_frozen_part_stays_in_eval_mode() -> None:
    network = build("resnet")
    calls: list[str] = []
    for name, module in network.named_modules():
        module.register_forward_pre_hook(lambda *_, name=name: calls.append(name))
    parts = split(network, 3)
    calls.clear()
    parts.frozen.train()
    parts.frozen(PIXELS)
    assert not any(module.training for module in parts.frozen.modules())
    assert any(name.startswith("resnet.encoder.stages.0.layers.1") for name in calls)
    assert not any(name.startswith(("resnet.encoder.stages.1.", "classifier")) for name in calls)


@pytest.mark.parametrize("first", [2, -1])
def test_a_copy_of_the_tail_is_independent(first: int) -> None:
    parts = split(build("vit"), first)
    activation = parts.frozen(PIXELS)
    copied = copy.deepcopy(parts.tail)
    with torch.no_grad():
        for parameter in parts.tail.parameters():
            parameter.zero_()
        assert not torch.equal(copied(pixel_values=activation).logits, parts.tail(pixel_values=activation).logits)


def test_a_cut_out_of_range_is_refused() -> None:
    network = build("resnet")
    blocks = layer_blocks(network, head=head_of(network))
    for first in (0, len(blocks), -1):
        with pytest.raises(UsageError, match="as the first trainable"):
            split_network(network, blocks, first_trainable=first, sample=PIXELS)


def test_a_network_that_needs_its_stem_again_is_not_cut() -> None:
    network = build("beit", use_relative_position_bias=False, use_shared_relative_position_bias=True)
    with pytest.raises(ModelError, match=r"can't be cut before its block 1: beit\.shared_position_bias"):
        split(network, 1)
    assert split(network, -1).activation_shape == (16,)


class WayAround(nn.Module):
    """A pooler that also reads what the stem said."""

    def __init__(self, stem: nn.Module) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d((1, 1))
        self.said = torch.zeros(())
        stem.register_forward_pre_hook(self.listen)

    def listen(self, _: nn.Module, args: tuple[Tensor, ...]) -> None:
        self.said = args[0].mean()

    def forward(self, x: Tensor) -> Tensor:
        return self.pool(x) + self.said


def test_a_network_with_a_way_around_its_blocks_is_not_cut() -> None:
    network = build("resnet")
    network.resnet.pooler = WayAround(network.resnet.embedder)
    with pytest.raises(ModelError, match="can't be cut before its stage 2 block 1"):
        split(network, 3)


@pytest.mark.shared
@pytest.mark.parametrize("folder", ["mobilenet_v1_1.0_224", "mobilenet_v2_1.0_224", "resnet18_trunk3"])
def test_published_checkpoints_can_be_cut(shared: Path, folder: str) -> None:
    from transformers import AutoModelForImageClassification

    network = AutoModelForImageClassification.from_pretrained(shared / "models" / folder).eval()
    head = [name for name, module in network.named_modules() if isinstance(module, nn.Linear)][-1]
    blocks = layer_blocks(network, head=head)
    pictures = torch.randn(2, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = network(pixel_values=pictures).logits
        for first in (1, len(blocks) // 2, len(blocks) - 1):
            parts = split_network(network, blocks, first_trainable=first, sample=pictures)
            got = parts.tail(pixel_values=parts.frozen(pictures)).logits
            torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-5)
