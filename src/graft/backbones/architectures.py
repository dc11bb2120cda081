"""Networks with random weights, by name: a small table of transformers configurations, for training from scratch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from graft.core.errors import ModelError, UsageError, did_you_mean
from graft.core.files import atomic_path, read_json, write_json

__all__ = ["ARCHITECTURES", "build_architecture", "halve_weights", "save_network"]


@dataclass(frozen=True)
class _Architecture:
    """One row: classes of transformers by name, what their configuration is given, and the sides that make sense."""

    config: str
    network: str
    options: Mapping[str, Any] = field(default_factory=dict)
    needs_side: bool = False
    smallest_side: int = 64


def _resnet(
    depths: Sequence[int], *, layer: str, widths: Sequence[int], stem: int = 64, side: int = 64
) -> _Architecture:
    options = {"depths": list(depths), "layer_type": layer, "hidden_sizes": list(widths), "embedding_size": stem}
    return _Architecture("ResNetConfig", "ResNetForImageClassification", options, smallest_side=side)


_BASIC, _WIDE = (64, 128, 256, 512), (256, 512, 1024, 2048)

ARCHITECTURES: Mapping[str, _Architecture] = {
    # He et al., Deep Residual Learning, 2016, table 1: https://arxiv.org/abs/1512.03385
    "resnet18": _resnet((2, 2, 2, 2), layer="basic", widths=_BASIC),
    "resnet34": _resnet((3, 4, 6, 3), layer="basic", widths=_BASIC),
    "resnet50": _resnet((3, 4, 6, 3), layer="bottleneck", widths=_WIDE),
    # For pictures of 16 to 64 pixels: 0.9 million weights. Two stages, since after the stem's stride of 4 a picture of
    # 32 pixels has 8 x 8 places; a third stage, at 2 x 2, cost frozen features a point on the demo's digits.
    "resnet_nano": _resnet((2, 1), layer="basic", widths=(64, 240), side=16),
    # Sandler et al., MobileNetV2, 2018: https://arxiv.org/abs/1801.04381
    "mobilenet_v2": _Architecture("MobileNetV2Config", "MobileNetV2ForImageClassification", needs_side=True),
    # Touvron et al., DeiT, 2021, table 1 (Ti): https://arxiv.org/abs/2012.12877
    "vit_tiny": _Architecture(
        "ViTConfig",
        "ViTForImageClassification",
        {"hidden_size": 192, "num_hidden_layers": 12, "num_attention_heads": 3, "intermediate_size": 768},
        needs_side=True,
    ),
}


def build_architecture(
    name: str, *, label_names: Sequence[str], image_size: int, seed: int = 0
) -> tuple[nn.Module, Any]:
    """Return a network with random weights and a head for `label_names`, and its image processor.

    Parameters
    ----------
    name : a key of `ARCHITECTURES`.
    label_names : n_classes names; the configuration keeps them.
    image_size : pixels of a side that the network sees. Above 96 the processor cuts the middle 7/8 out, as usual.
    seed : of the weights; torch's random state is left as it was.

    Raises
    ------
    UsageError
        When the name is unknown, or the side is too small for the strides of the network.

    Notes
    -----
    BatchNorm's momentum is set to 0.1 everywhere: transformers gives its MobileNets 0.997, which in PyTorch forgets
    all but the last batch.
    """
    if name not in ARCHITECTURES:
        raise UsageError(
            f"the architecture '{name}' is not known.{did_you_mean(name, ARCHITECTURES)}",
            expected=f"one of {', '.join(ARCHITECTURES)}",
            fix="--arch resnet18 (Python: arch='resnet18')",
        )
    architecture = ARCHITECTURES[name]
    if image_size < architecture.smallest_side or (name.startswith("vit") and image_size % 16):
        raise UsageError(
            f"pictures of {image_size} pixels for {name}",
            expected=f"at least {architecture.smallest_side} pixels"
            + (" and a multiple of 16" if name.startswith("vit") else ""),
            fix="--image-size 224 (Python: image_size=224), or --arch resnet_nano for small pictures",
        )
    import transformers
    from transformers import ConvNextImageProcessorPil as ImageProcessor  # resizes the shorter side, then crops

    options = dict(architecture.options) | ({"image_size": image_size} if architecture.needs_side else {})
    config = getattr(transformers, architecture.config)(
        **options,
        id2label=dict(enumerate(label_names)),
        label2id={label: index for index, label in enumerate(label_names)},
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network: nn.Module = getattr(transformers, architecture.network)(config)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 0.1
    processor = ImageProcessor(
        size={"shortest_edge": image_size},
        crop_pct=0.875 if image_size > 96 else 1.0,
        image_mean=[0.5, 0.5, 0.5],
        image_std=[0.5, 0.5, 0.5],
    )
    return network, processor


def save_network(network: nn.Module, processor: Any, folder: Path) -> None:
    """Write a standard transformers checkpoint to `folder`, and read it back to see that nothing changed.

    Raises
    ------
    ModelError
        When a tensor that was read back differs from the one that was written.
    """
    saved: Any = network
    saved.save_pretrained(folder)
    processor.save_pretrained(folder)
    again = type(saved).from_pretrained(folder).state_dict()
    changed = [name for name, tensor in network.state_dict().items() if not torch.equal(tensor.cpu(), again[name])]
    if changed:
        raise ModelError(
            f"{folder}: {len(changed)} tensors differ after reading them back, first {changed[0]}",
            expected="the weights that were trained",
            fix="look at the disk, then go on with --resume (Python: resume=True)",
        )


def halve_weights(folder: Path) -> None:
    """Store a checkpoint's weights in float16, half the bytes; they are computed with in float32 still.

    Raises
    ------
    ModelError
        When a weight is too large for float16.
    """
    from safetensors.torch import load_file, save_file

    file = folder / "model.safetensors"
    tensors = {name: t.half() if t.is_floating_point() else t for name, t in load_file(file).items()}
    too_large = [name for name, t in tensors.items() if t.is_floating_point() and not bool(t.isfinite().all())]
    if too_large:
        raise ModelError(f"{folder}: {too_large[0]} does not fit into float16", expected="numbers up to 65,504")
    with atomic_path(file) as temporary:
        save_file(tensors, temporary, metadata={"format": "pt"})
    write_json(folder / "config.json", read_json(folder / "config.json") | {"dtype": "float32"})
