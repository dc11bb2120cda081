"""Examples of a data set made ready for fine-tuning: encoded, decoded or tokenised once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from graft.api.config import FitConfig
from graft.api.embedding import Embedded, extractor_for
from graft.api.label_names import LabelNames
from graft.api.recordings import recording_examples
from graft.backbones.audio_model import AudioModel
from graft.backbones.loading import ImageModel
from graft.backbones.pretrained import PretrainedModel
from graft.backbones.text_loading import TextModel
from graft.core.files import atomic_path
from graft.core.processes import Processes
from graft.data.dataset import LabeledDataset
from graft.methods.arena import Arena
from graft.methods.head_only import HeadFit
from graft.methods.where import Where
from graft.training.examples import PictureExamples, TrainingExamples
from graft.training.texts import TextExamples

__all__ = ["arena_of", "examples_of", "picture_examples", "pictures_of"]


def examples_of(
    parts: list[LabeledDataset],
    model: PretrainedModel,
    config: FitConfig,
    training: Path,
    *,
    n_classes: int,
    names: LabelNames | None = None,
    processes: Processes,
    say: Callable[[str], None],
    console: Console | None,
) -> TrainingExamples:
    """Return the examples of some splits, one after the other, encoded once; behind them the label names, if any."""
    if isinstance(model, TextModel):
        texts = [part.read(i).decode("utf-8") for part in parts for i in range(len(part))]
        targets = np.concatenate([part.labels for part in parts])
        if names is not None:
            texts, targets = [*texts, *names.texts], np.concatenate([targets, names.anchors[1]])
        tokens = model.tokens
        return TextExamples(tokens.encode_all(texts), targets, n_classes, collate=tokens.collate)
    if isinstance(model, AudioModel):
        return recording_examples(parts, model, training, n_classes=n_classes, processes=processes)
    assert isinstance(model, ImageModel)
    return picture_examples(
        parts, model, config, training, n_classes=n_classes, processes=processes, say=say, console=console
    )


def picture_examples(
    parts: list[LabeledDataset],
    model: ImageModel,
    config: FitConfig,
    training: Path,
    *,
    n_classes: int,
    processes: Processes,
    say: Callable[[str], None],
    console: Console | None,
) -> PictureExamples:
    """Return the pictures of some splits, one after the other, preprocessed once into a file that is mapped."""
    pre = model.preprocessing
    n = sum(map(len, parts))
    path = training / "pictures.npy"
    if processes.is_main and not path.exists():
        extractor = extractor_for(model, config, say=say, console=console)
        with atomic_path(path) as temporary:
            stored = np.lib.format.open_memmap(temporary, mode="w+", dtype=np.uint8, shape=(n, *pre.shape))
            at = 0
            for part in parts:
                for pixels in extractor.examples(part):
                    stored[at : at + len(pixels)] = pixels
                    at += len(pixels)
            stored.flush()
            del stored
    processes.wait()
    return pictures_of(
        np.load(path, mmap_mode="r"), np.concatenate([part.labels for part in parts]), model, config, n_classes
    )


def pictures_of(
    pixels: NDArray[Any], targets: NDArray[Any], model: ImageModel, config: FitConfig, n_classes: int
) -> PictureExamples:
    """Return preprocessed pictures (n, channels, height, width) as fine-tuning reads them."""
    pre = model.preprocessing
    std = 1 / (255 * pre.scale)
    return PictureExamples(
        pictures=pixels,
        targets=targets,
        n_classes=n_classes,
        mean=(-pre.offset * std).tolist(),
        std=std.tolist(),
        flip=config.flip,
    )


def arena_of(
    embedded: Embedded,
    head: HeadFit,
    examples: TrainingExamples,
    config: FitConfig,
    *,
    names: LabelNames | None,
    where: Where,
) -> Arena:
    """Return what contests and races are held in.

    Parameters
    ----------
    examples : as `examples_of` gives them for train, and valid where there is one, and `names`.
    """
    model, features = embedded.model, embedded.features
    return Arena(
        network=model.network,
        head=model.head.name,
        probe=head,
        features=features["train"].matrix,
        task=embedded.task,
        examples=examples,
        n_train=len(embedded.splits["train"]),
        valid_logits=head.logits(features["valid"].matrix) if "valid" in features else None,
        anchors=None if names is None else names.features,
        seed=config.seed,
        where=where,
    )
