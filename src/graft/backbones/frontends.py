"""From the waveform of a window to what an audio network reads: a checkpoint's feature extractor, or a user's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from graft.backbones.preprocessing import plain_settings
from graft.core.errors import ModelError
from graft.core.files import hash_json
from graft.data.windows import cut_windows

__all__ = ["CheckpointFrontend", "Frontend", "model_inputs", "noise"]

WINDOW_S: Final = 10.0  # where the feature extractor sets no length of its own


class Frontend(Protocol):
    """How one window of sound becomes one input of the network; picklable."""

    @property
    def sampling_rate_hz(self) -> int:
        """Sampling rate of the waveforms that it is given."""
        ...

    @property
    def window(self) -> int:
        """Most samples that it is given at once."""
        ...

    @property
    def hop(self) -> int:
        """Largest distance in samples between the starts of two windows of a long recording."""
        ...

    @property
    def shape(self) -> tuple[int, ...] | None:
        """Shape of every input; None: one dimension, as long as the window."""
        ...

    @property
    def fingerprint(self) -> str:
        """Hash of all that the inputs depend on besides the waveform."""
        ...

    def __call__(self, waveform: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the input for a window (n_samples,)."""
        ...

    def save(self, folder: Path) -> None:
        """Write what is needed to do the same again into a model's folder."""
        ...


def model_inputs(frontend: Frontend, waveform: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    """Return the inputs of all windows of a recording, in order.

    Parameters
    ----------
    waveform : (n_samples,), at the frontend's sampling rate.
    """
    parts = cut_windows(waveform, window=frontend.window, hop=frontend.hop)
    return [frontend(part) for part in parts]


def noise(n_samples: int, *, seed: int = 0) -> NDArray[np.float32]:
    """Return white noise (n_samples,) at a tenth of full scale, to try frontends and networks with."""
    return np.random.default_rng(seed).normal(0, 0.1, n_samples).astype(np.float32)


class CheckpointFrontend:
    """A feature extractor of transformers: raw samples (wav2vec2) or a spectrogram of fixed length (AST, Whisper).

    Parameters
    ----------
    extractor : of transformers, for one channel.
    shortest : samples that the network needs; shorter windows are filled up with silence.
    label : name of the checkpoint, for messages.

    Raises
    ------
    ModelError
        When its output is neither of the two.

    Notes
    -----
    A window is as long as the extractor's own input: 30 s for Whisper, about 10 s for AST; 10 s of raw samples. The
    windows of a longer recording do not overlap more than they must.
    """

    def __init__(self, extractor: Any, *, shortest: int = 400, label: str = "") -> None:
        self.extractor = extractor
        self.sampling_rate_hz = int(extractor.sampling_rate)
        self._shortest = shortest
        self.input_name = str(extractor.model_input_names[0])
        outputs = [self(noise(n)) for n in (shortest + 1000, shortest + 5000)]
        shapes = [output.shape for output in outputs]
        is_fixed = shapes[0] == shapes[1]
        if not is_fixed and shapes != [(shortest + 1000,), (shortest + 5000,)]:
            raise ModelError(
                f"the feature extractor of {label or 'this model'} ({type(extractor).__name__}) gives arrays of"
                f" {' and '.join(map(str, shapes))}",
                expected="raw samples, or a spectrogram of fixed length",
                fix="choose a wav2vec2, HuBERT, WavLM, AST or Whisper checkpoint, or bring your own preprocessing:"
                " --preprocessing FILE.py:NAME (Python: preprocessing=)",
            )
        self.shape: tuple[int, ...] | None = shapes[0] if is_fixed else None
        self.window = self._own_length() or round(WINDOW_S * self.sampling_rate_hz)
        self.hop = self.window

    def __call__(self, waveform: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return raw samples (n_samples,) as the extractor scales them, or a spectrogram."""
        if len(waveform) < self._shortest:
            waveform = np.pad(waveform, (0, self._shortest - len(waveform)))
        with torch.no_grad(), torch.autocast("cpu", enabled=False):  # Whisper's makes its spectrum with torch
            output = self.extractor(waveform, sampling_rate=self.sampling_rate_hz, return_tensors="np")
        return np.asarray(output[self.input_name][0], dtype=np.float32)

    @property
    def fingerprint(self) -> str:
        """Hash of the extractor's settings and kind, and of the window."""
        settings = plain_settings(self.extractor)
        kind = type(self.extractor).__name__
        return hash_json({"kind": kind, "settings": settings, "window": self.window, "shortest": self._shortest})

    def save(self, folder: Path) -> None:
        """Write preprocessor_config.json."""
        self.extractor.save_pretrained(folder)

    def _own_length(self) -> int | None:
        """Return the samples that fill a spectrogram of fixed length."""
        if self.shape is None:
            return None
        if n_samples := getattr(self.extractor, "n_samples", None):  # Whisper
            return int(n_samples)
        if n_frames := getattr(self.extractor, "max_length", None):  # AST: frames of 25 ms every 10 ms
            return int((0.025 + 0.01 * (n_frames - 1)) * self.sampling_rate_hz)
        return None
