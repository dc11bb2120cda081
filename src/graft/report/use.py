"""How a saved model is used outside of a run: one answer for the terminal and for the model card."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from graft.report import wording as w
from graft.report.leading import is_multi_label

__all__ = ["FOLDER", "Use", "use_of"]

FOLDER = "path/to/this/folder"
"""What a card calls the folder that it lies in."""

_INPUTS = {
    "image-classification": "picture.jpg",
    "text-classification": "a text",
    "audio-classification": "recording.wav",
}
_SPOKEN = ("automatic-speech-recognition", "text-generation")


@dataclass(frozen=True)
class Use:
    """How to use a model.

    Parameters
    ----------
    told : for the terminal, without a capital letter and a full stop.
    code : Python that runs beside the model; empty for a task without one.
    notes : sentences on what that code does otherwise than Graft.
    """

    told: str
    code: str = ""
    notes: tuple[str, ...] = ()


def use_of(manifest: Mapping[str, Any], metrics: Mapping[str, Any]) -> Use:
    """Return how the model of a run is used.

    Parameters
    ----------
    manifest : ``"task"`` and, where there are any, ``"own_preprocessing"`` (file and name), ``"is_pair"`` (two texts
        are one example) and ``"decision"``.
    metrics : whether an example has any number of labels, and ``"windows"`` of recordings.

    Examples
    --------
    >>> use_of({"task": "image-classification"}, {}).code.splitlines()[-1]
    'classify("picture.jpg")'
    """
    task = str(manifest.get("task", ""))
    if own := manifest.get("own_preprocessing"):
        return _with_graft(own, _INPUTS.get(task, "file"))
    if task in _SPOKEN:
        return Use(f"loads in transformers.pipeline('{task}', ...)")
    if task not in _INPUTS:
        return Use("a standard transformers checkpoint")
    is_multi, is_pair = is_multi_label(metrics), bool(manifest.get("is_pair"))
    example = '{"text": "a text", "text_pair": "its second text"}' if is_pair else f'"{_INPUTS[task]}"'
    options = (["top_k=None"] if is_multi else []) + (["truncation=True"] if task == "text-classification" else [])
    told = f"loads in transformers.pipeline('{task}', ...{', top_k=None' if is_multi else ''})"
    if is_pair:
        told += ", called with {'text': ..., 'text_pair': ...}"
    windows = metrics.get("windows") or {}
    if windows.get("n_long"):
        told += f", whose scores are equal up to {windows['window_s']:.3g} s of sound"
    code = _code(task, example, options)
    return Use(told, code, tuple(_notes(manifest, windows, is_multi=is_multi)))


def _code(task: str, example: str, options: list[str]) -> str:
    """Return the call; of a recording its waveform is given, for a file's name would need ffmpeg."""
    is_sound = task == "audio-classification"
    lines = ["import soundfile"] if is_sound else []
    lines += ["from transformers import pipeline", "", f'classify = pipeline("{task}", "{FOLDER}")']
    if is_sound:
        lines.append(f'wave, rate = soundfile.read({example}, dtype="float32")')
        example = '{"raw": wave, "sampling_rate": rate}'
    return "\n".join([*lines, f"classify({', '.join([example, *options])})"])


def _with_graft(own: Mapping[str, Any], example: str) -> Use:
    file, name = w.plain(own.get("file", "")), w.plain(own.get("name", ""))
    lines = [
        "import graft",
        "",
        f"preprocessing = {json.dumps(f'{FOLDER}/{file}:{name}')}",
        f'for said in graft.predict("{FOLDER}", ["{example}"], preprocessing=preprocessing):',
        "    print(said.label, said.probability)",
    ]
    told = (
        f"transformers.pipeline cannot load it: its input comes from {file}:{name}, which lies beside it; the network"
        " itself is a standard checkpoint; graft predict --preprocessing uses both"
    )
    note = (
        f"transformers.pipeline cannot load it: its input comes from {file}, which lies in this folder and which Graft"
        " runs when it is named. Read it before you do."
    )
    return Use(told, "\n".join(lines), (note,))


def _notes(manifest: Mapping[str, Any], windows: Mapping[str, Any], *, is_multi: bool) -> list[str]:
    """Return what the pipeline does otherwise than `graft predict`."""
    notes = []
    if manifest.get("task") == "audio-classification":
        notes.append("The recording has one channel and the rate of preprocessor_config.json; others need torchaudio.")
    if is_multi:
        notes.append("Each label has a score of its own; graft.json holds the threshold from which on it is given.")
    elif (manifest.get("decision") or {}).get("offset") is not None:
        notes.append(
            "The likeliest class is not always what Graft answers: it adds the offset in graft.json to the logarithms"
            " of the probabilities first, for the sake of rare classes. graft predict does so."
        )
    if windows.get("n_long") and windows.get("pipeline_hears"):
        notes.append(
            f"Of a recording longer than {windows['window_s']:.3g} s the pipeline hears"
            f" {w.plain(windows['pipeline_hears'])}; graft predict takes the mean of its windows."
        )
    return notes
