"""Recordings made ready for fine-tuning."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from graft.backbones.audio_model import AudioModel
from graft.core.processes import Processes
from graft.data.audio import decode_recording
from graft.data.dataset import LabeledDataset
from graft.training.recordings import RecordingExamples, open_waveforms, store_waveforms

__all__ = ["recording_examples"]


def recording_examples(
    parts: list[LabeledDataset], model: AudioModel, training: Path, *, n_classes: int, processes: Processes
) -> RecordingExamples:
    """Return the recordings of some splits, one after the other, decoded once into a file that is mapped."""
    path, rate = training / "recordings.npy", model.frontend.sampling_rate_hz
    if processes.is_main and not path.exists():
        places = [(part, i) for part in parts for i in range(len(part))]
        waveforms = (
            decode_recording(part.read(i), name=part.place(i), sampling_rate_hz=rate).waveform for part, i in places
        )
        store_waveforms(path, waveforms)
    processes.wait()
    return RecordingExamples(
        open_waveforms(path),
        np.concatenate([part.labels for part in parts]),
        n_classes,
        model.frontend,
        model.input_name,
        model.can_pad,
    )
