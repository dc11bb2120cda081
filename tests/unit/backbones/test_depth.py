"""The blocks of every architecture: complete, and in the order in which they are computed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_networks import PICTURES, PIXELS, TEXTS, WORDS, build, head_of
from torch import nn

from graft.backbones.depth import DEPTHS, Block, block_numbers, layer_blocks
from graft.core.errors import ModelError
from small_sounds import AUDIO, audio_extractor, build_audio

N_BLOCKS = (
    {"mobilenet_v1": 13, "mobilenet_v2": 16, "efficientnet": 7} | dict.fromkeys(TEXTS, 3) | dict.fromkeys(AUDIO, 3)
)
N_BLOCKS |= dict.fromkeys(("vit", "deit", "beit", "dinov2"), 3)


def entered(network: nn.Module, blocks: tuple[Block, ...], **inputs: torch.Tensor) -> list[int]:
    """Return the block of each module in the order of the calls, of modules that belong to one."""
    order: list[int] = []
    for name, module in network.named_modules():
        for number, block in enumerate(blocks):
            if any(f"{name}.".startswith(f"{part}.") for part in block.modules):
                module.register_forward_pre_hook(lambda *_, number=number: order.append(number))
    network(**inputs)
    return order


def built(name: str) -> Any:
    """Return a network of any modality; what an audio network masks by itself is off, as in loading."""
    return build_audio(name, mask_time_prob=0.0) if name in AUDIO else build(name)


def inputs_of(name: str) -> dict[str, torch.Tensor]:
    """Return an input for a network of `built`."""
    if name in AUDIO:
        inputs = audio_extractor(name)(np.sin(np.arange(9000)), sampling_rate=16_000, return_tensors="pt")
        return {key: value for key, value in inputs.items() if key.startswith("input")}
    return {"pixel_values": PIXELS} if name in PICTURES else {"input_ids": WORDS}


def test_every_row_of_the_table_is_tested() -> None:
    tested = {name.split()[0] for name in PICTURES | TEXTS} | {built(name).config.model_type for name in AUDIO}
    assert tested == set(DEPTHS)


@pytest.mark.parametrize("name", [*PICTURES, *TEXTS, *AUDIO])
def test_each_parameter_has_one_block_and_blocks_run_in_order(name: str) -> None:
    network = built(name)
    blocks = layer_blocks(network, head=head_of(network))
    assert len(blocks) == N_BLOCKS.get(name, 4) + 2
    assert (blocks[0].name, blocks[-1].name) == ("stem", "head")
    numbers = block_numbers(network, blocks)
    assert set(numbers) == {parameter for parameter, _ in network.named_parameters()}
    assert set(numbers.values()) == set(range(len(blocks)))  # none without parameters
    order = entered(network, blocks, **inputs_of(name))
    assert order == sorted(order)
    assert set(order) == set(range(len(blocks)))


def test_more_than_ten_blocks_are_in_the_order_of_numbers_not_of_letters() -> None:
    network = build("vit", num_hidden_layers=12)
    blocks = layer_blocks(network, head="classifier")
    assert [block.modules[0] for block in blocks[1:13]] == [f"vit.layers.{i}" for i in range(12)]
    assert blocks[12] == Block("block 12", ("vit.layers.11", "vit.layernorm"))


def test_stages_are_named_and_downsampling_goes_where_it_is_computed() -> None:
    convnext = layer_blocks(build("convnext"), head="classifier")
    assert [block.name for block in convnext[1:-1]] == [f"stage {s} block {b}" for s in (1, 2) for b in (1, 2)]
    assert convnext[3].modules[0] == "convnext.encoder.stages.1.downsampling_layer"
    swin = layer_blocks(build("swin"), head="classifier")
    assert swin[2].modules == ("swin.encoder.layers.0.blocks.1", "swin.encoder.layers.0.downsample")


def test_what_is_new_with_the_head_belongs_to_it() -> None:
    roberta, distilbert = build("roberta"), build("distilbert")
    assert layer_blocks(roberta, head=head_of(roberta))[-1].modules == ("classifier.dense", "classifier.out_proj")
    assert layer_blocks(distilbert, head="classifier")[-1].modules == ("pre_classifier", "classifier")
    assert "bert.pooler" in layer_blocks(build("bert"), head="classifier")[-2].modules


def test_a_shared_position_bias_is_in_the_stem() -> None:
    network = build("beit", use_relative_position_bias=False, use_shared_relative_position_bias=True)
    blocks = layer_blocks(network, head="classifier")
    assert block_numbers(network, blocks)["beit.shared_position_bias.relative_position_bias_table"] == 0


class Other(nn.Module):
    """A network that no table knows."""

    def __init__(self) -> None:
        super().__init__()
        self.classifier = nn.Linear(3, 3)


def test_an_unknown_architecture_is_an_error() -> None:
    with pytest.raises(ModelError, match="'Other' is not known") as caught:
        layer_blocks(Other(), head="classifier")
    assert "mobilenet_v2, modernbert" in caught.value.expected
    assert "--strategy head" in caught.value.fix


def test_a_known_name_on_another_structure_is_an_error() -> None:
    network: Any = Other()
    network.config = build("resnet").config
    with pytest.raises(ModelError, match="without its stem"):
        layer_blocks(network, head="classifier")
    with pytest.raises(ModelError, match="without its head 'fc'"):
        layer_blocks(build("resnet"), head="fc")


def test_a_parameter_without_a_block_or_with_two_is_an_error() -> None:
    network = build("resnet")
    blocks = layer_blocks(network, head=head_of(network))
    network.extra = nn.Linear(2, 2)
    with pytest.raises(ModelError, match=r"extra\.weight belongs to no known block"):
        block_numbers(network, blocks)
    with pytest.raises(ModelError, match="belongs to stem and all"):
        block_numbers(network, [*blocks, Block("all", ("resnet",))])


@pytest.mark.shared
@pytest.mark.parametrize(
    ("folder", "n_blocks"), [("mobilenet_v1_1.0_224", 13), ("mobilenet_v2_1.0_224", 16), ("resnet18_trunk3", 6)]
)
def test_published_checkpoints_have_their_blocks_in_order(shared: Path, folder: str, n_blocks: int) -> None:
    from transformers import AutoModelForImageClassification

    network = AutoModelForImageClassification.from_pretrained(shared / "models" / folder).eval()
    head = [name for name, module in network.named_modules() if isinstance(module, nn.Linear)][-1]
    blocks = layer_blocks(network, head=head)
    assert len(blocks) == n_blocks + 2
    assert set(block_numbers(network, blocks).values()) == set(range(len(blocks)))
    order = entered(network, blocks, pixel_values=PIXELS)
    assert order == sorted(order)
