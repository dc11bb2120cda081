"""The article's own script, in plain PyTorch: the rival that the other benches run.

A pretrained network, every parameter frozen, the last layer replaced by a new ``nn.Linear``, which SGD (learning rate
0.001, momentum 0.9) trains with cross-entropy for 10 epochs in batches of 64. As in the article every epoch decodes the
pictures and runs the whole network forward in float32, and `model.train()` leaves BatchNorm (and dropout, where the
network has any) in train mode. Resize to 224 x 224, to a tensor, normalise.

Three things differ from the article's text. The network comes from transformers instead of torchvision. Mean and
deviation are the checkpoint's, where the article has ImageNet's for all. Two worker processes decode, which is faster.
Nothing of Graft is imported.

    python bench/article.py DATA --model M --epochs 10 --out predictions.json [--keep-pages]

DATA: a folder with a class a subfolder, or with ``train`` and ``test`` above such. M: a folder of a transformers
picture model, or ``resnet50`` for one with random weights.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, Dataset

_IMAGENET = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h of glibc


class Pictures(Dataset[Any]):
    """Picture files as normalised tensors (3, side, side), decoded at every access."""

    def __init__(self, files: list[Path], labels: list[int], *, mean: list[float], std: list[float], side: int) -> None:
        """Keep the files and their class numbers; mean and std are per channel, side is in pixels."""
        self.files, self.labels, self.side = files, labels, side
        self.mean, self.std = torch.tensor(mean).view(3, 1, 1), torch.tensor(std).view(3, 1, 1)

    def __len__(self) -> int:
        """Return the number of pictures."""
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        """Return pixels (3, side, side) and class number of one picture."""
        with Image.open(self.files[index]) as image:
            resized = image.convert("RGB").resize((self.side, self.side), Image.Resampling.BILINEAR)
        pixels = torch.from_numpy(np.array(resized)).permute(2, 0, 1).contiguous().float().div_(255)
        return pixels.sub_(self.mean).div_(self.std), self.labels[index]


def load_network(model: str, n_classes: int) -> tuple[nn.Module, nn.Linear, tuple[list[float], list[float]]]:
    """Return the frozen network with its new last layer, that layer, and the mean and deviation of its pictures."""
    import transformers
    from transformers import AutoModelForImageClassification, ResNetConfig, ResNetForImageClassification

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    if model == "resnet50":
        network: nn.Module = ResNetForImageClassification(ResNetConfig())
        mean_and_std = _IMAGENET
    else:
        network = AutoModelForImageClassification.from_pretrained(model, dtype=torch.float32, local_files_only=True)
        settings = json.loads((Path(model) / "preprocessor_config.json").read_text())
        mean_and_std = (settings["image_mean"], settings["image_std"])
    for parameter in network.parameters():
        parameter.requires_grad = False
    name = [name for name, module in network.named_modules() if isinstance(module, nn.Linear)][-1]
    last = network.get_submodule(name)
    assert isinstance(last, nn.Linear)
    layer = nn.Linear(last.in_features, n_classes)
    network.set_submodule(name, layer)
    return network, layer, mean_and_std


def train_mode(network: nn.Module, *, batch_norm: str, dropout: str) -> None:
    """Do what the article does, ``model.train()``; then, for the fairer variants, put layers back into eval mode."""
    network.train()
    for module in network.modules():
        is_norm = isinstance(module, nn.modules.batchnorm._BatchNorm)
        is_dropout = isinstance(module, nn.modules.dropout._DropoutNd)
        if (is_norm and batch_norm == "eval") or (is_dropout and dropout == "off"):
            module.eval()


def train_epoch(
    network: nn.Module, optimizer: torch.optim.Optimizer, criterion: nn.Module, loader: DataLoader[Any]
) -> dict[str, float]:
    """Train for one epoch; return its mean loss, seconds, and seconds until the first batch came."""
    started = time.perf_counter()
    running_loss, waited = 0.0, None
    for inputs, labels in loader:
        waited = time.perf_counter() - started if waited is None else waited
        optimizer.zero_grad()
        outputs = network(pixel_values=inputs).logits
        loss = criterion(outputs, labels)
        loss.backward()
        optimizer.step()
        running_loss += loss.item() * len(labels)
    seconds = time.perf_counter() - started
    return {"loss": running_loss / len(loader.dataset), "seconds": seconds, "first_batch_s": waited or 0.0}  # type: ignore[arg-type]


@torch.no_grad()
def predict(network: nn.Module, loader: DataLoader[Any]) -> list[int]:
    """Return the class number of the largest logit of every picture."""
    network.eval()
    predictions: list[int] = []
    for inputs, _ in loader:
        predictions += network(pixel_values=inputs).logits.argmax(1).tolist()
    return predictions


def keep_freed_pages() -> None:
    """Tell glibc to keep freed memory for the next batch; the arithmetic stays the same."""
    libc = ctypes.CDLL("libc.so.6")
    libc.mallopt(_M_MMAP_THRESHOLD, 1 << 30)
    libc.mallopt(_M_TRIM_THRESHOLD, 1 << 30)


def read_folder(folder: Path) -> tuple[list[Path], list[str]]:
    """Return files and class names of a folder with a class a subfolder, sorted."""
    places = sorted(place for place in folder.iterdir() if place.is_dir())
    files = [file for place in places for file in sorted(place.iterdir())]
    return files, [file.parent.name for file in files]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--model", required=True, help="folder of a transformers picture model, or resnet50")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--out", type=Path, help="JSON file for predictions of the test pictures and the seconds")
    parser.add_argument("--batch-norm", choices=["train", "eval"], default="train", help="train: as in the article")
    parser.add_argument("--dropout", choices=["on", "off"], default="on", help="on: as the checkpoint has it")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--side", type=int, default=224, help="pixels")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--keep-pages", action="store_true", help="let glibc keep freed memory; same arithmetic")
    args = parser.parse_args()
    if args.keep_pages:
        keep_freed_pages()

    torch.manual_seed(args.seed)
    train = args.data / "train" if (args.data / "train").is_dir() else args.data
    files, names = read_folder(train)
    label_names = sorted(set(names))
    number = {name: i for i, name in enumerate(label_names)}
    network, layer, (mean, std) = load_network(args.model, len(label_names))
    look = {"mean": mean, "std": std, "side": args.side}
    pictures = Pictures(files, [number[name] for name in names], **look)
    loader = DataLoader(pictures, batch_size=64, shuffle=True, num_workers=args.workers)
    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.001, momentum=0.9)
    epochs = []
    for epoch in range(args.epochs):
        train_mode(network, batch_norm=args.batch_norm, dropout=args.dropout)
        epochs.append(train_epoch(network, optimizer, criterion, loader))
        print(f"epoch {epoch + 1}: loss {epochs[-1]['loss']:.4f}, {epochs[-1]['seconds']:.1f} s", flush=True)

    result: dict[str, Any] = {
        "settings": {"epochs": args.epochs, "batch_norm": args.batch_norm, "dropout": args.dropout, "seed": args.seed},
        "n_train": len(files),
        "epochs": epochs,
        "test_s": 0.0,
    }
    if (args.data / "test").is_dir():
        test_files, test_names = read_folder(args.data / "test")
        started = time.perf_counter()
        test = Pictures(test_files, [number[name] for name in test_names], **look)
        predictions = predict(network, DataLoader(test, batch_size=64, num_workers=args.workers))
        right = sum(label_names[p] == name for p, name in zip(predictions, test_names, strict=True))
        print(f"test accuracy {right / len(test_names):.4f} of {len(test_names)}")
        result |= {
            "test_s": time.perf_counter() - started,
            "ids": [file.relative_to(args.data).as_posix() for file in test_files],
            "targets": test_names,
            "predictions": [label_names[p] for p in predictions],
            "accuracy": right / len(test_names),
        }
    if args.out is not None:
        args.out.write_text(json.dumps(result) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
