"""`graft pretrain` on real small pictures: scikit-learn's digits."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from graft.api.pretrain import pretrain
from graft.core.errors import Interrupted, UsageError

OPTIONS = {
    "arch": "resnet_nano",
    "image_size": 16,
    "epochs": 8,
    "batch_size": 32,
    "optimizer": "adamw",
    "learning_rate": 3e-3,
    "ema_decay": 0.9,
    "flip": False,
}


@pytest.fixture(scope="module")
def digits_folder(tmp_path_factory) -> Path:
    """300 training pictures and 100 to hold out, as PNG files in folders."""
    from sklearn.datasets import load_digits

    folder = tmp_path_factory.mktemp("digits")
    found = load_digits()
    for index in range(400):
        split = "train" if index < 300 else "valid"
        place = folder / split / str(found.target[index])
        place.mkdir(parents=True, exist_ok=True)
        grey = np.minimum(found.images[index] * 16, 255).astype(np.uint8)
        Image.fromarray(grey).save(place / f"{index}.png")
    return folder


@pytest.fixture(scope="module")
def backbone(digits_folder, tmp_path_factory) -> Path:
    return pretrain(digits_folder, out=tmp_path_factory.mktemp("runs") / "whole", **OPTIONS)


def test_it_writes_a_checkpoint_that_transformers_loads(backbone, digits_folder):
    import torch
    from transformers import AutoModelForImageClassification, pipeline

    told = json.loads((backbone / "pretrain.json").read_text())
    accuracy = told["held_out"]["accuracy"]
    assert told["held_out"]["from"] == "valid"
    assert accuracy["n"] == 100
    assert accuracy["value"] > 0.7  # chance is 0.1
    assert not (backbone / ".work").exists()
    lines = [json.loads(line) for line in (backbone / "training.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(1, told["recipe"]["n_steps"] + 1))

    network = AutoModelForImageClassification.from_pretrained(backbone)
    assert network.config.id2label == {i: str(i) for i in range(10)}
    assert next(network.parameters()).dtype == torch.float32
    pipe = pipeline("image-classification", str(backbone))
    files = sorted((digits_folder / "valid").glob("*/*.png"))
    right = [
        answer[0]["label"] == file.parent.name
        for answer, file in zip(pipe([str(f) for f in files]), files, strict=True)
    ]
    assert np.mean(right) == pytest.approx(accuracy["value"])


def test_interrupted_then_resumed_gives_the_same_weights(backbone, digits_folder, tmp_path, monkeypatch):
    import os
    import signal

    from safetensors.torch import load_file

    from graft.training import pictures

    given = pictures.PictureBatches.batch

    def batch(self, step, part=slice(None)):
        if step == 20:
            os.kill(os.getpid(), signal.SIGTERM)
        return given(self, step, part)

    out = tmp_path / "again"
    monkeypatch.setattr(pictures.PictureBatches, "batch", batch)
    with pytest.raises(Interrupted, match="--resume"):
        pretrain(digits_folder, out=out, **OPTIONS)
    monkeypatch.undo()
    assert not (out / "model.safetensors").exists()
    with pytest.raises(UsageError, match="resume"):
        pretrain(digits_folder, out=out, **OPTIONS)
    with pytest.raises(UsageError, match="batch_size: 32 there, 16 now"):
        pretrain(digits_folder, out=out, resume=True, **{**OPTIONS, "batch_size": 16})
    pretrain(digits_folder, out=out, resume=True, **OPTIONS)
    whole, again = (load_file(folder / "model.safetensors") for folder in (backbone, out))
    assert all(np.array_equal(whole[name], again[name]) for name in whole)
    assert len((out / "training.jsonl").read_text().splitlines()) == 75
    before = (out / "pretrain.json").stat().st_mtime_ns
    assert pretrain(digits_folder, out=out, resume=True, **OPTIONS) == out  # finished: nothing to do
    assert (out / "pretrain.json").stat().st_mtime_ns == before


def test_without_held_out_pictures_some_are_kept_back(digits_folder, tmp_path):
    out = pretrain(digits_folder / "train", out=tmp_path / "b", **{**OPTIONS, "epochs": 0.3})
    told = json.loads((out / "pretrain.json").read_text())
    assert told["held_out"]["from"] == "5% of train"
    assert told["data"]["n_train"] + told["held_out"]["accuracy"]["n"] == 300


def test_options_that_cannot_be_meant(digits_folder, tmp_path):
    with pytest.raises(UsageError, match="Did you mean 'resnet18'"):
        pretrain(digits_folder, out=tmp_path / "b", arch="resnet_18")
    with pytest.raises(UsageError, match="image_size=224"):
        pretrain(digits_folder, out=tmp_path / "c", arch="resnet18", image_size=32)
    with pytest.raises(UsageError, match="at least one step"):
        pretrain(digits_folder, out=tmp_path / "d", **{**OPTIONS, "epochs": 0})
    foreign = tmp_path / "thesis"
    foreign.mkdir()
    (foreign / "chapter1.txt").write_text("years of work")
    with pytest.raises(UsageError, match="not written by graft"):
        pretrain(digits_folder, out=foreign, overwrite=True, **OPTIONS)
    assert (foreign / "chapter1.txt").read_text() == "years of work"


@pytest.mark.parametrize("arch", ["resnet18", "resnet34", "resnet50", "mobilenet_v2", "vit_tiny"])
def test_every_architecture_computes(arch):
    import torch

    from graft.backbones.architectures import build_architecture

    network, processor = build_architecture(arch, label_names=["cat", "dog", "owl"], image_size=64)
    pictures = [Image.new("RGB", (80, 70), colour) for colour in ("red", "blue")]
    values = processor(pictures, return_tensors="pt")["pixel_values"]
    assert values.shape == (2, 3, 64, 64)
    assert network.eval()(pixel_values=values).logits.shape == (2, 3)
    assert all(m.momentum == 0.1 for m in network.modules() if isinstance(m, torch.nn.BatchNorm2d))
    again, _ = build_architecture(arch, label_names=["cat", "dog", "owl"], image_size=64)
    assert torch.equal(*(next(n.parameters()) for n in (network, again)))


def test_the_letters_hold_no_digit_and_repeat_themselves():
    from graft.api.letters import draw_letters, letter_glyphs

    glyphs = letter_glyphs()
    assert len(glyphs) > 300
    assert {"A", "z"} <= set(glyphs)
    assert not any(letter.isdigit() or letter.isnumeric() for letter in glyphs)
    few = {letter: glyphs[letter] for letter in "Ag"}
    first, again = (dict(draw_letters(few, per_letter=5, seed=1)) for _ in range(2))
    assert first.keys() == {"A", "g"}
    for letter, pictures in first.items():
        assert [p.tobytes() for p in pictures] == [p.tobytes() for p in again[letter]]
        assert all(p.size == (8, 8) and p.mode == "L" and p.getextrema()[1] > 100 for p in pictures)
        assert len({p.tobytes() for p in pictures}) == 5


def test_thinning_leaves_lines_of_even_width():
    import torch

    from graft.api.strokes import thin

    bar = torch.zeros(1, 40, 40)
    bar[0, 12:22, 5:35] = 1.0
    line = thin(bar)[0]
    assert set(line[:, 12:28].sum(0).tolist()) == {3.0}  # the bar of 10 pixels is one line, 3 pixels wide
    assert bool((line[15:19, 20] > 0).any())  # in its middle


def test_the_demo_backbone_is_small_and_its_frozen_features_know_digits_apart():
    import torch
    from sklearn.datasets import load_digits
    from sklearn.linear_model import LogisticRegression
    from transformers import AutoImageProcessor, AutoModelForImageClassification

    from graft.api.demo import LETTERS_BACKBONE

    assert (LETTERS_BACKBONE / "model.safetensors").stat().st_size < 2_000_000
    network = AutoModelForImageClassification.from_pretrained(LETTERS_BACKBONE).eval()
    assert {p.dtype for p in network.parameters()} == {torch.float32}
    assert not any(label.split("-")[-2:-1] == ["DIGIT"] for label in network.config.id2label.values())
    found = load_digits()
    grey = np.minimum(found.images * 16, 255).astype(np.uint8)
    pictures = [Image.fromarray(g).convert("RGB") for g in grey]
    values = AutoImageProcessor.from_pretrained(LETTERS_BACKBONE)(pictures, return_tensors="pt")["pixel_values"]
    with torch.inference_mode():
        features = network.base_model(values).pooler_output.flatten(1).numpy()
    features = (features - features.mean(0)) / features.std(0)
    rng = np.random.default_rng(0)
    train = np.concatenate([rng.permutation(np.flatnonzero(found.target == c))[:10] for c in range(10)])
    test = np.setdiff1d(np.arange(len(features)), train)
    probe = LogisticRegression(C=0.1, max_iter=500).fit(features[train], found.target[train])
    assert probe.score(features[test], found.target[test]) > 0.96


def test_the_demo_refuses_a_folder_that_is_no_demo(tmp_path):
    from graft.api.demo import demo, write_digits

    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match="no earlier demo"):
        demo(tmp_path)
    assert (tmp_path / "notes.txt").read_text() == "mine"
    folder = write_digits(tmp_path / "digits", per_class=3, seed=0)
    assert len(list((folder / "train").glob("*/*.png"))) == 30
    assert len(list((folder / "test").glob("*/*.png"))) == 1797 - 30
