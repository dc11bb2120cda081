"""Stations of `fit` for speech: settings, the training, what is heard beside what was said, which network is kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graft.api.config import FitConfig
from graft.api.own_way import settings_from
from graft.api.speech_data import SpeechData
from graft.core.text import counted
from graft.data.transcript_form import COMPARED
from graft.evaluation.claims import ALPHA
from graft.evaluation.speech import SpeechEvaluation, Transcripts, evaluate_speech, paired_p_value
from graft.methods.settings import FineTuning
from graft.methods.speech import EPOCHS, Heard, SpeechTuned, fine_tune_speech
from graft.methods.where import Where
from graft.tasks.speech_recognition import SpeechRecognition

__all__ = [
    "evaluated", "kept_network", "most_samples", "said_in", "settings_of", "transcripts_of", "tuned_on",
]  # fmt: skip


def settings_of(config: FitConfig, family: str) -> FineTuning:
    """Return the settings of the loop that the options give; passes where none are named are those of the family."""
    names = (
        "learning_rate", "epochs", "fewest_steps", "micro_batch_size", "optimizer", "weight_decay", "schedule",
        "warmup_fraction", "ema_decay", "l2_sp", "augmentation", "patience",
    )  # fmt: skip
    settings = settings_from(config, names)
    return settings if config.epochs is not None else replace(settings, epochs=EPOCHS[family])


def most_samples(train_seconds: float, task: SpeechRecognition, config: FitConfig) -> int:
    """Return the samples of a batch: of the seconds that were asked for, else a sixteenth of the data, 16 to 120 s."""
    seconds = config.batch_seconds or min(120.0, max(16.0, train_seconds / 16))
    if task.model.family == "seq2seq":
        seconds = max(seconds, task.model.window_s)  # every utterance is filled up to a window
    return round(seconds * task.model.sampling_rate_hz)


def tuned_on(
    rows: NDArray[np.int64],
    ready: SpeechData,
    task: SpeechRecognition,
    config: FitConfig,
    *,
    most: int,
    where: Where,
    max_seconds: float | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> SpeechTuned:
    """Return a network that was fine-tuned on some of the utterances, chosen on those of valid."""
    held_out = ready.rows.get("valid")
    return fine_tune_speech(
        task,
        ready.examples,
        rows,
        held_out_rows=held_out,
        held_out_texts=[] if held_out is None else said_in(ready, "valid"),
        strategy="full" if config.strategy == "auto" else config.strategy,
        settings=settings_of(config, task.model.family),
        lora_rank=config.lora_rank,
        most=most,
        max_seconds=max_seconds,
        seed=config.seed,
        where=where,
        say=say,
    )


def said_in(ready: SpeechData, split: str) -> list[str]:
    """Return what is said in a split's utterances, in the form in which words are compared."""
    return [COMPARED(ready.utterances[int(row)].text) for row in ready.rows[split]]


def transcripts_of(ready: SpeechData, heard: Heard, split: str) -> Transcripts:
    """Return what was heard in a split's utterances beside what is said in them."""
    own = ready.utterances.select(ready.rows[split])
    return Transcripts(
        tuple(own.ids),
        tuple(said_in(ready, split)),
        tuple(COMPARED(text) for text in heard.texts),
        own.groups,
        own.group_name or "recording",
    )


def evaluated(ready: SpeechData, heard: Heard, split: str, config: FitConfig) -> SpeechEvaluation:
    """Return the error rates of what was heard in a split's utterances."""
    return evaluate_speech(transcripts_of(ready, heard, split), seed=config.seed)


def kept_network(
    ready: SpeechData,
    task: SpeechRecognition,
    tuned: SpeechTuned,
    untouched: Mapping[str, Heard],
    heard_by: Callable[[Any, str], Heard],
    config: FitConfig,
) -> tuple[Any, str, str]:
    """Return the network that is kept, its name, and why: the untouched one stays where fine-tuning did not help.

    Fewer word errors on valid decide, and whether chance alone would do that is told: a test at 5 % would almost always
    keep the untouched one, as few utterances are held out of little speech.
    """
    if "valid" not in untouched:
        return tuned.network, "fine-tuned", "the fine-tuned network is kept: nothing else could be judged"
    mine, theirs = heard_by(tuned.network, "valid"), untouched["valid"]
    after = evaluated(ready, mine, "valid", config).words
    before = evaluated(ready, theirs, "valid", config).words
    told = (
        f"{counted(after.errors, 'word error')} on valid, the untouched checkpoint {before.errors}, of"
        f" {counted(after.n, 'word')}"
    )
    if after.errors < before.errors:
        p_value = paired_p_value(
            transcripts_of(ready, mine, "valid"), transcripts_of(ready, theirs, "valid"), seed=config.seed
        )
        chance = "" if p_value <= ALPHA else f", which chance may do as well (p = {p_value:.2f})"
        return tuned.network, "fine-tuned", f"the fine-tuned network is kept: {told}{chance}"
    return task.model.network, "untouched", f"fine-tuning did not help, the untouched checkpoint is kept: {told}"
