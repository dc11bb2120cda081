"""A fine-tuned recogniser on disk: what transformers' pipeline loads, checked when written and read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from graft.backbones.loading import hash_weights, quiet_transformers
from graft.backbones.word_ngrams import write_arpa
from graft.core.errors import ModelError
from graft.core.files import as_resource_error, atomic_folder, read_json, write_json
from graft.tasks.saved_record import is_saved_by, read_record, refuse_other_weights
from graft.tasks.speech_recognition import SpeechRecognition

__all__ = ["LANGUAGE_FILE", "is_speech_model", "load_speech", "save_speech", "saved_decoding"]

_FORM = "graft-speech-1"
LANGUAGE_FILE = "language_model.arpa"


def save_speech(
    task: SpeechRecognition, folder: Path, *, contents: Sequence[bytes], facts: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Write a recogniser, load it as ``transformers.pipeline`` does, and compare the texts of some recordings.

    Parameters
    ----------
    folder : it appears whole or not at all.
    contents : sound files at the model's rate and no longer than its window; they are compared as the best token of
        each frame writes them, as the pipeline has no language model.
    facts : further entries of ``graft.json``; of a beam ``decoding``, see `load_speech`. A language model that the
        task's beam has is written beside.

    Returns
    -------
    dict
        ``weights_hash``, and ``n_equal`` of ``n_examples`` whose texts are equal.

    Raises
    ------
    ModelError
        When a text differs.
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
                "transcripts": {**model.form.as_dict(), "in_words": model.form.describe()},
                "language": model.language,
                "weights_hash": weights_hash,
                **(facts or {}),
            }
            write_json(partial / "graft.json", record)
            if task.search is not None and task.search.language is not None:
                write_arpa(task.search.language, partial / LANGUAGE_FILE)
        except OSError as error:
            raise as_resource_error(error, folder) from error
        theirs, plain = SpeechRecognition.reloaded(partial), task.decoded_by(None)
        for content in contents:
            batch = plain.collate([plain.encode(content, name="an utterance")], [[]])
            mine = plain.written(plain.predict(model.network, batch)[0].numpy())
            if mine != theirs(content).strip():
                raise ModelError(
                    f"the saved recogniser writes {theirs(content)[:80]!r}, the trained one {mine[:80]!r}",
                    expected="equal texts",
                    fix="report this; --resume tries again",
                )
    return {"weights_hash": weights_hash, "n_examples": len(contents), "n_equal": len(contents)}


def is_speech_model(folder: Path) -> bool:
    """Return whether a folder holds a recogniser of Graft."""
    return is_saved_by(folder, SpeechRecognition.name)


def saved_decoding(folder: Path) -> dict[str, Any]:
    """Return how a saved recogniser's frames are decoded; ``{"decoding": "greedy"}`` where no beam was chosen."""
    found: dict[str, Any] = read_json(folder / "graft.json").get("decoding") or {"decoding": "greedy"}
    return found


def load_speech(folder: Path) -> SpeechRecognition:
    """Return the recogniser that `save_speech` wrote.

    Raises
    ------
    ModelError
        When the folder holds none, or its weights were changed.
    """
    record = read_record(folder, SpeechRecognition.name, noun="speech recogniser")
    form = {name: record["transcripts"][name] for name in ("case", "has_punctuation")}
    task = SpeechRecognition.of_saved(folder, record={**record, "form": form})
    refuse_other_weights(folder, task.model.network, weights_hash=record["weights_hash"])
    return task
