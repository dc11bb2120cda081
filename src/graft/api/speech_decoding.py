"""The station of `fit` at which a recogniser's way to decode is decided."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from graft.api.config import FitConfig
from graft.api.speech_data import SpeechData
from graft.core.devices import Precision
from graft.core.errors import UsageError
from graft.core.text import counted
from graft.data.transcript_form import COMPARED
from graft.methods.speech_decoding import Decoding, beam_of, choose_weights, language_of
from graft.tasks.speech_recognition import SpeechRecognition

__all__ = ["decided_decoding"]


def decided_decoding(
    task: SpeechRecognition,
    ready: SpeechData,
    config: FitConfig,
    *,
    most: int,
    precision: Precision,
    say: Callable[[str], None],
) -> tuple[SpeechRecognition, dict[str, Any]]:
    """Return the task with its way to decode, and what the saved model keeps of it; nothing where it is greedy.

    Raises
    ------
    UsageError
        When the options do not go together, or the network is Whisper.
    DataError
        When the language model's file cannot be read.
    """
    if config.decoding == "greedy" and config.language_model is not None:
        raise UsageError(
            f"--decoding greedy with --language-model {config.language_model}",
            expected="the beam, which alone asks the language model",
            fix="--decoding beam (Python: decoding='beam')",
        )
    if config.decoding == "greedy" or (config.decoding == "auto" and config.language_model is None):
        return task, {}
    language = None
    if config.language_model is not None:
        texts = [ready.utterances[int(row)].text for row in ready.rows["train"]]
        language = language_of(config.language_model, texts, task.model)
        say(f"language model: {counted(len(language.words), 'word')}, n-grams of up to {language.order} words")
    search = beam_of(task.model, language)
    if language is None or "valid" not in ready.rows:
        if language is not None:
            say("no speech is held out to choose the language model's weights by: the usual ones")
        return task.decoded_by(search), Decoding(search, {}).as_dict()
    rows = ready.rows["valid"]
    said = [COMPARED(ready.utterances[int(row)].text) for row in rows]
    network = task.build()
    chosen = choose_weights(task, network, ready.examples, rows, said, search=search, most=most, precision=precision)
    best, usual = chosen.search, chosen.errors[search.weight, search.bonus]
    say(
        f"beam: weight {best.weight:g} and {best.bonus:g} a word leave"
        f" {chosen.errors[best.weight, best.bonus]:.1%} of words wrong on valid, the usual {usual:.1%}"
    )
    return task.decoded_by(best), chosen.as_dict()
