from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from transformers import AutoModelForImageClassification

from graft.backbones.folding import fold_batch_norms
from small_things import make_checkpoint

PIXELS = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def test_folding_keeps_the_outputs_and_removes_every_batch_norm(tmp_path: object) -> None:
    network = AutoModelForImageClassification.from_pretrained(make_checkpoint(tmp_path / "m")).eval()  # type: ignore[operator]
    folded = copy.deepcopy(network)
    n_norms = sum(isinstance(module, nn.BatchNorm2d) for module in network.modules())
    assert fold_batch_norms(folded) == n_norms > 0
    assert not any(isinstance(module, nn.BatchNorm2d) for module in folded.modules())
    with torch.inference_mode():
        expected = network(pixel_values=PIXELS).logits
        torch.testing.assert_close(folded(pixel_values=PIXELS).logits, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "network",
    [
        nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.BatchNorm2d(4)),
        nn.Sequential(nn.BatchNorm2d(3), nn.Conv2d(3, 4, 3)),
        nn.Sequential(nn.Conv2d(3, 4, 3), nn.GroupNorm(2, 4)),
    ],
    ids=["something between", "norm first", "another norm"],
)
def test_what_is_not_convolution_then_batch_norm_is_left(network: nn.Module) -> None:
    network.eval()
    before = network(PIXELS)
    assert fold_batch_norms(network) == 0
    torch.testing.assert_close(network(PIXELS), before)


def test_a_batch_norm_in_training_is_left() -> None:
    assert fold_batch_norms(nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)).train()) == 0
