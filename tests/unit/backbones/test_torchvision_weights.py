"""State files with torchvision's layer names: converted to the same logits, or refused with a reason."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from published_networks import published_network
from torch import Tensor

from graft.backbones.loading import load_image_model
from graft.backbones.torchvision_weights import TORCHVISION_ARCHITECTURES, convert_torchvision, reference_logits
from graft.core.errors import ModelError, UsageError

LABELS = ["a", "b", "c"]


def save(state: dict[str, Tensor] | Any, path: Path) -> Path:
    torch.save(state, path)
    return path


@pytest.fixture(scope="module")
def resnet18(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(published_network("resnet18").state_dict(), tmp_path_factory.mktemp("w") / "resnet18.pth")


@pytest.mark.parametrize("architecture", TORCHVISION_ARCHITECTURES)
def test_the_converted_network_has_the_published_networks_features(architecture: str, tmp_path: Path) -> None:
    published = published_network(architecture)
    state = published.state_dict()
    weights = save(state, tmp_path / "w.pth")
    model = load_image_model(f"torchvision:{architecture}", weights=weights, label_names=LABELS)
    head = "classifier.1" if architecture == "mobilenet_v2" else "fc"
    assert model.backbone.n_features == state[f"{head}.weight"].shape[1]
    assert model.head.layer.out_features == 3
    assert model.backbone.n_parameters == sum(p.numel() for p in published.parameters()) - sum(
        p.numel() for p in published.get_submodule(head).parameters()
    )
    pixels = torch.randn(2, 3, 96, 64, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        expected = published(pixels)
        torch.testing.assert_close(reference_logits(state, architecture, pixels), expected, rtol=1e-4, atol=1e-4)
        # the published head on the converted features gives the published logits
        model.head.set(torch.zeros(3, model.head.n_features), torch.zeros(3))
        raw = model.feature_network()
        raw.scale.fill_(1)
        raw.offset.fill_(0)
        got = raw(pixels) @ state[f"{head}.weight"].T + state[f"{head}.bias"]
    torch.testing.assert_close(got, expected, rtol=1e-3, atol=1e-4 * float(expected.abs().max()))
    assert "largest difference of logits" in model.notes[0]


def test_the_preprocessing_is_torchvisions(resnet18: Path) -> None:
    """Shorter side to 256, middle 224 cut out, ImageNet's mean and deviation."""
    model = load_image_model("torchvision:resnet18", weights=resnet18, label_names=LABELS)
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (300, 400, 3), dtype=np.uint8))
    small = picture.resize((int(256 * 400 / 300), 256), Image.Resampling.BILINEAR)
    left, top = round((small.width - 224) / 2), round((small.height - 224) / 2)
    cut = np.asarray(small.crop((left, top, left + 224, top + 224))).transpose(2, 0, 1) / 255
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    expected = (cut - mean[:, None, None]) / std[:, None, None]
    pre = model.preprocessing
    got = pre(picture) * pre.scale[:, None, None] + pre.offset[:, None, None]
    assert pre.shape == (3, 224, 224)
    assert np.abs(got - expected).mean() < 0.02
    np.testing.assert_allclose(got, expected, atol=0.06)


def test_files_as_people_save_them(tmp_path: Path, resnet18: Path) -> None:
    from safetensors.torch import save_file

    state = torch.load(resnet18, weights_only=True)
    save_file(state, tmp_path / "w.safetensors")
    files = [
        tmp_path / "w.safetensors",
        save({"state_dict": state, "epoch": 3}, tmp_path / "checkpoint.pth"),
        save({f"module.{name}": tensor for name, tensor in state.items()}, tmp_path / "parallel.pth"),
        save({name: t.half() if t.is_floating_point() else t for name, t in state.items()}, tmp_path / "half.pth"),
    ]
    for file in files:
        network, _, _ = convert_torchvision("resnet18", file, label_names=LABELS)
        assert network.config.id2label == {0: "a", 1: "b", 2: "c"}


def refused(architecture: str, weights: Path | None) -> str:
    with pytest.raises((ModelError, UsageError)) as caught:
        convert_torchvision(architecture, weights, label_names=LABELS)
    return str(caught.value)


def test_another_architectures_file_is_refused(resnet18: Path) -> None:
    assert "does not fit resnet50" in refused("resnet50", resnet18)
    assert "does not fit resnet34" in refused("resnet34", resnet18)
    assert "has no 'classifier.1.weight'" in refused("mobilenet_v2", resnet18)
    assert "To fix: name the architecture that the file was saved from" in refused("resnet50", resnet18)


def test_a_changed_network_gives_other_logits_and_is_refused(resnet18: Path, tmp_path: Path) -> None:
    """The same names and shapes, but a weight that the forward pass of the reference does not know."""
    state = torch.load(resnet18, weights_only=True)
    state["bn1.running_var"] = torch.full_like(state["bn1.running_var"], float("nan"))
    assert "gives other logits" in refused("resnet18", save(state, tmp_path / "w.pth"))


def test_files_that_are_no_state(tmp_path: Path) -> None:
    (tmp_path / "page.pth").write_text("<html>not found</html>")
    assert "cannot be read as weights" in refused("resnet18", tmp_path / "page.pth")
    assert "no weights file" in refused("resnet18", tmp_path / "none.pth")
    assert "holds no state_dict" in refused("resnet18", save([1, 2], tmp_path / "list.pth"))
    whole = save(torch.nn.Linear(2, 2), tmp_path / "whole.pth")
    assert "Graft runs no pickled code" in refused("resnet18", whole)


def test_names_and_options_that_are_missing() -> None:
    assert "Did you mean 'resnet18'?" in refused("resnet-18", None)
    assert "--weights FILE" in refused("resnet18", None)


def test_weights_belong_to_torchvision_models_alone(resnet18: Path, checkpoint: Path) -> None:
    with pytest.raises(ModelError, match="only with --model torchvision"):
        load_image_model(str(checkpoint), weights=resnet18, label_names=LABELS)
