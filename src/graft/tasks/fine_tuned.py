"""A fine-tuned model on disk: a standard transformers checkpoint, checked when written and when read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from graft.backbones.loading import hash_weights, quiet_transformers
from graft.core.decision import Decision
from graft.core.errors import ModelError
from graft.core.files import as_resource_error, atomic_folder, read_json, write_json
from graft.tasks.base import Task
from graft.tasks.registry import task_class
from graft.tasks.saved_record import refuse_other_weights

__all__ = ["FineTunedModel", "SavedCheck", "load_fine_tuned", "save_fine_tuned"]

_FORM = "graft-model-1"
_TOLERANCE = 1e-5


@dataclass(frozen=True)
class SavedCheck:
    """How the reloaded checkpoint compares with the model in memory.

    Parameters
    ----------
    weights_hash : of the network as saved, head included.
    n_examples : examples compared.
    largest_difference : between probabilities of the network in memory and of the reloaded one, both eager fp32.
    """

    weights_hash: str
    n_examples: int
    largest_difference: float


@dataclass(frozen=True)
class FineTunedModel:
    """The task over the network of a finished run, its label names, and how it decides.

    Parameters
    ----------
    decision : one class an example or any number of labels, and by which thresholds or offset.
    held_out : (n_held_out,), probabilities of the true class of examples that the model was not fitted to, ascending:
        what conformal sets are made from; None: not kept.
    text_columns : of texts, the columns of the table that it was fitted to, two where it reads pairs, none where its
        texts stood in files; None: not known, or no texts.
    """

    task: Task
    label_names: tuple[str, ...]
    weights_hash: str
    decision: Decision = field(default_factory=Decision)
    held_out: NDArray[np.float64] | None = None
    text_columns: tuple[str, ...] | None = None


def save_fine_tuned(
    task: Task,
    folder: Path,
    *,
    label_names: Sequence[str],
    contents: Sequence[bytes],
    decision: Decision | None = None,
    held_out: NDArray[np.float64] | None = None,
    text_columns: tuple[str, ...] | None = None,
) -> SavedCheck:
    """Write a standard checkpoint to `folder`, reload it as transformers does, and compare probabilities.

    Parameters
    ----------
    task : over the pretrained model with its fitted head.
    folder : becomes a folder that ``transformers.pipeline`` loads; it appears whole or not at all.
    contents : a few examples to compare on.
    decision : kept in ``graft.json``; with thresholds the checkpoint is one of several labels, whose scores
        ``transformers.pipeline`` makes by the logistic function. None: one class, the likeliest.
    held_out, text_columns : kept there too, see `FineTunedModel`.

    Raises
    ------
    ModelError
        When the reloaded model gives other probabilities.
    ResourceError
        When the folder cannot be written.
    """
    model = task.model
    network: Any = model.network
    network.config.id2label = dict(enumerate(label_names))
    network.config.label2id = {name: i for i, name in enumerate(label_names)}
    network.config.architectures = [type(network).__name__]
    decision = decision or Decision()
    network.config.problem_type = f"{'multi' if decision.is_multi_label else 'single'}_label_classification"
    with atomic_folder(folder) as partial:
        try:
            with quiet_transformers():
                network.save_pretrained(partial, safe_serialization=True)
                model.save_processor(partial)
            weights_hash = hash_weights(network)
            record = {
                "form": _FORM,
                "task": task.name,
                "label_names": list(label_names),
                "weights_hash": weights_hash,
                "head": model.head.name,
                "decision": decision.as_dict(),
                "held_out_probabilities": None if held_out is None else held_out.tolist(),
                **({} if text_columns is None else {"text_columns": list(text_columns)}),
                **model.saved_facts,
            }
            write_json(partial / "graft.json", record)
        except OSError as error:
            raise as_resource_error(error, folder) from error
        largest = _compare(task, partial, label_names, contents, decision=decision)
    return SavedCheck(weights_hash, len(contents), largest)


def load_fine_tuned(folder: Path, *, preprocessing: str | None = None) -> FineTunedModel:
    """Return the model that `save_fine_tuned` wrote.

    Parameters
    ----------
    preprocessing : ``FILE.py:NAME``, where the model was fitted with a preprocessing of the user's own.

    Raises
    ------
    ModelError
        When the folder is none of Graft's, the label map was permuted, or the weights were changed.
    UsageError
        When the model needs a preprocessing and none, or another, was named.
    """
    if not (folder / "graft.json").is_file():
        raise ModelError(
            f"{folder} holds no model of Graft",
            expected="the folder that graft fit wrote: RUN, with RUN/model in it",
            fix="name the run's folder, or finish an interrupted run with graft fit ... --resume",
        )
    record = read_json(folder / "graft.json") | {"named_preprocessing": preprocessing}
    if record.get("task") == "automatic-speech-recognition":
        raise ModelError(
            f"{folder} holds a speech recogniser",
            expected="a model of classes",
            fix="graft predict RUN FILES writes what is said; graft fit judges on a test split (--test DATA)",
        )
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
    found_class = task_class(record.get("task", "image-classification"))
    task = found_class.of_saved(folder, label_names=label_names, record=record)
    refuse_other_weights(folder, task.model.network, weights_hash=record["weights_hash"])
    kept = record.get("held_out_probabilities")
    return FineTunedModel(
        task,
        label_names,
        record["weights_hash"],
        Decision.from_dict(record.get("decision") or {}),
        None if kept is None else np.array(kept, dtype=np.float64),
        None if record.get("text_columns") is None else tuple(record["text_columns"]),
    )


@torch.inference_mode()
def _compare(
    task: Task, folder: Path, label_names: Sequence[str], contents: Sequence[bytes], *, decision: Decision
) -> float:
    config = read_json(folder / "config.json")
    if config.get("id2label") != {str(i): name for i, name in enumerate(label_names)}:
        raise ModelError("the label map did not survive saving", expected="the labels of the data, in order")
    with quiet_transformers():
        theirs = task.reloaded(folder)
    largest = 0.0
    for content in contents:
        batch = task.collate([task.encode(content, name=str(folder))], [0])
        mine = task.predict(task.model.network, batch)[0].float().numpy()
        difference = decision.probabilities(mine) - decision.probabilities(theirs(content))
        largest = max(largest, float(np.abs(difference).max()))
    if largest > _TOLERANCE:
        raise ModelError(
            f"the saved model gives other probabilities than the trained one (difference {largest:.2g})",
            expected=f"equal probabilities, within {_TOLERANCE:g}",
            fix="report this: the run's features and head are kept, and --resume tries again",
        )
    return largest
