"""`check` of transcribed speech: nothing is trained; a recogniser, where one is named, hears each utterance once."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from rich.console import Console

from graft.api.config import FitConfig
from graft.core.files import hash_bytes, write_json
from graft.core.findings import Finding
from graft.data.manifests import ManifestColumns
from graft.data.transcript_form import COMPARED
from graft.data.transcripts import read_transcribed
from graft.data.utterances import Utterances, decode_utterances
from graft.evaluation.transcript_checks import Heard, Spoken, check_transcripts

__all__ = ["check_speech"]

_RATE_HZ = 16_000
_BATCH_S = 60.0


def check_speech(
    data: str, config: FitConfig, *, model: str | None, say: Callable[[str], None], console: Console
) -> list[Finding]:
    """Return what is wrong with transcribed speech, and write it to ``checks.json`` in the folder ``config.out``.

    Parameters
    ----------
    model : a recogniser that spells with the transcripts' letters, or a run of `fit`; None: transcripts are not heard.

    Raises
    ------
    DataError, ModelError
        As reading and loading do.
    """
    from graft.report.checks import print_checks

    columns = ManifestColumns(config.path_column, config.text_column, config.group_column)
    found = read_transcribed(data, valid=config.valid, test=config.test, columns=columns)
    for note in found.notes:
        say(note)
    parts = {"train": found.train}
    parts |= {name: part for name, part in (("valid", found.valid), ("test", found.test)) if part is not None}
    rows = [row for split, part in parts.items() for row in _looked_at(split, part)]
    seconds = sum(row.seconds for row in rows)
    say(f"{len(rows):,} utterances, {seconds / 3600:.2f} hours")
    if model is not None:
        rows = _heard(rows, parts, model, config, say=say)
    findings = check_transcripts(rows)
    path = Path(config.out) / "checks.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    splits = {name: len(part) for name, part in parts.items()}
    told = [finding.as_dict() for finding in findings]
    write_json(path, {"form": "graft-checks-1", "splits": splits, "seconds": round(seconds, 3), "findings": told})
    print_checks(told, console=console, is_whole=True)
    say(f"all of it: {path}")
    return findings


def _looked_at(split: str, part: Utterances) -> Iterator[Spoken]:
    for item, sound in zip(part, decode_utterances(part, sampling_rate_hz=_RATE_HZ, skip_unreadable=True), strict=True):
        yield Spoken(
            item.id,
            split,
            COMPARED(item.text),
            item.group,
            hash_bytes(sound.waveform.tobytes()),
            len(sound.waveform) / _RATE_HZ,
            sound.peak,
            sound.clipped,
            sound.error,
        )


def _heard(
    rows: list[Spoken], parts: dict[str, Utterances], model: str, config: FitConfig, *, say: Callable[[str], None]
) -> list[Spoken]:
    """Return the rows with what a recogniser makes of them, where it can be asked."""
    from graft.api.speech_data import prepare
    from graft.core.devices import choose_device
    from graft.methods.speech import hear
    from graft.methods.where import training_precision
    from graft.tasks.speech_recognition import SpeechRecognition

    own = Path(model) / "model"
    task = SpeechRecognition.load(
        str(own if (own / "graft.json").is_file() else model),
        texts=parts["train"].texts,
        is_offline=config.offline,
        trust_remote_code=config.trust_remote_code,
    )
    if task.model.is_new_head:
        say(f"{model} does not spell with the letters of these transcripts: they are not compared with what it hears")
        return rows
    network = task.build()
    precision = training_precision(network, choose_device(config.device), wanted=config.precision)
    place = {(row.split, row.id): number for number, row in enumerate(rows)}
    rows = list(rows)
    with tempfile.TemporaryDirectory() as folder:
        for split, part in parts.items():
            readable = [i for i, item in enumerate(part) if rows[place[split, item.id]].is_sound]
            if not readable:
                continue
            kept = {split: part.select(readable)}
            ready = prepare(kept, task, replace(config, skip_unreadable=True), Path(folder) / split, say=lambda _: None)
            most = round(_BATCH_S * task.model.sampling_rate_hz)
            numbers = np.asarray(ready.rows[split])
            found = hear(task, network, ready.examples, numbers, most=most, precision=precision)
            for row, text, loss in zip(numbers.tolist(), found.texts, found.losses.tolist(), strict=True):
                at = place[split, ready.utterances[row].id]
                rows[at] = replace(rows[at], heard=Heard(COMPARED(text), float(loss)))
    return rows
