"""The station of `fit` at which a recogniser's way to decode is decided."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from graft.api.config import FitConfig
from graft.api.speech_data import SpeechData
from graft.backbones.ctc_beam import BeamSearch
from graft.core.devices import Precision
from graft.core.errors import UsageError
from graft.core.text import counted, percent
from graft.data.transcript_form import COMPARED
from graft.methods.speech_decoding import Decoding, beam_of, choose_weights, language_of
from graft.tasks.speech_recognition import SpeechRecognition

__all__ = ["asked_beam", "decided_decoding"]


def asked_beam(
    task: SpeechRecognition, ready: SpeechData, config: FitConfig, *, say: Callable[[str], None]
) -> BeamSearch | None:
    """Return the beam that the options ask for, with its language model; None: greedy. Before anything is trained.

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
        return None
    language = None
    if config.language_model is not None:
        texts = [ready.utterances[int(row)].text for row in ready.rows["train"]]
        language = language_of(config.language_model, texts, task.model)
        say(f"language model: {counted(len(language.words), 'word')}, n-grams of up to {language.order} words")
    return beam_of(task.model, language)


def decided_decoding(
    task: SpeechRecognition,
    ready: SpeechData,
    search: BeamSearch | None,
    *,
    most: int,
    precision: Precision,
    say: Callable[[str], None],
) -> tuple[SpeechRecognition, dict[str, Any]]:
    """Return the task with its way to decode, and what the saved model keeps of it; nothing where it is greedy."""
    if search is None:
        return task, {}
    if search.language is None or "valid" not in ready.rows:
        if search.language is not None:
            say("no speech is held out to choose the language model's weights by: the usual ones")
        return task.decoded_by(search), Decoding(search, {}).as_dict()
    rows = ready.rows["valid"]
    said = [COMPARED(ready.utterances[int(row)].text) for row in rows]
    network = task.build()
    chosen = choose_weights(task, network, ready.examples, rows, said, search=search, most=most, precision=precision)
    best, usual = chosen.search, chosen.errors[search.weight, search.bonus]
    least = chosen.errors[best.weight, best.bonus]
    if (best.weight, best.bonus) == (search.weight, search.bonus):
        say(f"beam: the language model's usual weights stay, {percent(usual)} of words wrong on valid: none has fewer")
    else:
        say(
            f"beam: the language model's weight {best.weight:g} and bonus {best.bonus:g} a word leave"
            f" {percent(least)} of words wrong on valid; the usual {search.weight:g} and {search.bonus:g} leave"
            f" {percent(usual)}"
        )
    return task.decoded_by(best), chosen.as_dict()
