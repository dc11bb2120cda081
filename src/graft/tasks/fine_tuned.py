"""A fine-tuned model on disk: a standard transformers checkpoint, checked when written and when read."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL.Image import Image

from graft.backbones.loading import ImageModel, hash_weights, load_image_model, quiet_transformers
from graft.core.errors import ModelError
from graft.core.files import as_resource_error, read_json, write_json

__all__ = ["FineTunedModel", "SavedCheck", "load_fine_tuned", "save_fine_tuned"]

_FORM = "graft-model-1"


@dataclass(frozen=True)
class SavedCheck:
    """How the reloaded checkpoint compares with the model in memory.

    Parameters
    ----------
    weights_hash : of the network as saved, head included.
    n_pictures : pictures compared.
    largest_difference : between probabilities of the network in memory and of the reloaded one, both eager fp32.
    """

    weights_hash: str
    n_pictures: int
    largest_difference: float


@dataclass(frozen=True)
class FineTunedModel:
    """Network, preprocessing and label names of a finished run."""

    model: ImageModel
    label_names: tuple[str, ...]
    weights_hash: str


def save_fine_tuned(
    model: ImageModel, folder: Path, *, label_names: Sequence[str], pictures: Sequence[Image]
) -> SavedCheck:
    """Write a standard checkpoint to `folder`, reload it as transformers does, and compare probabilities.

    Parameters
    ----------
    model : the pretrained model with its fitted head.
    folder : becomes a folder that ``transformers.pipeline`` loads; it appears whole or not at all.
    pictures : RGB pictures to compare on, a few.

    Raises
    ------
    ModelError
        When the reloaded model gives other probabilities.
    ResourceError
        When the folder cannot be written.
    """
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    network: Any = model.network
    network.config.id2label = dict(enumerate(label_names))
    network.config.label2id = {name: i for i, name in enumerate(label_names)}
    network.config.architectures = [type(network).__name__]
    try:
        with quiet_transformers():
            network.save_pretrained(partial, safe_serialization=True)
            model.preprocessing.processor.save_pretrained(partial)
        weights_hash = hash_weights(network)
        record = {
            "form": _FORM,
            "label_names": list(label_names),
            "weights_hash": weights_hash,
            "head": model.head.name,
        }
        write_json(partial / "graft.json", record)
    except OSError as error:
        shutil.rmtree(partial, ignore_errors=True)
        raise as_resource_error(error, folder) from error
    try:
        largest = _compare(model, partial, label_names, pictures)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    if folder.exists():
        shutil.rmtree(folder)
    partial.rename(folder)
    return SavedCheck(weights_hash, len(pictures), largest)


def load_fine_tuned(folder: Path) -> FineTunedModel:
    """Return the model that `save_fine_tuned` wrote.

    Raises
    ------
    ModelError
        When the folder is none of Graft's, the label map was permuted, or the weights were changed.
    """
    if not (folder / "graft.json").is_file():
        raise ModelError(
            f"{folder} holds no model of Graft",
            expected="the folder that graft fit wrote: RUN, with RUN/model in it",
            fix="name the run's folder, or finish an interrupted run with graft fit ... --resume",
        )
    record = read_json(folder / "graft.json")
    label_names = tuple(record["label_names"])
    config = read_json(folder / "config.json")
    found = tuple(config.get("id2label", {}).get(str(i), "") for i in range(len(label_names)))
    if found != label_names or len(config.get("id2label", {})) != len(label_names):
        raise ModelError(
            f"{folder / 'config.json'} maps the outputs to {', '.join(found[:4])}, ...; they were trained as"
            f" {', '.join(label_names[:4])}, ...",
            expected="the label map that the weights were saved with",
            fix="restore id2label and label2id in config.json (graft.json has the right order)",
        )
    model = load_image_model(str(folder), label_names=label_names, is_offline=True)
    weights_hash = hash_weights(model.network)
    if weights_hash != record["weights_hash"]:
        raise ModelError(
            f"the weights in {folder} are not those that Graft saved",
            expected=f"weights with the hash {record['weights_hash']}",
            fix="copy the run's folder again, or load it with transformers if the change is meant",
        )
    return FineTunedModel(model, label_names, weights_hash)


@torch.inference_mode()
def _compare(model: ImageModel, folder: Path, label_names: Sequence[str], pictures: Sequence[Image]) -> float:
    from transformers import AutoImageProcessor, AutoModelForImageClassification

    with quiet_transformers():
        reloaded: Any = AutoModelForImageClassification.from_pretrained(folder, local_files_only=True).eval()
        processor = AutoImageProcessor.from_pretrained(folder, local_files_only=True)
    if reloaded.config.id2label != dict(enumerate(label_names)):
        raise ModelError("the label map did not survive saving", expected="the labels of the data, in order")
    largest = 0.0
    for picture in pictures:
        mine = _probabilities(model.network, model.preprocessing.processor, picture)
        theirs = _probabilities(reloaded, processor, picture)
        largest = max(largest, float(np.abs(mine - theirs).max()))
    if largest > 1e-5:
        raise ModelError(
            f"the saved model gives other probabilities than the trained one (difference {largest:.2g})",
            expected="equal probabilities, within 1e-5",
            fix="report this: the run's features and head are kept, and --resume tries again",
        )
    return largest


def _probabilities(network: Any, processor: Any, picture: Image) -> NDArray[np.float32]:
    pixels = processor(images=picture, return_tensors="pt")["pixel_values"]
    return network(pixel_values=pixels).logits.softmax(-1)[0].numpy()
