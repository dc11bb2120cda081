"""The article's first step: a backbone from random weights, by a plain and good recipe."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from graft.core.errors import UsageError
from graft.core.files import write_json
from graft.core.types import Estimate

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from rich.console import Console
    from torch import nn

    from graft.data.dataset import LabeledDataset

__all__ = ["pretrain"]

_HELD_OUT = 0.05  # share of the training pictures, where the data brings nothing to judge with
_OWN_FILES = ("pretrain.json", "training.jsonl", ".work")


def pretrain(
    data: str | Path,
    *,
    out: str | Path,
    arch: str = "resnet18",
    image_size: int = 224,
    epochs: float = 90.0,
    batch_size: int = 128,
    optimizer: Literal["sgd", "adamw"] = "sgd",
    learning_rate: float | None = None,
    weight_decay: float | None = None,
    label_smoothing: float = 0.1,
    warmup_fraction: float = 0.05,
    ema_decay: float = 0.999,
    flip: bool = True,
    seed: int = 0,
    resume: bool = False,
    overwrite: bool = False,
    console: Console | None = None,
) -> Path:
    """Train a network from random weights and return the folder that holds it, a backbone for `graft.fit`.

    Parameters
    ----------
    data : as `graft.data.readers.read_splits` reads it. Its valid split, else its test split, else 5 % of the
        training pictures are held out and judged once, at the end; nothing is chosen by them.
    out : receives a transformers checkpoint, ``training.jsonl`` (a line a step) and ``pretrain.json`` (recipe,
        versions, accuracy on the pictures held out).
    arch : a key of `graft.backbones.architectures.ARCHITECTURES`.
    image_size : pixels of a side. Up to 96 pictures are shifted and slightly turned, above that cropped at random.
    epochs : passes over the training pictures.
    optimizer : ``"sgd"`` (momentum 0.9) or ``"adamw"``; both with warm-up, then a cosine to zero.
    learning_rate : None: 0.1 x batch_size / 256 for SGD, 0.001 x sqrt(batch_size / 128) for AdamW.
    weight_decay : None: 0.0001 for SGD, 0.05 for AdamW.
    ema_decay : of the average of the weights that is kept; 0: the last weights are.
    flip : mirror half of the pictures; off for letters and digits.
    resume : go on after an interrupt; a run that is finished is returned as it is.
    overwrite : throw away what an earlier run left in `out`.
    console : where progress is shown; None: nowhere.

    Raises
    ------
    UsageError
        When `out` exists and neither `resume` nor `overwrite` is given, or an option cannot be meant.
    DataError
        When the pictures cannot be read.
    ModelError
        When training comes apart.
    Interrupted
        After Ctrl-C or SIGTERM; `resume` goes on.

    Examples
    --------
    >>> pretrain("letters/", out="backbone/", arch="resnet_nano", image_size=32, flip=False)  # doctest: +SKIP
    PosixPath('backbone')
    """
    started = time.monotonic()
    out = Path(out)
    _prepare_folder(out, resume=resume, overwrite=overwrite)
    if resume and (out / "pretrain.json").exists():
        return out

    from graft.backbones.architectures import build_architecture, save_network
    from graft.data.readers import read_splits
    from graft.training.augmentation import Augmentation
    from graft.training.checkpoints import CheckpointPlan
    from graft.training.loop import train
    from graft.training.losses import classification_loss
    from graft.training.pictures import PictureBatches
    from graft.training.recipe import Recipe

    splits = read_splits(data)
    train_set, held_out, held_out_name = _hold_out(splits.train, splits.valid, splits.test, seed=seed)
    network, processor = build_architecture(arch, label_names=train_set.label_names, image_size=image_size, seed=seed)
    recipe = Recipe(
        n_steps=round(epochs * len(train_set) / batch_size) if batch_size > 0 else 0,
        optimizer=optimizer,
        learning_rate=_default_rate(optimizer, batch_size) if learning_rate is None else learning_rate,
        weight_decay={"sgd": 1e-4, "adamw": 0.05}.get(optimizer, 0.0) if weight_decay is None else weight_decay,
        warmup_fraction=warmup_fraction,
        ema_decay=ema_decay or None,
        seed=seed,
    )
    settings = {
        "arch": arch,
        "image_size": image_size,
        "batch_size": batch_size,
        "label_smoothing": label_smoothing,
        "flip": flip,
        "recipe": recipe.as_dict(),
        "data": {"n_train": len(train_set), "fingerprint": train_set.fingerprint},
    }
    mean, std = processor.image_mean, processor.image_std
    work = out / ".work"
    stored_side = round(image_size / processor.crop_pct)
    pictures = _stored(train_set, work, side=stored_side, console=console)
    trained = train(
        network,
        PictureBatches(
            pictures,
            train_set.labels,
            batch_size=batch_size,
            augmentation=Augmentation.for_side(image_size, flip=flip),
            mean=mean,
            std=std,
            seed=seed,
        ),
        loss=classification_loss(label_smoothing=label_smoothing),
        recipe=recipe,
        log=out / "training.jsonl",
        checkpoints=CheckpointPlan(work / "checkpoints", identity=settings, keep_last=1),
        resume=resume,
        console=console,
    )

    held_out_pictures = _stored(held_out, work, side=stored_side, console=console)
    accuracy = _accuracy(network, held_out_pictures, held_out.labels, side=image_size, mean=mean, std=std)
    network.to("cpu")
    save_network(network, processor, work / "model")
    for file in (work / "model").iterdir():
        file.replace(out / file.name)
    write_json(
        out / "pretrain.json",
        {
            "format": "graft-pretrain-1",
            **settings,
            "held_out": {"from": held_out_name, "accuracy": accuracy.as_dict()},
            "precision": trained.precision,
            "device": trained.device,
            "seconds": {"steps": round(trained.seconds, 1), "all": round(time.monotonic() - started, 1)},
            "notes": list(splits.notes),
            "versions": {name: version(name) for name in ("torch", "transformers", "accelerate", "numpy", "pillow")},
        },
    )
    shutil.rmtree(work)
    return out


def _prepare_folder(out: Path, *, resume: bool, overwrite: bool) -> None:
    """Refuse a folder that is in use, or empty it; a folder that holds no run of ours is never emptied."""
    if resume and overwrite:
        raise UsageError("both resume and overwrite", expected="one of the two, or none")
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    is_ours = out.is_dir() and any((out / name).exists() for name in _OWN_FILES)
    if not is_ours:
        raise UsageError(
            f"{out} exists and was not written by graft pretrain",
            expected="a new or empty folder",
            fix="choose another place with --out (Python: out=)",
        )
    if overwrite:
        shutil.rmtree(out)
    elif not resume:
        raise UsageError(
            f"{out} holds an earlier run",
            expected="a new or empty folder",
            fix="go on with --resume (Python: resume=True), start anew with --overwrite (overwrite=True),"
            " or choose another place with --out (out=)",
        )


def _hold_out(
    train: LabeledDataset, valid: LabeledDataset | None, test: LabeledDataset | None, *, seed: int
) -> tuple[LabeledDataset, LabeledDataset, str]:
    """Return what to train with, what to judge with, and where the latter is from."""
    if valid is not None:
        return train, valid, "valid"
    if test is not None:
        return train, test, "test"
    from graft.data.splitting import stratified_split

    parts = stratified_split(
        train.labels, groups=train.groups, fractions={"train": 1 - _HELD_OUT, "valid": _HELD_OUT}, seed=seed
    )
    return train.select(parts["train"]), train.select(parts["valid"]), f"{_HELD_OUT:.0%} of train"


def _default_rate(optimizer: str, batch_size: int) -> float:
    return 0.1 * batch_size / 256 if optimizer == "sgd" else 1e-3 * (max(batch_size, 1) / 128) ** 0.5


def _stored(dataset: LabeledDataset, work: Path, *, side: int, console: Console | None) -> NDArray[np.uint8]:
    """Return the dataset's pictures as a map of a file that is named after what is in it."""
    from graft.data.images import decode_image
    from graft.training.pictures import store_pictures

    return store_pictures(
        work / f"{dataset.fingerprint}-{side}.npy",
        len(dataset),
        decode=lambda index: decode_image(dataset.read(index), name=dataset.place(index)),
        side=side,
        console=console,
    )


def _accuracy(
    network: nn.Module,
    pictures: NDArray[np.uint8],
    targets: NDArray[np.integer[Any]],
    *,
    side: int,
    mean: Sequence[float],
    std: Sequence[float],
) -> Estimate:
    """Return the share of pictures that the network names rightly, seen as its processor shows them."""
    from graft.evaluation.intervals import wilson
    from graft.training.pictures import predict_pictures

    logits = predict_pictures(network, pictures, side=side, mean=mean, std=std)
    return wilson(int((logits.argmax(axis=1) == targets).sum()), len(targets))
