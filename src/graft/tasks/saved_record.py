"""The record of a model without classes that Graft saved: found by its task, and held against the weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import nn

from graft.backbones.loading import hash_weights
from graft.core.errors import ModelError
from graft.core.files import read_json

__all__ = ["is_saved_by", "read_record", "refuse_other_weights"]


def is_saved_by(folder: Path, task: str) -> bool:
    """Return whether a folder holds a model of Graft for a task."""
    path = folder / "graft.json"
    return path.is_file() and read_json(path).get("task") == task


def read_record(folder: Path, task: str, *, noun: str) -> dict[str, Any]:
    """Return ``graft.json`` of a saved model.

    Parameters
    ----------
    noun : what is looked for, for the message.

    Raises
    ------
    ModelError
        When the folder holds none for this task.
    """
    if not is_saved_by(folder, task):
        raise ModelError(
            f"{folder} holds no {noun} of Graft",
            expected="the folder that graft fit wrote: RUN, with RUN/model in it",
            fix="name the run's folder",
        )
    found: dict[str, Any] = read_json(folder / "graft.json")
    return found


def refuse_other_weights(folder: Path, network: nn.Module, *, weights_hash: str) -> None:
    """Raise where a loaded network's weights are not those that were saved.

    Raises
    ------
    ModelError
        When they have another hash.
    """
    if hash_weights(network) != weights_hash:
        raise ModelError(
            f"the weights in {folder} are not those that Graft saved",
            expected=f"weights with the hash {weights_hash}",
            fix="copy the run's folder again, or load it with transformers if the change is meant",
        )
