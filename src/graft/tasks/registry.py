"""The tasks by name; a new one is a file and a line here."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

from graft.core.errors import UsageError, did_you_mean

__all__ = ["TASKS", "task_class"]

TASKS: Mapping[str, str] = {
    "audio-classification": "graft.tasks.audio_classification:AudioClassification",
    "automatic-speech-recognition": "graft.tasks.speech_recognition:SpeechRecognition",
    "image-classification": "graft.tasks.image_classification:ImageClassification",
    "text-classification": "graft.tasks.text_classification:TextClassification",
    "text-generation": "graft.tasks.text_generation:TextGeneration",
}


def task_class(name: str) -> type[Any]:
    """Return the class of a task; its module is imported only now.

    Raises
    ------
    UsageError
        When there is no task of that name.
    """
    if name not in TASKS:
        raise UsageError(f"task '{name}'.{did_you_mean(name, TASKS)}", expected=", ".join(TASKS))
    module, _, attribute = TASKS[name].partition(":")
    found: type[Any] = getattr(importlib.import_module(module), attribute)
    return found
