"""How fast each part of a network moves under each method, and from when."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from conformance.method_checks import changed, prepared
from conformance.small_methods import (
    Small,
    settings,
    small_images,
    weights_of,
)
from graft.methods.full import Full
from graft.methods.gradual import GradualUnfreeze
from graft.methods.lora import LoRA
from graft.methods.lp_ft import LPFT
from graft.methods.partial import Partial

# The small ResNet has the blocks stem, stage 1 block 1, stage 2 block 1 and head: L = 3, block l has decay ** (3 - l).
STEM, FIRST, SECOND = "resnet.embedder.", "resnet.encoder.stages.0.", "resnet.encoder.stages.1."
RATES = {
    "lp-ft": (LPFT(), {STEM: (1, 0), FIRST: (1, 0), SECOND: (1, 0), "classifier.": (1, 0)}),
    "lp-ft, 0.5": (
        LPFT(layer_decay=0.5),
        {STEM: (0.125, 0), FIRST: (0.25, 0), SECOND: (0.5, 0), "classifier.": (1, 0)},
    ),
    "full, 0.9": (Full(), {STEM: (0.729, 0), FIRST: (0.81, 0), SECOND: (0.9, 0), "classifier.": (10, 0)}),
    "partial": (Partial(1), {SECOND: (1, 0), "classifier.": (1, 0)}),
    "partial, 0.5": (Partial(1, layer_decay=0.5), {SECOND: (0.5, 0), "classifier.": (1, 0)}),
    "partial, 2 blocks, 0.5": (
        Partial(2, layer_decay=0.5),
        {FIRST: (0.25, 0), SECOND: (0.5, 0), "classifier.": (1, 0)},
    ),
    "gradual, 0.9": (
        GradualUnfreeze(),
        {STEM: (0.729, 0.5), FIRST: (0.81, 1 / 3), SECOND: (0.9, 1 / 6), "classifier.": (1, 0)},
    ),
}


@pytest.mark.parametrize("row", RATES)
def test_rates_are_those_calculated_by_hand(row: str, checkpoints: dict[str, Path]) -> None:
    small, (method, expected) = small_images(checkpoints["resnet"]), RATES[row]
    own = prepared(method, small)
    found = {key: group for group in own.groups for key in group.names}
    for key, group in found.items():
        (prefix,) = [prefix for prefix in expected if key.startswith(prefix)]
        assert (group.rate_factor, group.starts_at) == pytest.approx(expected[prefix]), key
        assert group.is_new == (prefix == "classifier.")
    assert set(found) == {key for key, _ in small.network.named_parameters() if key.startswith(tuple(expected))}


def test_rates_of_a_vit(checkpoints: dict[str, Path]) -> None:
    own = prepared(LPFT(layer_decay=0.5), small_images(checkpoints["vit"]))
    factor = {key: group.rate_factor for group in own.groups for key in group.names}
    assert factor["vit.embeddings.cls_token"] == 0.0625
    assert factor["vit.layers.0.layernorm_before.weight"] == 0.125
    assert factor["vit.layers.1.layernorm_before.weight"] == 0.25
    assert factor["vit.layers.2.layernorm_before.weight"] == factor["vit.layernorm.weight"] == 0.5
    assert factor["classifier.weight"] == 1


def test_the_updates_of_lora_have_ten_times_the_rate_of_its_head(resnet: Small) -> None:
    method = LoRA()
    updates, head = prepared(method, resnet).groups
    assert method.learning_rate("resnet") == pytest.approx(2e-3)
    assert LPFT().learning_rate("resnet") == pytest.approx(2e-4)
    assert method.learning_rate("resnet") * updates.rate_factor == pytest.approx(2e-3)
    assert method.learning_rate("resnet") * head.rate_factor == pytest.approx(2e-4)
    assert {key.rpartition(".")[0].endswith((".lora_A.default", ".lora_B.default")) for key in updates.names} == {True}
    assert all("classifier.1" in key for key in head.names)


def test_rates_reach_the_weights(resnet: Small, tmp_path: Path) -> None:
    """One step of SGD moves each weight in proportion to its rate."""
    plain = settings(optimizer="sgd", clip_norm=None, weight_decay=0.0, learning_rate=0.1)
    weight, bias = map(torch.from_numpy, resnet.probe)
    before = weights_of(resnet.network) | {"classifier.1.weight": weight, "classifier.1.bias": bias}
    whole, decayed = (
        weights_of(resnet.tune(method, folder=tmp_path, n_steps=1, has_looks=False).network)
        for method in (LPFT(plain), LPFT(plain, layer_decay=0.5))
    )
    for prefix, (factor, _) in RATES["lp-ft, 0.5"][1].items():
        for key, _ in resnet.network.named_parameters():
            if key.startswith(prefix):
                moved = (whole[key] - before[key]).double()
                assert float(moved.norm()) > 1e-5
                # Differences of weights about 1 in float32
                torch.testing.assert_close((decayed[key] - before[key]).double(), factor * moved, rtol=1e-3, atol=3e-7)


def test_blocks_join_one_by_one(resnet: Small, tmp_path: Path) -> None:
    """In 6 steps (k + 0.5) / 6 passes 1/6 in step 1, 1/3 in step 2 and 1/2 in step 3."""
    weight, bias = map(torch.from_numpy, resnet.probe)
    start = weights_of(resnet.network) | {"classifier.1.weight": weight, "classifier.1.bias": bias}
    moved_before_step: list[set[str]] = []

    class Looking:
        predict = resnet.task.predict

        def loss(self, network: nn.Module, batch: Any) -> Any:
            moved = changed(start, weights_of(network))
            moved_before_step.append(
                {p for p in (STEM, FIRST, SECOND, "classifier.") for k in moved if k.startswith(p)}
            )
            return resnet.task.loss(network, batch)

    looking: Any = Looking()
    resnet.tune(GradualUnfreeze(settings()), folder=tmp_path, n_steps=6, task=looking)
    head, two = {"classifier."}, {"classifier.", SECOND}
    assert moved_before_step == [set(), head, two, two | {FIRST}, two | {FIRST, STEM}, two | {FIRST, STEM}]
