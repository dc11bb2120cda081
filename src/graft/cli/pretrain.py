"""``graft pretrain``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

__all__ = ["pretrain"]


def pretrain(
    data: str,
    /,
    *,
    out: Path,
    arch: str = "resnet18",
    image_size: int = 224,
    epochs: float | None = None,
    batch_size: int = 128,
    optimizer: Literal["sgd", "adamw"] = "sgd",
    learning_rate: float | None = None,
    weight_decay: float | None = None,
    label_smoothing: float = 0.1,
    warmup_fraction: float = 0.05,
    ema_decay: float = 0.999,
    flip: bool = True,
    init: Path | None = None,
    augmentation: Literal["none", "light", "medium", "strong"] = "strong",
    batch_seconds: float = 24.0,
    max_seconds: float | None = None,
    seed: int = 0,
    resume: Annotated[bool, Parameter(negative="")] = False,
    overwrite: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """Train a network from random weights: the article's first step. Its output is a model for graft fit.

    Parameters
    ----------
    data
        Labelled pictures, or transcribed speech, in any form that graft fit reads.
    out
        Folder of the checkpoint, made by this command.
    arch
        resnet18, resnet34, resnet50, resnet_nano, mobilenet_v2 or vit_tiny; of speech wav2vec2_nano or wav2vec2_small.
    image_size
        Side of the pictures in pixels.
    epochs
        Passes over the data (default: 90 of pictures, 30 of speech).
    batch_size
        Pictures a step.
    optimizer
        sgd (momentum 0.9) or adamw.
    learning_rate
        Default: by the optimizer and the batch size.
    weight_decay
        Default: by the optimizer.
    label_smoothing
        Share of each target spread over all classes.
    warmup_fraction
        Share of the steps in which the rate rises.
    ema_decay
        Decay of the averaged weights; 0 keeps the last.
    flip
        Mirror half of the pictures (not for letters and digits).
    init
        Of speech: a folder of an earlier encoder, whose weights it begins with.
    augmentation
        Of speech: how far utterances are distorted.
    batch_seconds
        Of speech: seconds of a batch.
    max_seconds
        Of speech: the training ends by then, with fewer passes.
    seed
        Of weights, order and augmentation.
    resume
        Go on from the last checkpoint in OUT.
    overwrite
        Replace what is in OUT.
    """
    from rich.console import Console

    from graft.api.pretrain import pretrain as run_pretrain
    from graft.core.errors import UsageError
    from graft.core.process import prepare_process

    prepare_process()
    console = Console(emoji=False)
    if arch.startswith("wav2vec2_"):
        from graft.api.pretrain_speech import pretrain_speech

        folder = pretrain_speech(
            data,
            out=out,
            arch=arch,
            init=init,
            augmentation=augmentation,
            batch_seconds=batch_seconds,
            max_seconds=max_seconds,
            epochs=epochs or 30.0,
            learning_rate=learning_rate or 2e-3,
            seed=seed,
            resume=resume,
            overwrite=overwrite,
            say=lambda text: console.print(f"· {text}", style="dim", markup=False),
            console=console,
        )
        console.print(f"recogniser: {folder} (use it with graft fit DATA --model {folder})", markup=False)
        return
    if init is not None or max_seconds is not None:
        raise UsageError(
            f"--{'init' if init is not None else 'max-seconds'} with --arch {arch}",
            expected="these options with a network for speech",
            fix="leave it away, or --arch wav2vec2_nano",
        )
    folder = run_pretrain(
        data,
        out=out,
        arch=arch,
        image_size=image_size,
        epochs=epochs or 90.0,
        batch_size=batch_size,
        optimizer=optimizer,
        learning_rate=learning_rate,
        weight_decay=weight_decay,
        label_smoothing=label_smoothing,
        warmup_fraction=warmup_fraction,
        ema_decay=ema_decay,
        flip=flip,
        seed=seed,
        resume=resume,
        overwrite=overwrite,
        console=console,
    )
    console.print(f"backbone: {folder} (use it with graft fit DATA --model {folder})", markup=False, highlight=False)
