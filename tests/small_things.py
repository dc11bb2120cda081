"""A tiny network with random weights and noisy little pictures: real checkpoints and files, made in a second."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

COLOURS = {"blue": (60, 60, 200), "green": (60, 200, 60), "red": (200, 60, 60)}
SIDE = 24


def make_picture(colour: tuple[int, int, int], *, seed: int, noise: float = 120.0) -> Image.Image:
    """Return a picture of one colour on average, under so much noise that classes overlap a little."""
    random = np.random.default_rng(seed)
    shift = random.normal(0, noise / 2, 3)
    values = random.normal(np.add(colour, shift), noise, (SIDE, SIDE, 3))
    return Image.fromarray(values.clip(0, 255).astype(np.uint8))


def make_folders(folder: Path, n_each: int, *, seed: int = 0) -> Path:
    """Write `n_each` PNG files into a subfolder a colour."""
    for c, (name, colour) in enumerate(COLOURS.items()):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for i in range(n_each):
            make_picture(colour, seed=10_000 * seed + 100 * c + i).save(folder / name / f"{i:02d}.png")
    return folder


def make_table(folder: Path, table: Path, *, label_column: str = "label", path_column: str = "path") -> Path:
    """Write a CSV of the pictures below `folder`, with absolute paths."""
    with open(table, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([path_column, label_column])
        writer.writerows([str(path), path.parent.name] for path in sorted(folder.glob("*/*.png")))
    return table


def make_checkpoint(folder: Path, *, n_labels: int = 2, seed: int = 0) -> Path:
    """Save a small random ResNet of transformers, its BatchNorm statistics other than the initial ones."""
    import torch
    from transformers import ResNetConfig, ResNetForImageClassification
    from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

    config = ResNetConfig(
        embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic", num_labels=n_labels
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = ResNetForImageClassification(config)
        for module in network.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.1)
                module.running_var.uniform_(0.5, 1.5)
    network.save_pretrained(folder)
    ViTImageProcessorPil(size={"height": 32, "width": 32}).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the tiny network."""
    return make_checkpoint(tmp_path_factory.mktemp("checkpoint") / "tiny")


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of 3 classes with 12 pictures each; not to be changed."""
    return make_folders(tmp_path_factory.mktemp("pictures") / "colours", 12)
