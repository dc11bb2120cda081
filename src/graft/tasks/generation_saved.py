"""A fine-tuned language model on disk: what transformers' pipeline loads, checked when written and read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from graft.backbones.loading import hash_weights, quiet_transformers
from graft.core.errors import ModelError
from graft.core.files import as_resource_error, atomic_folder, write_json
from graft.data.conversations import Conversation
from graft.tasks.saved_record import is_saved_by, read_record, refuse_other_weights
from graft.tasks.text_generation import TextGeneration

__all__ = ["is_generation_model", "load_generation", "save_generation"]

_FORM = "graft-generation-1"
_CHECKED_TOKENS = 24  # of each answer that is compared


def save_generation(
    task: TextGeneration, folder: Path, *, prompts: Sequence[Conversation], facts: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Write a language model, load it as ``transformers.pipeline`` does, and compare the beginnings of some answers.

    Parameters
    ----------
    folder : it appears whole or not at all.
    prompts : conversations that end where an answer is wanted; those with tools are not asked.
    facts : further entries of ``graft.json``.

    Returns
    -------
    dict
        ``weights_hash``, and ``n_equal`` of ``n_examples`` whose answers are equal.

    Raises
    ------
    ModelError
        When an answer differs.
    ResourceError
        When the folder cannot be written.
    """
    model = task.model
    weights_hash = hash_weights(model.network)
    with atomic_folder(folder) as partial:
        try:
            with quiet_transformers():
                model.save(partial)
            record = {
                "form": _FORM,
                "task": task.name,
                "answers": task.answers,
                "max_tokens": model.encoder.max_tokens,
                "stop_tokens": list(model.stop_tokens),
                "weights_hash": weights_hash,
                **(facts or {}),
            }
            write_json(partial / "graft.json", record)
        except OSError as error:
            raise as_resource_error(error, folder) from error
        theirs = TextGeneration.reloaded(partial)
        asked = [prompt for prompt in prompts if not prompt.tools]
        for prompt in asked:
            tokens = model.encoder.prompt(prompt.as_list())[: model.encoder.max_tokens - _CHECKED_TOKENS]
            if len(tokens) < len(model.encoder.prompt(prompt.as_list())):
                continue
            mine = task.written(task.generate(model.network, [tokens], most=_CHECKED_TOKENS)[0][0])
            if mine != (found := theirs(prompt.as_list(), _CHECKED_TOKENS)):
                raise ModelError(
                    f"the saved language model answers {found[:80]!r}, the trained one {mine[:80]!r}",
                    expected="equal answers",
                    fix="report this; --resume tries again",
                )
    return {"weights_hash": weights_hash, "n_examples": len(asked), "n_equal": len(asked)}


def is_generation_model(folder: Path) -> bool:
    """Return whether a folder holds a language model of Graft."""
    return is_saved_by(folder, TextGeneration.name)


def load_generation(folder: Path) -> TextGeneration:
    """Return the language model that `save_generation` wrote.

    Raises
    ------
    ModelError
        When the folder holds none, or its weights were changed.
    """
    record = read_record(folder, TextGeneration.name, noun="language model")
    task = TextGeneration.of_saved(folder, record=record)
    refuse_other_weights(folder, task.model.network, weights_hash=record["weights_hash"])
    return task
