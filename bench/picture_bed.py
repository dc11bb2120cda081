"""Pictures at 64 pixels as one network sees them: those to learn from, and test sets by name."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from graft.backbones.loading import ImageModel, load_image_model
from graft.methods.where import training_precision
from graft.tasks.image_classification import ImageClassification
from graft.training.examples import PictureExamples, predict_logits

SHARED = Path(os.environ.get("GRAFT_SHARED", Path(__file__).resolve().parents[2] / "shared"))
SIDE = 64


def small_checkpoint(name: str, side: int, folder: Path) -> Path:
    """Return a folder with the checkpoint's weights and a preprocessing of `side` pixels."""
    target = folder / f"{name}-{side}"
    if not target.exists():
        target.mkdir(parents=True)
        for file in (SHARED / "models" / name).iterdir():
            if file.name != "preprocessor_config.json":
                (target / file.name).symlink_to(file.resolve())
        config = json.loads((SHARED / "models" / name / "preprocessor_config.json").read_text())
        config["size"] = {"shortest_edge": side}
        config |= {"crop_pct": 1.0} if "crop_pct" in config else {"crop_size": {"height": side, "width": side}}
        (target / "preprocessor_config.json").write_text(json.dumps(config))
    return target


def files_of(data: str, split: str) -> list[tuple[Path, str]]:
    folder = SHARED / "data" / data / split if split else SHARED / "data" / data
    return [(path, path.parent.name) for path in sorted(folder.glob("*/*")) if path.suffix in (".png", ".jpg")]


def pictures_of(data: str, split: str, labels: list[str]) -> tuple[list[Image.Image], np.ndarray]:
    if data == "digits":
        from sklearn.datasets import load_digits

        found = load_digits()
        grey = np.minimum(found.images * 16, 255).astype(np.uint8)
        framed = np.pad(grey, ((0, 0), (1, 1), (1, 1)))  # MNIST's digits have a margin too
        return [Image.fromarray(g).convert("RGB") for g in framed], found.target.astype(np.int64)
    found_files = files_of(data, split)
    return [Image.open(p).convert("RGB") for p, _ in found_files], np.array([labels.index(n) for _, n in found_files])


def halved(picture: Image.Image) -> Image.Image:
    """Return a picture at half its resolution."""
    return picture.resize((max(1, picture.width // 2), max(1, picture.height // 2)), Image.Resampling.BICUBIC)


def pixels_of(model: ImageModel, pictures: list[Image.Image]) -> np.ndarray:
    return np.stack([model.preprocessing(picture) for picture in pictures])


class Bed:
    """A data set as one network sees it: training pixels with features, and test sets by name."""

    def __init__(self, data: str, network: str, folder: Path) -> None:
        """Load everything."""
        self.labels = sorted(p.name for p in (SHARED / "data" / data / "train").iterdir())
        self.model = load_image_model(str(small_checkpoint(network, SIDE, folder)), label_names=self.labels)
        self.task = ImageClassification(self.model)
        pre = self.model.preprocessing
        self.std = 1 / (255 * pre.scale)
        self.mean = -pre.offset * self.std
        train, self.targets = pictures_of(data, "train", self.labels)
        test, test_targets = pictures_of(data, "test", self.labels)
        rng = np.random.default_rng(0)
        some = np.sort(rng.permutation(len(test))[:1000])
        test, test_targets = [test[i] for i in some], test_targets[some]
        self.train = pixels_of(self.model, train)
        self.tests = {"test": (pixels_of(self.model, test), test_targets)}
        self.tests["half resolution"] = (pixels_of(self.model, [halved(p) for p in test]), test_targets)
        if data == "cifar10":
            other, other_targets = pictures_of("cifar10_lossless", "", self.labels)
            some = np.sort(rng.permutation(len(other))[:1000])
            self.tests["lossless"] = (pixels_of(self.model, [other[i] for i in some]), other_targets[some])
        if data == "mnist":
            other, other_targets = pictures_of("digits", "", self.labels)
            some = np.sort(rng.permutation(len(other))[:1000])
            self.tests["other writers"] = (pixels_of(self.model, [other[i] for i in some]), other_targets[some])
        self.flip = data != "mnist"
        self.features = self._features(self.train)

    @torch.inference_mode()
    def _features(self, pixels: np.ndarray) -> np.ndarray:
        network = self.model.feature_network().to(memory_format=torch.channels_last)
        return np.concatenate(
            [network(torch.from_numpy(pixels[i : i + 100])).numpy() for i in range(0, len(pixels), 100)]
        )

    def examples(self, rows: np.ndarray) -> PictureExamples:
        """Return some training pictures as methods take them."""
        return PictureExamples(
            self.train[rows], self.targets[rows], len(self.labels), self.mean.tolist(), self.std.tolist(), self.flip
        )

    def is_right(self, network: torch.nn.Module) -> dict[str, np.ndarray]:
        """Return, by test set, which pictures a network names rightly."""
        network = network.to(memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
        found = {}
        for name, (pixels, targets) in self.tests.items():
            examples = PictureExamples(pixels, targets, len(self.labels), self.mean.tolist(), self.std.tolist())
            logits = predict_logits(
                network,
                examples,
                np.arange(len(targets)),
                predict=self.task.predict,
                precision=training_precision(network, torch.device("cpu")),
            )
            found[name] = logits.argmax(1) == targets
        return found
