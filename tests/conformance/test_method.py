"""What every method must keep, on every task; a new one needs its row in `METHODS` or `SMALL`, and no change here."""

from __future__ import annotations

import importlib
import inspect
import json
import pkgutil
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import graft.methods
from conformance.method_checks import changed, is_idle, prepared
from conformance.small_methods import (
    METHODS,
    SMALL,
    Small,
    settings,
    weights_of,
)
from graft.backbones.heads import Head
from graft.backbones.text_pooling import fixed_modules
from graft.methods.fine_tuning import held_out_figures
from graft.methods.prepared import FineTuningMethod
from graft.methods.weights import interpolate
from graft.tasks.registry import TASKS, task_class

METHOD_NAMES = pytest.mark.parametrize("name", METHODS)


def test_every_task_and_every_method_is_here() -> None:
    with_features = {name for name in TASKS if hasattr(task_class(name), "features")}
    assert set(SMALL) == with_features  # recognisers have none: test_speech_task.py has their rows
    assert set(TASKS) - with_features == {"automatic-speech-recognition", "text-generation"}
    found = set()
    for module in pkgutil.iter_modules(graft.methods.__path__, "graft.methods."):
        for kind in vars(importlib.import_module(module.name)).values():
            if inspect.isclass(kind) and hasattr(kind, "prepare") and kind is not FineTuningMethod:
                found.add(kind)
    methods = [make(settings()) for make in METHODS.values()]
    assert found == {type(method) for method in methods}
    for method in methods:
        assert isinstance(method, FineTuningMethod)
        assert type(method).__bases__ == (object,), "a method inherits from nothing"
        assert json.loads(json.dumps(method.as_dict()))["name"] == method.name


# What moves and what does not


def moving(name: str, small: Small) -> set[str]:
    """Return the parameters that a method is to change, in its own words."""
    network = small.network
    everything = {key for key, _ in network.named_parameters()}
    own_head = {f"{small.head}.weight", f"{small.head}.bias"}
    if name == "lora":
        adapted = {f"{key}.weight" for key, module in network.named_modules() if is_adapted(module)}
        return adapted | own_head
    if name.startswith("partial"):
        last = {
            "resnet": ("resnet.encoder.stages.1.layers.0.",),
            "vit": ("vit.layers.2.", "vit.layernorm."),
            "mobilenet_v2": ("mobilenet_v2.layer.15.", "mobilenet_v2.conv_1x1."),
        }[network.config.model_type]  # type: ignore[union-attr,index]
        return {key for key in everything if key.startswith(last)} | own_head
    return everything


def is_adapted(module: nn.Module) -> bool:
    return isinstance(module, nn.Linear) or (isinstance(module, nn.Conv2d) and module.groups == 1)


@METHOD_NAMES
def test_exactly_the_declared_parameters_change_and_no_buffer(pictured: Small, name: str, tmp_path: Path) -> None:
    before = weights_of(pictured.network)
    tuned = pictured.tune(METHODS[name](settings()), folder=tmp_path)
    after = weights_of(tuned.network)
    assert changed(weights_of(pictured.network), before) == set(), "the network that was given has changed"
    expected = moving(name, pictured)
    assert expected <= {key for key, _ in pictured.network.named_parameters()}
    assert changed(before, after) == expected
    assert not tuned.network.training
    assert type(tuned.network) is type(pictured.network)
    own = prepared(METHODS[name](settings()), pictured)
    assert sorted(key for group in own.groups for key in group.names) == sorted(
        key for key, parameter in own.network.named_parameters() if parameter.requires_grad
    )
    assert tuned.n_trainable == sum(p.numel() for p in own.network.parameters() if p.requires_grad)


@METHOD_NAMES
def test_what_is_frozen_or_computed_without_its_weights_is_bit_identical(
    small: Small, name: str, tmp_path: Path
) -> None:
    before = weights_of(small.network)
    after = weights_of(small.tune(METHODS[name](settings()), folder=tmp_path).network)
    parameters = {key for key, _ in small.network.named_parameters()}
    fixed = tuple(f"{module}." for module in fixed_modules(small.network))
    moved = changed(before, after)
    assert moved <= parameters, "a buffer has moved"
    assert not any(fixed and key.startswith(fixed) for key in moved)
    assert {f"{small.head}.weight", f"{small.head}.bias"} <= moved
    if name in ("lp-ft", "lp-ft with layer decay", "full", "gradual", "contrastive"):
        still = {key for key in parameters - moved if not ((fixed and key.startswith(fixed)) or is_idle(key))}
        assert still == set(), "a parameter has not moved"


@METHOD_NAMES
@pytest.mark.parametrize("wanted", ["auto", "frozen"])
def test_few_texts_leave_the_word_vectors_bit_identical(
    name: str, wanted: str, checkpoints: dict[str, Path], tmp_path: Path
) -> None:
    small = SMALL["text-classification"](checkpoints["resnet"])
    table = next(key for key, _ in small.network.named_parameters() if key.endswith("word_embeddings.weight"))
    method = METHODS[name](settings(word_embeddings=wanted))
    moved = changed(weights_of(small.network), weights_of(small.tune(method, folder=tmp_path).network))
    assert table not in moved
    assert moved, "nothing has moved"


@METHOD_NAMES
def test_statistics_move_where_they_shall_and_only_there(resnet: Small, name: str, tmp_path: Path) -> None:
    before = weights_of(resnet.network)
    after = weights_of(resnet.tune(METHODS[name](settings(batch_norm="train")), folder=tmp_path).network)
    buffers = {key for key, _ in resnet.network.named_buffers()} & changed(before, after)
    statistics = {key for key, _ in resnet.network.named_buffers()}
    if name.startswith("partial"):
        statistics = {key for key in statistics if key.startswith("resnet.encoder.stages.1.")}
    assert buffers == (set() if name == "lora" else statistics)  # LoRA's own norms are frozen


@METHOD_NAMES
def test_the_seed_alone_decides(small: Small, name: str, tmp_path: Path) -> None:
    runs = []
    for noise, seed in ((1, 0), (2, 0), (2, 1)):
        torch.manual_seed(noise)
        state = torch.get_rng_state()
        runs.append(weights_of(small.tune(METHODS[name](settings()), folder=tmp_path, n_steps=2, seed=seed).network))
        assert torch.equal(torch.get_rng_state(), state)
    assert changed(runs[0], runs[1]) == set()
    assert changed(runs[0], runs[2])


# Learning, saving, mixing


@METHOD_NAMES
def test_eight_examples_are_learned(small: Small, name: str, tmp_path: Path) -> None:
    is_slow = small.task.name == "audio-classification" and name == "lora"  # at a higher rate it comes apart
    rate = 5e-3 if name != "lora" else 2e-2 if is_slow else 5e-2
    method = METHODS[name](settings(augmentation="none", learning_rate=rate, schedule="cosine"))
    zeros = replace(small, probe=(np.zeros_like(small.probe[0]), small.probe[1]))
    tuned = zeros.tune(method, folder=tmp_path, n=8, n_steps=180 if is_slow else 60, has_looks=False)
    figures = held_out_figures(small.logits(tuned.network)[:8], small.examples.targets[:8])
    assert figures["log_loss"] < 0.1
    assert figures["accuracy"] == 1


@METHOD_NAMES
def test_a_saved_network_says_the_same(pictured: Small, name: str, tmp_path: Path) -> None:
    tuned = pictured.tune(METHODS[name](settings()), folder=tmp_path / "run", n_steps=3)
    loaded = pictured.save_and_load(tuned.network, tmp_path / "model")
    assert changed(weights_of(tuned.network), weights_of(loaded)) == set()
    np.testing.assert_array_equal(pictured.logits(loaded), pictured.logits(tuned.network))


@METHOD_NAMES
def test_the_ends_of_the_way_are_the_probe_and_the_fine_tuned_network(small: Small, name: str, tmp_path: Path) -> None:
    probe = deepcopy(small.network)
    Head(probe, small.head).set(*map(torch.from_numpy, small.probe))
    tuned = small.tune(METHODS[name](settings()), folder=tmp_path).network
    for share, end in ((0.0, probe), (1.0, tuned)):
        mixed = deepcopy(small.network)
        mixed.load_state_dict(interpolate(probe.state_dict(), tuned.state_dict(), share))
        assert changed(weights_of(mixed), weights_of(end)) == set()
        np.testing.assert_array_equal(small.logits(mixed), small.logits(end))
    halfway = interpolate(probe.state_dict(), tuned.state_dict(), 0.5)
    key = f"{small.head}.weight"
    torch.testing.assert_close(halfway[key], (probe.state_dict()[key] + tuned.state_dict()[key]) / 2)
