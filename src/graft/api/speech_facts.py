"""What a run of speech recognition keeps: how it was chosen, transcripts to look at, predictions, a few sounds."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graft.api.config import FitConfig
from graft.api.speech_data import SpeechData
from graft.api.speech_training import evaluated, transcripts_of
from graft.core.files import atomic_path
from graft.core.text import counted, percent
from graft.evaluation.speech import compare_transcripts, paired_p_value
from graft.methods.speech import Heard, SpeechTuned
from graft.tasks.speech_recognition import SpeechRecognition

__all__ = [
    "beside_untouched", "contents", "ended_early", "strategy_facts", "suspects", "wav", "write_predictions",
]  # fmt: skip

_CHECKED = 3  # utterances on which the saved model is compared


def strategy_facts(tuned: SpeechTuned, kept: str, why: str) -> dict[str, Any]:
    """Return what the manifest keeps of the training and of the choice."""
    facts: dict[str, Any] = {"kept": kept, "why": why, "n_trainable": tuned.n_trainable}
    if tuned.training is None:
        return facts
    history = [dict(line) for line in tuned.training.history]
    facts |= {
        "learning_rate": tuned.learning_rate,
        "n_steps": tuned.training.n_steps,
        "ended_by": tuned.training.ended_by,
        "best_step": tuned.training.best_step,
        "precision": tuned.training.precision,
        "warm_up_loss": tuned.warm_up_loss,
        "history": history,
        "loss_against_words": _loss_against_words(history, tuned.training.best_step),
    }
    return facts


def ended_early(tuned: SpeechTuned) -> str:
    """Return a sentence where training ended before the steps that were announced; empty else."""
    if tuned.training is None or tuned.training.ended_by == "steps":
        return ""
    why = {"patience": "word errors on valid had stopped falling", "time": "the time was up"}
    ended = tuned.training.ended_by
    return f"ended after {counted(tuned.training.n_steps, 'step')}: {why.get(ended, ended)}"


def beside_untouched(ready: SpeechData, heard: Heard, untouched: Heard, config: FitConfig) -> dict[str, Any]:
    """Return the figures of the untouched checkpoint on test, with the kept network's lead and whether it is chance."""
    mine, theirs = (transcripts_of(ready, one, "test") for one in (heard, untouched))
    difference = compare_transcripts(mine, theirs, seed=config.seed)
    paired = {
        "difference": difference.as_dict(),
        "p_value": paired_p_value(mine, theirs, seed=config.seed),
        "test": "signs of the utterances' differences turned at random",
    }
    return {**evaluated(ready, untouched, "test", config).as_dict(), "paired": paired}


def _loss_against_words(history: list[dict[str, Any]], best_step: int) -> str:
    """Return a sentence where held-out loss and word errors chose different weights; empty where they agree."""
    by_loss = min(history, key=lambda line: line["log_loss"], default=None)
    best = next((line for line in history if line["step"] == best_step), None)
    if by_loss is None or best is None or by_loss["step"] == best_step:
        return ""
    return (
        f"Loss and word errors are two claims: the held-out loss was least at step {by_loss['step']}"
        f" ({by_loss['log_loss']:.3f}, with {percent(by_loss['wer'])} of words wrong), the fewest words were wrong at"
        f" step {best_step} ({percent(best['wer'])}, at a loss of {best['log_loss']:.3f}). Words decide."
    )


def suspects(ready: SpeechData, heard: Heard) -> list[dict[str, Any]]:
    """Return training utterances whose transcript fits their sound far worse than the others': by loss per token."""
    each = np.where(np.isfinite(heard.losses), heard.losses, 1e3) / np.maximum(heard.tokens, 1)
    middle = float(np.median(each))
    spread = 1.4826 * float(np.median(np.abs(each - middle))) + 1e-9
    order = np.argsort(-each)[:20]
    rows = ready.rows["train"]
    return [
        {
            "id": ready.utterances[int(rows[i])].id,
            "said": ready.utterances[int(rows[i])].text[:200],
            "heard": heard.texts[i][:200],
            "loss": round(float(each[i]), 3),
        }
        for i in order
        if each[i] > middle + 6 * spread and each[i] > 1.0
    ]


def wav(ready: SpeechData, task: SpeechRecognition, row: int) -> bytes:
    """Return the sound of an utterance as a WAV file of float32 at the model's rate."""
    import soundfile

    file = io.BytesIO()
    soundfile.write(file, ready.examples.waveforms[row], task.model.sampling_rate_hz, format="WAV", subtype="FLOAT")
    return file.getvalue()


def contents(ready: SpeechData, task: SpeechRecognition) -> list[bytes]:
    """Return the sounds on which the saved model is compared with the one in memory."""
    rows: NDArray[np.int64] = ready.rows["train"]
    return [wav(ready, task, int(row)) for row in rows[:: max(1, len(rows) // _CHECKED)][:_CHECKED]]


def write_predictions(path: Path, ready: SpeechData, heard: Mapping[str, Heard]) -> None:
    """Write a row an utterance: id, split, group, target, prediction, loss."""
    import pyarrow as pa
    import pyarrow.parquet as parquet

    columns: dict[str, list[Any]] = {name: [] for name in ("id", "split", "group", "target", "prediction", "loss")}
    for split, found in heard.items():
        own = ready.utterances.select(ready.rows[split])
        columns["id"] += own.ids
        columns["split"] += [split] * len(own)
        columns["group"] += own.group_keys
        columns["target"] += own.texts
        columns["prediction"] += found.texts
        columns["loss"] += found.losses.tolist()
    with atomic_path(path) as temporary:
        parquet.write_table(pa.table(columns), temporary)
