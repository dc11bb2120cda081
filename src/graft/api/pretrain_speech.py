"""The article's first step for speech: a CTC encoder from random weights on labelled speech."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console

from graft.core.errors import UsageError, did_you_mean
from graft.core.files import write_json

__all__ = ["pretrain_speech"]


def pretrain_speech(
    data: str | Path,
    *,
    out: str | Path,
    arch: str = "wav2vec2_nano",
    init: str | Path | None = None,
    sampling_rate_hz: int = 8_000,
    epochs: float = 30.0,
    max_seconds: float | None = None,
    batch_seconds: float = 24.0,
    learning_rate: float = 2e-3,
    augmentation: str = "strong",
    precision: str = "fp32",
    seed: int = 0,
    resume: bool = False,
    overwrite: bool = False,
    say: Callable[[str], None] = lambda text: None,
    console: Console | None = None,
) -> Path:
    """Train a recogniser from random weights on transcribed speech; return its folder, a model for `graft.fit`.

    Parameters
    ----------
    data : as `graft.data.transcripts.read_transcribed` reads it; its valid split, else a twentieth, is looked at in
        training.
    out : receives a transformers checkpoint and ``pretrain.json``.
    arch : a key of `graft.backbones.speech_architectures.SPEECH_ARCHITECTURES`.
    init : folder of an encoder of this kind whose weights it begins with, in place of random ones.
    sampling_rate_hz : of the sound that it reads.
    epochs : passes over the data.
    max_seconds : of the steps; the schedule ends by then with fewer passes.
    batch_seconds : of a batch, filled up.
    learning_rate : the highest, of AdamW.
    augmentation : how far utterances are distorted, see `graft.training.utterances.SpeechDistortion`.
    precision : fp32, auto or bf16; with convolutions that move, bf16 gave gradients that are no numbers on a CPU.
    resume : go on after an interrupt; a finished run is returned as it is.
    overwrite : throw away what is in `out`.

    Raises
    ------
    UsageError
        When there is no such architecture, or `out` exists and neither `resume` nor `overwrite` is given.
    DataError, ModelError, Interrupted
        As reading and training do.
    """
    from graft.backbones.speech_architectures import SPEECH_ARCHITECTURES, write_speech_architecture

    out = Path(out)
    if arch not in SPEECH_ARCHITECTURES:
        raise UsageError(
            f"--arch {arch}.{did_you_mean(arch, SPEECH_ARCHITECTURES)}", expected=", ".join(SPEECH_ARCHITECTURES)
        )
    if resume and (out / "pretrain.json").is_file():
        return out
    if out.exists() and any(out.iterdir()) and not (resume or overwrite):
        raise UsageError(
            f"{out} exists",
            expected="a new folder",
            fix="--resume goes on with it, --overwrite replaces it (Python: resume=True, overwrite=True)",
        )
    if overwrite:
        shutil.rmtree(out, ignore_errors=True)

    from graft.api.config import FitConfig
    from graft.api.speech_data import divide, prepare
    from graft.backbones.vocabulary import letters_of
    from graft.core.process import prepare_process
    from graft.core.text import counted, percent
    from graft.data.manifests import ManifestColumns
    from graft.data.transcript_form import COMPARED
    from graft.data.transcripts import TranscribedSplits, read_transcribed
    from graft.methods.settings import FineTuning
    from graft.methods.speech import fine_tune_speech
    from graft.methods.where import Where
    from graft.tasks.speech_recognition import SpeechRecognition
    from graft.tasks.speech_saved import save_speech

    prepare_process()
    work = out / ".work"
    config = FitConfig(model=str(init or work / "start"), out=str(out), test_fraction=0.05, seed=seed)
    found = read_transcribed(data, columns=ManifestColumns())
    parts, _ = divide(TranscribedSplits(found.train, valid=found.train, test=found.valid), config)
    parts["valid"] = parts.pop("test")  # what `divide` held out, or the data's own
    letters = set(letters_of(COMPARED(text) for text in parts["train"].texts))
    start = Path(init) if init is not None else work / "start"
    if init is None:
        write_speech_architecture(start, arch, letters=letters, sampling_rate_hz=sampling_rate_hz, seed=seed)
    task = SpeechRecognition.load(str(start), texts=parts["train"].texts, transcripts="plain", is_offline=True)
    ready = prepare(parts, task, config, work, say=say)
    settings = FineTuning(
        learning_rate=learning_rate,
        epochs=epochs,
        augmentation=augmentation,  # type: ignore[arg-type]
        ema_decay=0.99,
        evaluations=8,
        patience=None,
    )
    tuned = fine_tune_speech(
        task,
        ready.examples,
        ready.rows["train"],
        held_out_rows=ready.rows["valid"],
        held_out_texts=[COMPARED(ready.utterances[int(row)].text) for row in ready.rows["valid"]],
        settings=settings,
        most=round(batch_seconds * sampling_rate_hz),
        is_whole=True,
        max_seconds=max_seconds,
        seed=seed,
        where=Where(
            precision=precision, folder=work / "training", checkpoint_every_s=30.0, resume=resume, console=console
        ),
        say=say,
    )
    final = SpeechRecognition(task.model.with_network(tuned.network))
    model = work / "model"
    save_speech(final, model, contents=[])
    for path in model.iterdir():
        shutil.move(path, out / path.name)
    history: list[Any] = [] if tuned.training is None else [dict(line) for line in tuned.training.history]
    if tuned.training is not None and history:
        ended = {"steps": "all passes", "time": "the time was up"}.get(tuned.training.ended_by, tuned.training.ended_by)
        say(
            f"{counted(history[-1]['step'], 'step')} ({ended}): {percent(history[-1]['wer'])} of words wrong in"
            f" {counted(len(ready.rows['valid']), 'held-out utterance')}, by the best letter of each frame"
        )
    shutil.rmtree(work)
    write_json(
        out / "pretrain.json",
        {
            "arch": arch,
            "init": None if init is None else Path(init).name,
            "settings": settings.as_dict(),
            "batch_seconds": batch_seconds,
            "max_seconds": max_seconds,
            "data": ready.facts,
            "history": history,
            "seed": seed,
        },
    )
    return out
