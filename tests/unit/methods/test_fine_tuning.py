"""One run: where it starts, what it looks at, what it is refused, and what it leaves behind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from conformance.small_methods import Small, make_architecture, settings, small_images, weights_of
from graft.core.errors import UsageError
from graft.methods.fine_tuning import fine_tune, held_out_figures, mend_dropout
from graft.methods.full import Full
from graft.methods.gradual import GradualUnfreeze
from graft.methods.lp_ft import LPFT
from graft.methods.partial import Partial
from graft.methods.settings import FineTuning
from graft.methods.where import Where, family_of, training_precision

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Small:
    return small_images(make_architecture("resnet", tmp_path_factory.mktemp("network") / "resnet"))


class Watching:
    """A task that tells the head's weights at each loss, and what was in the batch."""

    def __init__(self, small: Small) -> None:
        self._small, self.heads, self.keys = small, [], []
        self.predict = small.task.predict

    def loss(self, network: nn.Module, batch: Any) -> Any:
        layer: Any = network.get_submodule(self._small.head)
        self.heads.append((layer.weight.detach().clone(), layer.bias.detach().clone()))
        self.keys.append(set(batch))
        return self._small.task.loss(network, batch)


# What is set right before


def test_keep_probabilities_become_drop_probabilities() -> None:
    network = nn.Sequential(nn.Dropout(0.999), nn.Dropout(0.1), nn.Sequential(nn.Dropout(0.8), nn.Dropout(0.5)))
    assert mend_dropout(network) == ["0", "2.0"]
    assert [module.p for module in network.modules() if isinstance(module, nn.Dropout)] == pytest.approx(
        [0.001, 0.1, 0.2, 0.5]
    )
    assert mend_dropout(network) == []


def test_the_dropout_of_a_mobilenet_is_mended_in_the_copy_alone(tmp_path: Path) -> None:
    own = small_images(make_architecture("mobilenet_v2", tmp_path / "network"))
    given = [module.p for module in own.network.modules() if isinstance(module, nn.Dropout)]
    assert given == pytest.approx([0.8])
    tuned = own.tune(LPFT(settings()), folder=tmp_path / "run", n_steps=1).network
    assert [module.p for module in tuned.modules() if isinstance(module, nn.Dropout)] == pytest.approx([0.2])
    assert [module.p for module in own.network.modules() if isinstance(module, nn.Dropout)] == given


def test_depthwise_convolutions_train_in_float32_on_a_cpu() -> None:
    depthwise = nn.Sequential(nn.Conv2d(4, 4, 3, groups=4))
    assert training_precision(depthwise, CPU).name == "fp32"
    assert training_precision(depthwise, CPU, wanted="bf16").name == "bf16"


def test_the_family_is_what_the_configuration_says(small: Small) -> None:
    assert family_of(small.network) == "resnet"
    assert family_of(nn.Linear(1, 1)) == "Linear"


def test_figures_by_hand() -> None:
    """Shares of 3/4, 1/2 and 1/10 for the right class."""
    logits = np.log(np.array([[3, 1], [1, 1.0], [9, 1]])).astype(np.float32)
    figures = held_out_figures(logits + np.float32(500), np.array([0, 0, 1]))
    assert figures["log_loss"] == pytest.approx(-np.log(0.75 * 0.5 * 0.1) / 3, abs=1e-4)
    assert figures["accuracy"] == pytest.approx(2 / 3)


# Where it starts


@pytest.mark.parametrize("method", [LPFT(settings()), GradualUnfreeze(settings()), Partial(1, settings())])
def test_it_starts_from_the_probe(small: Small, method: Any, tmp_path: Path) -> None:
    watching: Any = Watching(small)
    small.tune(method, folder=tmp_path, n_steps=1, task=watching)
    for found, expected in zip(watching.heads[0], small.probe, strict=True):
        np.testing.assert_array_equal(found, expected)


def test_it_starts_from_zeros(small: Small, tmp_path: Path) -> None:
    watching: Any = Watching(small)
    small.tune(Full(settings()), folder=tmp_path, n_steps=1, task=watching)
    for tensor in watching.heads[0]:
        assert not tensor.any()


# What it looks at, and for how long


def test_looks_are_spread_over_the_run_and_end_it(small: Small, tmp_path: Path) -> None:
    tuned = small.tune(LPFT(settings(evaluations=3)), folder=tmp_path, n_steps=8)
    assert [line["step"] for line in tuned.training.history] == [3, 6, 8]
    best = min(tuned.training.history, key=lambda line: line["log_loss"])
    logits = small.logits(tuned.network)[12:16]
    assert held_out_figures(logits, small.examples.targets[12:16])["log_loss"] == pytest.approx(best["log_loss"])


def test_the_steps_are_those_of_the_settings(small: Small, tmp_path: Path) -> None:
    own = settings(epochs=2, batch_size=4, fewest_steps=1)
    tuned = fine_tune(
        LPFT(own),
        small.network,
        head=small.head,
        start=small.probe,
        task=small.task,
        examples=small.examples,
        rows=np.arange(12),
        where=Where(device="cpu", precision="fp32"),
    )
    assert tuned.training.n_steps == 6
    assert tuned.training.history == ()


def test_fewer_examples_than_a_batch(small: Small, tmp_path: Path) -> None:
    tuned = small.tune(LPFT(settings(batch_size=64)), folder=tmp_path, n=3, n_steps=2)
    assert tuned.training.n_steps == 2


# What the settings do to batches


@pytest.mark.parametrize("is_cached", [True, False])
@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"class_weights": "balanced"}, "class_weights"),
        ({"class_weights": "logit-adjustment"}, "logit_offset"),
        ({"label_smoothing": 0.1}, "soft_labels"),
        ({}, None),
    ],
)
def test_the_settings_reach_the_loss(
    small: Small, tmp_path: Path, changes: dict[str, Any], key: str | None, is_cached: bool
) -> None:
    watching: Any = Watching(small)
    small.tune(Partial(1, settings(**changes), is_cached=is_cached), folder=tmp_path, n_steps=2, task=watching)
    assert watching.keys[0] == watching.keys[1] == {"pixel_values", "labels"} | ({key} if key else set())


@pytest.mark.parametrize("changes", [{}, {"label_smoothing": 0.2}, {"class_weights": "balanced"}])
def test_cached_activations_change_nothing(small: Small, tmp_path: Path, changes: dict[str, Any]) -> None:
    own = settings(augmentation="none", learning_rate=1e-3, **changes)
    cached, whole = (
        small.tune(Partial(1, own, is_cached=is_cached), folder=tmp_path / str(is_cached), n=11)
        for is_cached in (True, False)
    )
    for name, tensor in weights_of(whole.network).items():
        torch.testing.assert_close(weights_of(cached.network)[name], tensor, rtol=0, atol=1e-5)
    assert [line["log_loss"] for line in cached.training.history] == pytest.approx(
        [line["log_loss"] for line in whole.training.history], abs=1e-4
    )


def test_mirror_images_are_cached_where_pictures_are_distorted(small: Small, tmp_path: Path) -> None:
    for word, n in (("none", 1), ("light", 2)):
        small.tune(Partial(1, settings(augmentation=word)), folder=tmp_path / word, n_steps=1)
        assert len(list((tmp_path / word).glob("activations-*.npy"))) == n
    plain, mirror = (np.load(tmp_path / "light" / f"activations-{word}.npy") for word in ("plain", "mirror"))
    assert plain.shape == mirror.shape
    assert len(plain) == 16
    assert not np.array_equal(plain, mirror)


@pytest.mark.parametrize("changes", [{"mixup": 0.2}, {"cutmix": 1.0}, {"batch_norm": "recalibrate"}])
def test_what_cached_activations_cannot_do_is_refused(small: Small, tmp_path: Path, changes: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="cached at the frozen boundary"):
        small.tune(Partial(1, settings(**changes)), folder=tmp_path)
    small.tune(Partial(1, settings(**changes), is_cached=False), folder=tmp_path, n_steps=1)


def test_cached_activations_need_a_folder(small: Small) -> None:
    nowhere: Any = None
    with pytest.raises(UsageError, match="without a folder"):
        small.tune(Partial(1, settings()), folder=nowhere)


@pytest.mark.parametrize("k", [0, 3])
def test_blocks_that_there_are_not(small: Small, tmp_path: Path, k: int) -> None:
    with pytest.raises(UsageError, match="1 to 2"):
        small.tune(Partial(k, settings()), folder=tmp_path)


@pytest.mark.parametrize("share", [0, 1, -0.5])
def test_gradual_needs_a_share_of_the_run(share: float) -> None:
    with pytest.raises(UsageError, match="all_by"):
        GradualUnfreeze(all_by=share)


def test_recalibrated_statistics_are_those_of_the_training_pictures(small: Small, tmp_path: Path) -> None:
    """The first norm by hand: mean and variance of what the first convolution gives for the 12 pictures."""
    method = LPFT(FineTuning(learning_rate=1e-3, batch_norm="recalibrate", batch_size=12))
    network: Any = small.tune(method, folder=tmp_path, n_steps=2, has_looks=False).network
    first = network.resnet.embedder.embedder
    (batch,) = small.examples.plain(np.arange(12), batch_size=12)
    with torch.inference_mode():
        given = first.convolution(batch["pixel_values"])
    torch.testing.assert_close(first.normalization.running_mean, given.mean((0, 2, 3)), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(first.normalization.running_var, given.var((0, 2, 3)), rtol=1e-4, atol=1e-5)


# What it leaves behind


def test_without_a_folder_nothing_is_written(small: Small, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    nowhere: Any = None
    small.tune(LPFT(settings()), folder=nowhere, n_steps=2)
    assert list(tmp_path.iterdir()) == []


def test_the_result_is_plain_and_at_rest(small: Small, tmp_path: Path) -> None:
    network = small.tune(LPFT(settings()), folder=tmp_path, n_steps=1).network
    assert not any(parameter.requires_grad for parameter in network.parameters())
    assert {(t.device.type, t.is_contiguous()) for t in network.state_dict().values()} == {("cpu", True)}
    assert {p.dtype for p in network.parameters()} == {torch.float32}
    assert not any(module.training for module in network.modules())
    assert len((tmp_path / "steps.jsonl").read_text().splitlines()) == 1
