"""What every method must keep, on every task; a new one needs its row in `METHODS` or `SMALL`, and no change here."""

from __future__ import annotations

import importlib
import inspect
import json
import os
import pkgutil
import subprocess
import sys
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor, nn

import graft.methods
from conformance.small_methods import (
    ARCHITECTURES,
    METHODS,
    SMALL,
    Small,
    is_mobilenet,
    load_adapter,
    make_architecture,
    settings,
    small_images,
    weights_of,
)
from conformance.two_processes import run_all
from graft.backbones.heads import Head
from graft.backbones.text_pooling import fixed_modules
from graft.core.processes import Processes
from graft.methods.fine_tuning import held_out_figures
from graft.methods.full import Full
from graft.methods.gradual import GradualUnfreeze
from graft.methods.head_only import HeadOnly
from graft.methods.lora import LoRA
from graft.methods.lp_ft import LPFT
from graft.methods.partial import Partial
from graft.methods.prepared import FineTuningMethod, Prepared
from graft.methods.weights import interpolate
from graft.tasks.registry import TASKS, task_class

PROGRAMS = Path(__file__).parent
METHOD_NAMES = pytest.mark.parametrize("name", METHODS)


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("networks")
    return {name: make_architecture(name, folder / name) for name in ARCHITECTURES}


@pytest.fixture(scope="module", params=SMALL)
def small(request: pytest.FixtureRequest, checkpoints: dict[str, Path]) -> Small:
    """Return a task with its examples, on the small ResNet."""
    return SMALL[request.param](checkpoints["resnet"])


@pytest.fixture(scope="module")
def resnet(checkpoints: dict[str, Path]) -> Small:
    """Return image classification on the small ResNet."""
    return small_images(checkpoints["resnet"])


@pytest.fixture(scope="module", params=ARCHITECTURES)
def pictured(request: pytest.FixtureRequest, checkpoints: dict[str, Path]) -> Small:
    """Return image classification on each small network."""
    return small_images(checkpoints[request.param])


@pytest.fixture(autouse=True)
def one_thread() -> Any:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def changed(before: Mapping[str, Tensor], after: Mapping[str, Tensor]) -> set[str]:
    assert before.keys() == after.keys()
    return {name for name in before if not torch.equal(before[name], after[name])}


def prepared(method: FineTuningMethod, small: Small) -> Prepared:
    """Return a copy of the task's network, prepared."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        family = small.network.config.model_type  # type: ignore[union-attr]
        return method.prepare(deepcopy(small.network), head=small.head, family=str(family))


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


def is_idle(key: str) -> bool:
    """Return whether a parameter is a key's bias: it shifts all scores of a query alike, which the softmax forgets.

    Its gradient is rounding, and Adam makes steps of full size of it.
    """
    return key.endswith((".key.bias", ".k_proj.bias"))


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


# Rates

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


# One result, however it is computed


@METHOD_NAMES
def test_four_micro_batches_are_one_batch(small: Small, name: str, tmp_path: Path) -> None:
    whole, parts = (
        small.tune(METHODS[name](settings(micro_batch_size=size, learning_rate=1e-3)), folder=tmp_path / str(size))
        for size in (None, 2)
    )
    for key, tensor in weights_of(whole.network).items():
        if is_idle(key):
            continue
        size = max(1.0, float(tensor.abs().max()))  # heads of small features are large
        torch.testing.assert_close(weights_of(parts.network)[key], tensor, rtol=0, atol=1e-5 * size, msg=key)


def environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "1", "PYTHONWARNINGS": "ignore"}


def test_two_processes_are_one(checkpoints: dict[str, Path], tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    two.mkdir()
    launch = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone"]
    words = [str(PROGRAMS / "two_processes.py"), str(checkpoints["resnet"]), str(two)]
    run_all(checkpoints["resnet"], one, Processes())  # first, since of two processes only one may write checkpoints
    subprocess.run([*launch, *words], env=environment(), check=True, timeout=500)
    files = sorted(path.name for path in one.glob("*.safetensors"))
    assert files == sorted(path.name for path in two.glob("*.safetensors"))
    assert len(files) == len(METHODS) * len(SMALL)
    for file in files:
        found = load_file(two / file)
        for key, tensor in load_file(one / file).items():
            if is_idle(key):
                continue
            size = max(1.0, float(tensor.abs().max()))
            torch.testing.assert_close(found[key], tensor, rtol=0, atol=1e-5 * size, msg=f"{file}: {key}")


def test_runs_that_were_killed_at_random_end_as_if_they_had_not_been(
    checkpoints: dict[str, Path], tmp_path: Path
) -> None:
    """Two kills a method, somewhere in its steps and looks; GRAFT_KILL_SEED draws others."""
    seed = os.environ.get("GRAFT_KILL_SEED", "0")
    words = [str(PROGRAMS / "killed_methods.py"), str(checkpoints["resnet"]), str(tmp_path), seed]
    told = subprocess.run(
        [sys.executable, *words], env=environment(), check=True, timeout=500, stdout=subprocess.PIPE, text=True
    )
    ended = json.loads(told.stdout.splitlines()[-1])
    assert set(ended) == {f"{task} {name}" for task in SMALL for name in METHODS}
    assert set(map(tuple, ended.values())) == {(0, -9, -9, 0)}
    for name in ended:
        whole, resumed = (tmp_path / f"{name} {word}.safetensors" for word in ("undisturbed", "resumed"))
        assert changed(load_file(whole), load_file(resumed)) == set(), name
        assert history(whole) == history(resumed), name


def history(path: Path) -> Any:
    with safe_open(path, framework="pt") as file:
        return json.loads(file.metadata()["history"])


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


# LoRA


def test_low_rank_updates_start_as_nothing(pictured: Small) -> None:
    before = pictured.logits(pictured.network)
    wrapped = prepared(LoRA(rank=4), pictured).network
    np.testing.assert_allclose(pictured.logits(wrapped), before, rtol=0, atol=1e-6)


def test_the_adapter_the_merged_network_and_the_loaded_adapter_say_the_same(pictured: Small, tmp_path: Path) -> None:
    own = prepared(LoRA(rank=4), pictured)
    source = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for key, parameter in own.network.named_parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn(parameter.shape, generator=source) * (0.02 if ".lora_" in key else 0.2))
    adapted = pictured.logits(own.network)
    scale = float(np.abs(adapted).max())
    assert np.abs(adapted - pictured.logits(pictured.network)).max() > 0.01
    merged = own.finish(own.network)
    assert type(merged) is type(pictured.network)
    assert weights_of(merged).keys() == weights_of(pictured.network).keys()
    np.testing.assert_allclose(pictured.logits(merged), adapted, rtol=0, atol=1e-5 * scale)
    assert own.save_adapter is not None
    own.save_adapter(tmp_path, kept=merged, share=1.0)
    loaded = load_adapter(pictured, tmp_path)
    if is_mobilenet(pictured):
        np.testing.assert_array_equal(pictured.logits(loaded), pictured.logits(merged))
    else:
        np.testing.assert_array_equal(pictured.logits(loaded), adapted)


def test_the_adapter_of_a_finished_run_loads_onto_the_base_network(pictured: Small, tmp_path: Path) -> None:
    tuned = pictured.tune(METHODS["lora"](settings()), folder=tmp_path / "run")
    assert tuned.save_adapter is not None
    tuned.save_adapter(tmp_path / "adapter", kept=tuned.network, share=1.0)
    loaded = load_adapter(pictured, tmp_path / "adapter")
    expected = pictured.logits(tuned.network)
    np.testing.assert_allclose(pictured.logits(loaded), expected, rtol=0, atol=1e-5 * float(np.abs(expected).max()))


def test_only_lora_keeps_something_apart(small: Small, tmp_path: Path) -> None:
    for name, make in METHODS.items():
        assert (prepared(make(settings()), small).save_adapter is not None) == (name == "lora")


# The head alone: fitted by the solver, not by the loop


@pytest.fixture
def fitted(small: Small) -> tuple[Small, nn.Module, Any, Any]:
    """Return the task, its network with the fitted head, its features, and the head."""
    network = deepcopy(small.network)
    features = small.features(8)
    head = HeadOnly(n_folds=2).fit(features, small.examples.targets[:8], n_classes=2)
    Head(network, small.head).set(torch.from_numpy(head.weights), torch.from_numpy(head.bias))
    return small, network, features, head


def test_the_head_alone_leaves_all_else_bit_identical(fitted: Any) -> None:
    small, network, _, _ = fitted
    assert changed(weights_of(small.network), weights_of(network)) == {f"{small.head}.weight", f"{small.head}.bias"}


def test_the_head_alone_learns_eight_examples(fitted: Any) -> None:
    small, _, features, head = fitted
    assert (head.logits(features).argmax(1) == small.examples.targets[:8]).all()


def test_the_network_with_the_head_says_what_the_head_says_of_features(fitted: Any) -> None:
    small, network, features, head = fitted
    np.testing.assert_allclose(small.logits(network)[:8], head.logits(features), rtol=1e-3, atol=1e-3)


def test_a_saved_network_with_the_head_says_the_same(fitted: Any, tmp_path: Path) -> None:
    small, network, _, _ = fitted
    loaded = small.save_and_load(network, tmp_path / "model")
    np.testing.assert_array_equal(small.logits(loaded), small.logits(network))
