"""The last linear layer of many families, found by what it computes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import transformers
from torch import nn

from graft.backbones.heads import FeatureNetwork, find_head
from graft.core.errors import ModelError

TRANSFORMER = {
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "image_size": 32,
    "patch_size": 8,
}
STAGES = {"hidden_sizes": [8, 16], "depths": [1, 1]}
CONVNEXT = {"hidden_sizes": [8, 16, 16, 24], "depths": [1, 1, 1, 1]}
FAMILIES: dict[str, dict[str, Any]] = {
    "ViT": TRANSFORMER,
    "DeiT": TRANSFORMER,
    "Beit": TRANSFORMER,
    "Dinov2": TRANSFORMER,
    "ResNet": {**STAGES, "embedding_size": 8, "layer_type": "basic"},
    "RegNet": {**STAGES, "embedding_size": 8, "groups_width": 8},
    "ConvNext": CONVNEXT,
    "ConvNextV2": CONVNEXT,
    "MobileNetV1": {"depth_multiplier": 0.1, "min_depth": 8, "image_size": 32},
    "MobileNetV2": {"depth_multiplier": 0.1, "min_depth": 8, "image_size": 32},
    "Swin": {
        "image_size": 32,
        "patch_size": 4,
        "embed_dim": 8,
        "depths": [1, 1],
        "num_heads": [2, 2],
        "window_size": 4,
    },
    "EfficientNet": {"width_coefficient": 0.1, "depth_coefficient": 0.1, "image_size": 32, "hidden_dim": 128},
}
PIXELS = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def build(family: str, n_labels: int = 3) -> Any:
    config = getattr(transformers, f"{family}Config")(num_labels=n_labels, **FAMILIES[family])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return getattr(transformers, f"{family}ForImageClassification")(config).eval()


@pytest.mark.parametrize("family", FAMILIES)
def test_the_head_is_found_and_features_times_head_are_the_logits(family: str) -> None:
    network = build(family)
    head = find_head(network, PIXELS, label=family)
    assert head.layer.out_features == 3
    features = FeatureNetwork(network, head, scale=torch.ones(3), offset=torch.zeros(3))
    with torch.inference_mode():
        got = features(PIXELS)
        assert got.shape == (2, head.n_features)
        torch.testing.assert_close(head.layer(got), network(pixel_values=PIXELS).logits, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("family", ["ViT", "ResNet"])
def test_a_written_head_is_what_the_network_then_says(family: str) -> None:
    network = build(family)
    head = find_head(network, PIXELS, label=family)
    weights, bias = torch.randn(3, head.n_features), torch.arange(3.0)
    head.set(weights, bias)
    features = FeatureNetwork(network, head, scale=torch.ones(3), offset=torch.zeros(3))
    with torch.inference_mode():
        expected = features(PIXELS) @ weights.T + bias
        torch.testing.assert_close(network(pixel_values=PIXELS).logits, expected, rtol=1e-4, atol=1e-4)


def test_the_feature_network_applies_the_linear_part_and_leaves_the_network_alone() -> None:
    network = build("ResNet")
    head = find_head(network, PIXELS, label="")
    scale, offset = torch.tensor([0.1, 0.2, 0.3]), torch.tensor([1.0, 2.0, 3.0])
    plain = FeatureNetwork(network, head, scale=torch.ones(3), offset=torch.zeros(3))
    linear = FeatureNetwork(network, head, scale=scale, offset=offset)
    pixels = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8)
    with torch.inference_mode():
        expected = plain(pixels * scale[:, None, None] + offset[:, None, None])
        torch.testing.assert_close(linear(pixels), expected, rtol=1e-4, atol=1e-4)
    assert isinstance(head.layer, nn.Linear)
    assert not linear.training


class TwoHeads(nn.Module):
    """Logits that are the sum of two layers: the output of none."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(3, 4), nn.Linear(3, 4)

    def forward(self, pixel_values: torch.Tensor) -> Any:
        x = pixel_values.mean((2, 3))
        return transformers.modeling_outputs.ImageClassifierOutput(logits=self.a(x) + self.b(x))


class WithoutBias(nn.Module):
    """A head without a bias."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(3, 4, bias=False)

    def forward(self, pixel_values: torch.Tensor) -> Any:
        return transformers.modeling_outputs.ImageClassifierOutput(logits=self.head(pixel_values.mean((2, 3))))


def test_a_network_without_a_linear_end_is_refused() -> None:
    with pytest.raises(ModelError, match=r"tiny'? does not end in one linear layer"):
        find_head(TwoHeads(), PIXELS, label="tiny")


def test_a_head_without_a_bias_gets_one() -> None:
    network: Callable[..., Any] = WithoutBias()
    before = network(pixel_values=PIXELS).logits
    head = find_head(network, PIXELS, label="")  # type: ignore[arg-type]
    assert head.layer.bias.tolist() == [0, 0, 0, 0]
    torch.testing.assert_close(network(pixel_values=PIXELS).logits, before)
