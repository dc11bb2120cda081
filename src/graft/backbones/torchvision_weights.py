"""torchvision state files as transformers checkpoints: converted exactly, proven by equal logits.

torchvision itself is not needed. The proof runs the state file through a plain functional forward pass that follows
the published architectures and compares its logits with the converted network's on the same input.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 (torch's own convention)
from torch import Tensor, nn

from graft.core.errors import ModelError, UsageError, did_you_mean

__all__ = ["TORCHVISION_ARCHITECTURES", "convert_torchvision", "reference_logits"]

_BASIC, _WIDE = [64, 128, 256, 512], [256, 512, 1024, 2048]

# He et al. 2016, table 1: https://arxiv.org/abs/1512.03385; Sandler et al. 2018: https://arxiv.org/abs/1801.04381
TORCHVISION_ARCHITECTURES: Mapping[str, tuple[str, list[int], list[int]]] = {
    "resnet18": ("basic", [2, 2, 2, 2], _BASIC),
    "resnet34": ("basic", [3, 4, 6, 3], _BASIC),
    "resnet50": ("bottleneck", [3, 4, 6, 3], _WIDE),
    "resnet101": ("bottleneck", [3, 4, 23, 3], _WIDE),
    "resnet152": ("bottleneck", [3, 8, 36, 3], _WIDE),
    "mobilenet_v2": ("inverted", [], []),
}
_MOBILENET_STRIDES = [1, 2, 1, 2, 1, 1, 2, 1, 1, 1, 1, 1, 1, 2, 1, 1, 1]  # of features.1 to features.17


def convert_torchvision(
    architecture: str, weights: str | Path | None, *, label_names: Sequence[str]
) -> tuple[nn.Module, Any, tuple[str, ...]]:
    """Return a transformers network with a head for `label_names`, its image processor, and notes.

    Parameters
    ----------
    architecture : a key of `TORCHVISION_ARCHITECTURES`.
    weights : the state file, .pth (read with torch's weights-only reader) or .safetensors.

    Raises
    ------
    UsageError
        When the architecture is unknown or no state file was named.
    ModelError
        When the file cannot be read, does not fit the architecture, or the logits differ.
    """
    if architecture not in TORCHVISION_ARCHITECTURES:
        raise UsageError(
            f"torchvision architecture '{architecture}'.{did_you_mean(architecture, TORCHVISION_ARCHITECTURES)}",
            expected=", ".join(TORCHVISION_ARCHITECTURES),
        )
    if weights is None:
        raise UsageError(
            f"--model torchvision:{architecture} was given without a state file",
            expected="the file that torch.save(model.state_dict(), FILE) wrote",
            fix="add --weights FILE (Python: weights='FILE')",
        )
    state = _read_state(Path(weights))
    n_outputs = _check_head(state, architecture, Path(weights))
    network = _build(architecture, n_outputs)
    try:
        network.load_state_dict(dict(_renamed(state, architecture)), strict=True)
    except RuntimeError as error:
        raise ModelError(
            f"{weights} does not fit {architecture}: {str(error).splitlines()[1].strip()[:300]}",
            expected=f"the state_dict of torchvision's {architecture}",
            fix="name the architecture that the file was saved from",
        ) from error
    network.eval()
    difference = _largest_difference(state, architecture, network)
    _new_head(network, architecture, label_names)
    from transformers.models.convnext.image_processing_pil_convnext import ConvNextImageProcessorPil

    processor = ConvNextImageProcessorPil(  # resize 256, centre crop 224: torchvision's evaluation transform
        size={"shortest_edge": 224}, crop_pct=224 / 256, resample=2,
        image_mean=[0.485, 0.456, 0.406], image_std=[0.229, 0.224, 0.225],
    )  # fmt: skip
    note = f"{Path(weights).name} converted from torchvision, largest difference of logits {difference:.1e}"
    return network, processor, (note,)


def reference_logits(state: Mapping[str, Tensor], architecture: str, pixels: Tensor) -> Tensor:
    """Return the logits that torchvision's network with this state gives, by a functional forward pass.

    Parameters
    ----------
    state : a torchvision state_dict.
    pixels : (n_pictures, 3, height, width), normalised.
    """
    if architecture == "mobilenet_v2":
        return _mobilenet_logits(state, pixels)
    kind, depths, _ = TORCHVISION_ARCHITECTURES[architecture]
    x = F.relu(_norm(state, "bn1", F.conv2d(pixels, state["conv1.weight"], stride=2, padding=3)))
    x = F.max_pool2d(x, 3, stride=2, padding=1)
    for stage, depth in enumerate(depths, start=1):
        for block in range(depth):
            prefix = f"layer{stage}.{block}"
            stride = 2 if stage > 1 and block == 0 else 1
            # the stride is on the first 3x3 convolution, in bottlenecks too (torchvision's "V1.5")
            plan = [(3, stride), (3, 1)] if kind == "basic" else [(1, 1), (3, stride), (1, 1)]
            y = x
            for i, (size, step) in enumerate(plan, start=1):
                y = F.conv2d(y, state[f"{prefix}.conv{i}.weight"], stride=step, padding=size // 2)
                y = _norm(state, f"{prefix}.bn{i}", y)
                if i < len(plan):
                    y = F.relu(y)
            if f"{prefix}.downsample.0.weight" in state:
                x = _norm(
                    state, f"{prefix}.downsample.1", F.conv2d(x, state[f"{prefix}.downsample.0.weight"], stride=stride)
                )
            x = F.relu(x + y)
    return F.linear(x.mean((2, 3)), state["fc.weight"], state["fc.bias"])


def _mobilenet_logits(state: Mapping[str, Tensor], pixels: Tensor) -> Tensor:
    def convolve(x: Tensor, convolution: str, norm: str, *, stride: int = 1) -> Tensor:
        weight = state[f"{convolution}.weight"]
        groups = x.shape[1] // weight.shape[1]
        return _norm(state, norm, F.conv2d(x, weight, stride=stride, padding=weight.shape[2] // 2, groups=groups))

    x = F.relu6(convolve(pixels, "features.0.0", "features.0.1", stride=2))
    for i, stride in enumerate(_MOBILENET_STRIDES, start=1):
        prefix, y, at = f"features.{i}.conv", x, 0
        if i > 1:  # the first block has no expansion
            y, at = F.relu6(convolve(y, f"{prefix}.0.0", f"{prefix}.0.1")), 1
        y = F.relu6(convolve(y, f"{prefix}.{at}.0", f"{prefix}.{at}.1", stride=stride))
        y = convolve(y, f"{prefix}.{at + 1}", f"{prefix}.{at + 2}")
        x = x + y if stride == 1 and x.shape == y.shape else y
    x = F.relu6(convolve(x, "features.18.0", "features.18.1"))
    return F.linear(x.mean((2, 3)), state["classifier.1.weight"], state["classifier.1.bias"])


def _norm(state: Mapping[str, Tensor], name: str, x: Tensor) -> Tensor:
    return F.batch_norm(
        x, state[f"{name}.running_mean"], state[f"{name}.running_var"], state[f"{name}.weight"], state[f"{name}.bias"]
    )


def _read_state(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise ModelError(
            f"no weights file {path}",
            expected="a torchvision state file (.pth or .safetensors)",
            fix="check --weights (Python: weights=)",
        )
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            state: Any = load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise ModelError(
            f"{path} cannot be read as weights: {str(error).splitlines()[0][:200]}",
            expected="a file that torch.save(model.state_dict(), FILE) or safetensors wrote",
            fix="save the state_dict, not the whole model: Graft runs no pickled code",
        ) from error
    if isinstance(state, dict) and isinstance(state.get("state_dict"), dict):
        state = state["state_dict"]
    if not isinstance(state, dict) or not all(isinstance(v, Tensor) for v in state.values()):
        raise ModelError(f"{path} holds no state_dict", expected="names mapped to tensors")
    return {name.removeprefix("module."): tensor.float() for name, tensor in state.items()}


def _check_head(state: Mapping[str, Tensor], architecture: str, path: Path) -> int:
    """Return the number of outputs of the file's own head."""
    name = "classifier.1.weight" if architecture == "mobilenet_v2" else "fc.weight"
    if name not in state:
        raise ModelError(
            f"{path} has no '{name}' (it holds {', '.join(list(state)[:3])}, ...)",
            expected=f"the state_dict of torchvision's {architecture}",
            fix="name the architecture that the file was saved from",
        )
    return state[name].shape[0]


def _build(architecture: str, n_outputs: int) -> nn.Module:
    from transformers import (
        MobileNetV2Config,
        MobileNetV2ForImageClassification,
        ResNetConfig,
        ResNetForImageClassification,
    )

    kind, depths, widths = TORCHVISION_ARCHITECTURES[architecture]
    if kind == "inverted":
        return MobileNetV2ForImageClassification(
            MobileNetV2Config(num_labels=n_outputs, tf_padding=False, layer_norm_eps=1e-5, classifier_dropout_prob=0.2)
        )
    return ResNetForImageClassification(
        ResNetConfig(num_labels=n_outputs, layer_type=kind, depths=depths, hidden_sizes=widths)
    )


def _renamed(state: Mapping[str, Tensor], architecture: str) -> Iterator[tuple[str, Tensor]]:
    """Yield the state under the names of the transformers network."""
    rename = _rename_mobilenet if architecture == "mobilenet_v2" else _rename_resnet
    for name, tensor in state.items():
        yield rename(name), tensor


def _rename_resnet(name: str) -> str:
    part = {"conv": "convolution", "bn": "normalization"}
    if name.startswith("fc."):
        return f"classifier.1.{name[3:]}"
    if match := re.fullmatch(r"(conv|bn)1\.(\w+)", name):
        return f"resnet.embedder.embedder.{part[match[1]]}.{match[2]}"
    if match := re.fullmatch(r"layer(\d)\.(\d+)\.(conv|bn)(\d)\.(\w+)", name):
        stage, block, kind, index, leaf = match.groups()
        return f"resnet.encoder.stages.{int(stage) - 1}.layers.{block}.layer.{int(index) - 1}.{part[kind]}.{leaf}"
    if match := re.fullmatch(r"layer(\d)\.(\d+)\.downsample\.([01])\.(\w+)", name):
        stage, block, index, leaf = match.groups()
        kind = "convolution" if index == "0" else "normalization"
        return f"resnet.encoder.stages.{int(stage) - 1}.layers.{block}.shortcut.{kind}.{leaf}"
    return name


def _rename_mobilenet(name: str) -> str:
    base, part = "mobilenet_v2", {"0": "convolution", "1": "normalization"}
    if name.startswith("classifier.1."):
        return f"classifier.{name[len('classifier.1.') :]}"
    if match := re.fullmatch(r"features\.(0|18)\.([01])\.(\w+)", name):
        return f"{base}.{'conv_stem.first_conv' if match[1] == '0' else 'conv_1x1'}.{part[match[2]]}.{match[3]}"
    if not (match := re.fullmatch(r"features\.(\d+)\.conv\.(\d)(?:\.(\d))?\.(\w+)", name)):
        return name
    block, index, inner, leaf = int(match[1]), int(match[2]), match[3], match[4]
    layers = ["conv_3x3", "reduce_1x1"] if block == 1 else ["expand_1x1", "conv_3x3", "reduce_1x1"]
    where = f"{base}.conv_stem" if block == 1 else f"{base}.layer.{block - 2}"
    if inner is not None:
        return f"{where}.{layers[index]}.{part[inner]}.{leaf}"
    # the last convolution and its norm are not wrapped: they stand at len(layers) - 1 and len(layers)
    return f"{where}.reduce_1x1.{'convolution' if index == len(layers) - 1 else 'normalization'}.{leaf}"


@torch.no_grad()
def _largest_difference(state: Mapping[str, Tensor], architecture: str, network: nn.Module) -> float:
    pixels = torch.randn(2, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    expected, got = reference_logits(state, architecture, pixels), network(pixel_values=pixels).logits
    difference = float((expected - got).abs().max())
    if not difference <= 1e-4 * max(1.0, float(expected.abs().max())):
        raise ModelError(
            f"the converted {architecture} gives other logits than the state file (difference {difference:.2g})",
            expected="a difference below 1e-4",
            fix="the file may come from a changed architecture; convert it to a transformers checkpoint by hand",
        )
    return difference


def _new_head(network: nn.Module, architecture: str, label_names: Sequence[str]) -> None:
    config: Any = network.config
    config.id2label = dict(enumerate(label_names))
    config.label2id = {name: i for i, name in enumerate(label_names)}
    name = "classifier" if architecture == "mobilenet_v2" else "classifier.1"
    old: Any = network.get_submodule(name)
    network.set_submodule(name, nn.Linear(old.in_features, len(label_names)))
    network.num_labels = len(label_names)  # type: ignore[assignment]
