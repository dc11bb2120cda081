"""Recordings on their way through a frozen network: decoded and windowed in workers, run window by window, averaged."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from graft.backbones.audio_layers import RecordingNetwork
from graft.backbones.engines import Engine, EngineChoice, candidates, least_cosine, start_engine
from graft.backbones.frontends import Frontend, model_inputs, noise
from graft.backbones.heads import FeatureNetwork
from graft.backbones.recording_batches import RecordingBatch, window_tensors
from graft.backbones.source import Readable
from graft.backbones.views import View
from graft.core.devices import Precision
from graft.core.errors import ModelError, UsageError
from graft.core.memory import is_out_of_memory
from graft.data.audio import decode_recording, spectral_hash

__all__ = ["RecordingSource"]

_PARITY_COSINE: Final = 0.9999
_PARITY_WINDOWS: Final = 8


class RecordingSource:
    """Reads sound files with a model's frontend.

    Parameters
    ----------
    frontend : from waveform to input.
    weights_hash : of the frozen network.
    layers : names of the blocks of columns, a layer each; empty: the head's input alone.
    can_pad : whether windows may be filled up to one length, see `graft.backbones.audio_loading.AudioModel`.
    network : makes the network up to its head; called when an engine starts. A `FeatureNetwork` is run by the engines
        for pictures, whose inputs it has: a spectrogram with a channel is a picture.
    """

    noun = "recording"
    scalings = ("none", "z-score", "unit-norm")

    def __init__(
        self,
        frontend: Frontend,
        weights_hash: str,
        *,
        layers: Sequence[int],
        can_pad: bool,
        network: Callable[[], RecordingNetwork | FeatureNetwork],
    ) -> None:
        self._frontend, self._weights_hash, self._can_pad, self._network = frontend, weights_hash, can_pad, network
        self.blocks = tuple(f"layer {layer}" for layer in layers) or ("head input",)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_network": None}  # workers read, they do not compute

    @property
    def description(self) -> Mapping[str, Any]:
        """Weights, preprocessing and layers."""
        return {"weights": self._weights_hash, "preprocessing": self._frontend.fingerprint, "layer": list(self.blocks)}

    @property
    def _is_picture(self) -> bool:
        return self._frontend.shape is not None and len(self._frontend.shape) == 3

    def n_cut(self, data: Readable) -> int:
        """Return 0: long recordings are cut into windows, none of which is left out."""
        return 0

    def told_cut(self, n_cut: int, n: int) -> str:
        """Return nothing."""
        return ""

    def n_workers(self, wanted: int) -> int:
        """Return all that are wanted: decoding and spectra cost as much as many a network."""
        return wanted

    def batch_size(self, wanted: int) -> int:
        """Return what is wanted."""
        return wanted

    def arrange(self, data: Readable, positions: Sequence[int]) -> Sequence[int]:
        """Return the longest files first where inputs differ in length, so that like lengths come together."""
        if self._frontend.shape is not None:
            return positions
        return sorted(positions, key=lambda position: -len(data.read(position)))

    def read(
        self, content: bytes, *, name: str, key: str, view: View
    ) -> tuple[list[NDArray[np.float32]], NDArray[np.uint64]]:
        """Return the inputs of all windows and the hash of a sound file; the hash of silence is zero.

        Raises
        ------
        DataError
            When the file cannot be read.
        UsageError
            When another view than the plain one is asked for.
        """
        if view.number:
            raise UsageError("--views above 1 for recordings", expected="--views 1", fix="leave --views out")
        recording = decode_recording(content, name=name, sampling_rate_hz=self._frontend.sampling_rate_hz)
        return model_inputs(self._frontend, recording.waveform), spectral_hash(recording)

    def blank(self) -> list[NDArray[np.float32]]:
        """Return the input of a moment of noise."""
        return [self._frontend(noise(min(self._frontend.window, 1000)))]

    def collate(self, examples: list[Any]) -> RecordingBatch:
        """Return a batch."""
        return RecordingBatch(examples)

    def filled(self, batch: RecordingBatch, size: int) -> RecordingBatch:
        """Return the batch as it is: engines fill up by windows."""
        return batch

    def candidates(
        self, wanted: str, *, device: torch.device, precision: Precision, n_examples: int, is_strict_precision: bool
    ) -> list[EngineChoice]:
        """Return engines: all of `graft.backbones.engines` for spectrograms with a channel, eager for the others.

        Raises
        ------
        UsageError
            When another engine is asked for, for inputs that it does not take.
        """
        if self._is_picture:
            return candidates(
                wanted,
                device=device,
                precision=precision,
                n_pictures=n_examples,
                is_strict_precision=is_strict_precision,
                noun=self.noun,
            )
        if wanted not in ("auto", "eager"):
            raise UsageError(
                f"engine '{wanted}' for a model that reads {self._frontend.shape or 'raw samples'}",
                expected="auto or eager",
                fix="leave --engine out",
            )
        reason = "asked for" if wanted == "eager" else "takes windows of any length"
        found = [EngineChoice("eager", precision, reason)]
        if precision.name != "fp32":
            found.append(EngineChoice("eager", Precision("fp32", "the reference precision"), "the reference itself"))
        return found

    def start(
        self,
        choices: list[EngineChoice],
        *,
        sample: RecordingBatch,
        batch_size: int,
        device: torch.device,
        say: Callable[[str], None],
    ) -> tuple[Engine, EngineChoice, float]:
        """Return the first engine that agrees with eager fp32 on `sample`, its choice, and the least cosine.

        Raises
        ------
        ModelError
            When even the reference gives features that are not finite.
        """
        network = self._network()
        windows = sample.windows[:_PARITY_WINDOWS]
        if isinstance(network, FeatureNetwork):
            pictures, choice, cosine = start_engine(
                network,
                choices,
                sample=np.stack(windows),
                batch_size=batch_size,
                device=device,
                say=say,
                noun=self.noun,
            )
            return _PictureLike(pictures, batch_size), choice, cosine
        reference = _Eager(network, Precision("fp32", ""), device, most=1, can_pad=False).of_windows(windows)
        if not np.isfinite(reference).all():
            raise ModelError(
                "the network gives infinite or undefined features for the first recordings",
                expected="finite features",
                fix="check that the weights belong to this config and preprocessing; try --precision fp32",
            )
        for position, choice in enumerate(choices):
            is_last = position + 1 == len(choices)
            try:
                engine = _Eager(network, choice.precision, device, most=batch_size, can_pad=self._can_pad)
                got = engine.of_windows(windows)
            except Exception as error:
                if is_out_of_memory(error) or is_last:
                    raise
                say(f"engine {choice.label} did not start ({error}); falling back to {choices[position + 1].label}")
                continue
            n_blocks = len(self.blocks)
            cosine = least_cosine(_by_block(got, n_blocks), _by_block(reference, n_blocks))
            if cosine >= _PARITY_COSINE or is_last:
                return engine, choice, cosine
            say(
                f"engine {choice.label} differs from eager fp32 on these recordings (cosine {cosine:.5f} <"
                f" {_PARITY_COSINE}); falling back to {choices[position + 1].label}"
            )
        raise AssertionError("candidates() always ends with eager fp32")


class _Eager:
    """Windows of like length together, in eager torch."""

    def __init__(
        self, network: RecordingNetwork, precision: Precision, device: torch.device, *, most: int, can_pad: bool
    ) -> None:
        self._network = copy.deepcopy(network).to(device) if device.type != "cpu" else network
        self._precision, self._device, self._most, self._can_pad = precision, device, most, can_pad

    def __call__(self, batch: RecordingBatch) -> NDArray[np.float32]:
        return batch.pooled(self.of_windows)

    @torch.inference_mode()
    def of_windows(self, windows: list[NDArray[np.float32]]) -> NDArray[np.float32]:
        """Return features (n_windows, width)."""
        found: NDArray[np.float32] | None = None
        for places, values, mask in window_tensors(windows, most=self._most, can_pad=self._can_pad):
            with self._precision.autocast(self._device):
                features = self._network(values.to(self._device), None if mask is None else mask.to(self._device))
            rows = features.float().cpu().numpy()
            if found is None:
                found = np.empty((len(windows), rows.shape[1]), np.float32)
            found[places] = rows
        assert found is not None
        return found


class _PictureLike:
    """An engine for pictures, given spectrograms in full batches."""

    def __init__(self, engine: Engine, batch_size: int) -> None:
        self._engine, self._batch_size = engine, batch_size

    def __call__(self, batch: RecordingBatch) -> NDArray[np.float32]:
        return batch.pooled(self._of_windows)

    def _of_windows(self, windows: list[NDArray[np.float32]]) -> NDArray[np.float32]:
        found = []
        for first in range(0, len(windows), self._batch_size):
            values = np.stack(windows[first : first + self._batch_size])
            full = np.resize(values, (self._batch_size, *values.shape[1:]))
            found.append(self._engine(full)[: len(values)])
        return np.concatenate(found)


def _by_block(features: NDArray[np.float32], n_blocks: int) -> NDArray[np.float32]:
    """Return a row a window and block."""
    return features.reshape(len(features) * n_blocks, -1)
