"""Which engine is tried, that each agrees with eager fp32, and what is said when one does not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from graft.backbones import engines
from graft.backbones.engines import EngineChoice, candidates, start_engine
from graft.backbones.heads import FeatureNetwork
from graft.backbones.loading import load_image_model
from graft.backbones.picture_source import PictureSource
from graft.backbones.preprocessing import Preprocessing
from graft.core.devices import Precision
from graft.core.errors import ModelError, UsageError

CPU = torch.device("cpu")
BF16, FP32 = Precision("bf16", "tested"), Precision("fp32", "tested")
SAMPLE = np.random.default_rng(0).integers(0, 256, (5, 3, 32, 32), dtype=np.uint8)


@pytest.fixture(scope="module")
def network(checkpoint: Path) -> FeatureNetwork:
    return load_image_model(str(checkpoint), label_names=["a", "b"]).feature_network()


def labels(
    wanted: str, *, precision: Precision = BF16, n_pictures: int = 1000, device: str = "cpu", **more: Any
) -> list[str]:
    found = candidates(wanted, device=torch.device(device), precision=precision, n_pictures=n_pictures, **more)
    return [choice.label for choice in found]


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    names: set[str] = set()
    monkeypatch.setattr(engines, "is_installed", lambda package: package in names)
    monkeypatch.setattr(engines.shutil, "which", lambda name: f"/usr/bin/{name}")
    return names


def test_without_openvino(installed: set[str]) -> None:
    assert labels("auto") == ["eager bf16", "eager fp32"]
    assert labels("auto", precision=FP32) == ["eager fp32"]
    assert labels("auto", n_pictures=10_000) == ["compile bf16", "eager fp32"]
    assert labels("eager") == ["eager bf16", "eager fp32"]
    assert labels("compile", precision=FP32) == ["compile fp32", "eager fp32"]
    with pytest.raises(UsageError, match="is not installed") as caught:
        labels("openvino")
    assert "pip install 'graft-finetune[openvino]'" in caught.value.fix


def test_with_openvino(installed: set[str]) -> None:
    installed.add("openvino")
    assert labels("auto") == ["openvino bf16", "openvino fp32", "eager fp32"]
    assert labels("auto", n_pictures=20) == ["eager bf16", "eager fp32"]
    assert labels("openvino", n_pictures=20) == ["openvino bf16", "openvino fp32", "eager fp32"]
    assert labels("auto", precision=FP32) == ["openvino fp32", "eager fp32"]
    assert labels("auto", is_strict_precision=True) == ["openvino bf16", "eager fp32"]


@pytest.mark.parametrize(("side", "first"), [(224, "openvino bf16"), (64, "eager bf16")])
def test_small_pictures_pay_for_a_conversion_later(installed: set[str], side: int, first: str) -> None:
    from transformers import ViTImageProcessorPil

    installed.add("openvino")
    preprocessing = Preprocessing(ViTImageProcessorPil(size={"height": side, "width": side}))
    source = PictureSource(preprocessing, "no weights", lambda: pytest.fail("no network is needed to choose"))
    for n_examples, wanted in ((200, first), (2_000, "openvino bf16")):
        found = source.candidates("auto", device=CPU, precision=BF16, n_examples=n_examples, is_strict_precision=False)
        assert found[0].label == wanted


def test_openvino_is_for_cpus(installed: set[str]) -> None:
    installed.add("openvino")
    assert labels("auto", device="cuda") == ["eager bf16", "eager fp32"]
    with pytest.raises(UsageError, match="it runs on CPUs only"):
        labels("openvino", device="cuda")


def test_an_unknown_engine(installed: set[str]) -> None:
    with pytest.raises(UsageError, match="engine 'onnx'"):
        labels("onnx")


@pytest.mark.parametrize("wanted", ["auto", "eager", "compile", "openvino"])
@pytest.mark.parametrize("precision", [BF16, FP32])
@pytest.mark.parametrize("n_pictures", [1, 100, 100_000])
def test_eager_fp32_is_always_last(installed: set[str], wanted: str, precision: Precision, n_pictures: int) -> None:
    installed.add("openvino")
    found = labels(wanted, precision=precision, n_pictures=n_pictures)
    assert found[-1] == "eager fp32"
    assert len(found) == len(set(found))


def reference(network: FeatureNetwork, pixels: NDArray[Any]) -> NDArray[np.float32]:
    with torch.inference_mode():
        return network(torch.from_numpy(pixels)).numpy()


def engine_names() -> list[EngineChoice]:
    names = ["eager", *(["openvino"] if engines.is_installed("openvino") else [])]
    return [EngineChoice(name, precision, "tested") for name in names for precision in (BF16, FP32)]


@pytest.mark.parametrize("choice", engine_names(), ids=lambda choice: choice.label)
def test_engines_give_the_networks_features(network: FeatureNetwork, choice: EngineChoice) -> None:
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    told: list[str] = []
    last = EngineChoice("eager", FP32, "the reference itself")
    engine, chosen, cosine = start_engine(
        network, [choice, last], sample=SAMPLE, batch_size=4, device=CPU, say=told.append
    )
    assert chosen == choice
    assert not told
    assert cosine >= engines.PARITY_COSINE
    pixels = np.random.default_rng(1).integers(0, 256, (4, 3, 32, 32), dtype=np.uint8)
    got, expected = engine(pixels), reference(network, pixels)
    assert got.dtype == np.float32
    assert got.shape == expected.shape == (4, 16)
    tolerance = 0.05 if choice.precision.name == "bf16" else 1e-4
    np.testing.assert_allclose(got, expected, atol=tolerance * np.abs(expected).max())
    # frozen means frozen: parameters and BatchNorm statistics
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, before[name]), name


def test_an_engine_that_differs_is_passed_over_and_that_is_said(
    network: FeatureNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "PARITY_COSINE", 1.1)  # nothing agrees that well
    told: list[str] = []
    choices = [EngineChoice("eager", BF16, ""), EngineChoice("eager", FP32, "the reference itself")]
    _, chosen, cosine = start_engine(network, choices, sample=SAMPLE, batch_size=4, device=CPU, say=told.append)
    assert chosen.label == "eager fp32"
    assert cosine > 0.99999
    assert len(told) == 1
    assert "engine eager bf16 differs from eager fp32" in told[0]
    assert "falling back to eager fp32" in told[0]


def test_an_engine_that_does_not_start_is_passed_over_and_that_is_said(
    network: FeatureNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> Any:
        raise RuntimeError("unknown operation\nsecond line")

    monkeypatch.setitem(engines._BUILDERS, "openvino", refuse)
    told: list[str] = []
    choices = [EngineChoice("openvino", BF16, ""), EngineChoice("eager", FP32, "")]
    _, chosen, _ = start_engine(network, choices, sample=SAMPLE, batch_size=4, device=CPU, say=told.append)
    assert chosen.label == "eager fp32"
    assert told == ["engine openvino bf16 did not start (unknown operation); falling back to eager fp32"]


def test_features_that_are_not_finite_are_refused(checkpoint: Path) -> None:
    model = load_image_model(str(checkpoint), label_names=["a", "b"])
    broken = model.feature_network()
    with torch.no_grad():
        next(broken.parameters()).fill_(float("nan"))
    choices = [EngineChoice("eager", FP32, "")]
    with pytest.raises(ModelError, match="infinite or undefined features"):
        start_engine(broken, choices, sample=SAMPLE, batch_size=4, device=CPU, say=lambda text: None)


def test_a_batch_norm_that_is_no_neighbour_is_not_folded_wrongly() -> None:
    """Neighbours among the children that do not follow each other: folding would change the output."""

    class Crossed(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = torch.ones(1)
            self.first = torch.nn.Conv2d(3, 4, 3)
            self.norm = torch.nn.BatchNorm2d(4)
            self.second = torch.nn.Conv2d(3, 4, 3)
            self.norm.running_mean.fill_(3.0)

        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            x = pixels.float() / 255
            return (self.first(x).relu() + self.norm(self.second(x))).mean((2, 3))

    crossed: Any = Crossed().eval()
    engine, _, cosine = start_engine(
        crossed, [EngineChoice("eager", FP32, "")], sample=SAMPLE, batch_size=5, device=CPU, say=lambda text: None
    )
    assert cosine > 0.99999
    np.testing.assert_allclose(engine(SAMPLE), reference(crossed, SAMPLE), rtol=1e-4, atol=1e-5)
