"""A pretrained speech recogniser: a network with its feature extractor and tokenizer, and how it writes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from graft.backbones.catalog import Backbone
from graft.backbones.loading import hash_weights
from graft.data.transcript_form import TranscriptForm

__all__ = ["SpeechModel"]


@dataclass(frozen=True)
class SpeechModel:
    """A recogniser of one of two families, on the CPU, float32, in eval mode.

    Parameters
    ----------
    network : a transformers network for CTC or Whisper.
    extractor, tokenizer : transformers' own, of the checkpoint or made for it.
    family : ``"ctc"`` or ``"seq2seq"``.
    form : how it writes.
    backbone : the record that the manifest keeps.
    is_new_head : whether the CTC head holds random weights: it cannot be judged before training.
    language : of Whisper's prompt, such as ``"en"``; empty: it hears by itself which one, or knows only English.
    notes : sentences on what loading had to do.
    """

    network: Any
    extractor: Any
    tokenizer: Any
    family: Literal["ctc", "seq2seq"]
    form: TranscriptForm
    backbone: Backbone
    is_new_head: bool = False
    language: str = ""
    notes: tuple[str, ...] = ()

    @property
    def sampling_rate_hz(self) -> int:
        """Of the waveforms that it reads."""
        return int(self.extractor.sampling_rate)

    @property
    def window_s(self) -> float:
        """Most seconds that are heard at once: where Whisper's spectrogram ends; of CTC a bound of memory."""
        return float(self.extractor.chunk_length) if self.family == "seq2seq" else 30.0

    @property
    def shortest(self) -> int:
        """Fewest samples that make a frame."""
        kernels, strides = (
            getattr(self.network.config, "conv_kernel", ()),
            getattr(self.network.config, "conv_stride", ()),
        )
        fewest = 1
        for kernel, stride in zip(reversed(kernels), reversed(strides), strict=True):
            fewest = (fewest - 1) * stride + kernel
        return fewest

    @property
    def frame_s(self) -> float:
        """Distance of two CTC frames in seconds."""
        return float(np.prod(self.network.config.conv_stride)) / self.sampling_rate_hz

    def inputs(self, waveforms: Sequence[NDArray[np.float32]]) -> dict[str, Tensor]:
        """Return the network's input for some waveforms.

        Returns
        -------
        dict
            CTC: ``input_values`` (n, n_samples), each normalised alone and filled up with zeros, and ``lengths`` (n,).
            Whisper: ``input_features`` (n, n_mel, n_frames), all of the same length.
        """
        rate = self.sampling_rate_hz
        if self.family == "seq2seq":
            features = self.extractor(list(waveforms), sampling_rate=rate, return_tensors="np").input_features
            return {"input_features": torch.from_numpy(np.ascontiguousarray(features, np.float32))}
        values = [
            torch.from_numpy(np.asarray(self.extractor(w, sampling_rate=rate).input_values[0], np.float32))
            for w in (np.pad(w, (0, max(0, self.shortest - len(w)))) for w in waveforms)
        ]
        return {
            "input_values": nn.utils.rnn.pad_sequence(values, batch_first=True),
            "lengths": torch.tensor([len(v) for v in values]),
        }

    def with_network(self, network: nn.Module) -> SpeechModel:
        """Return the model over trained weights of the same architecture."""
        backbone = replace(self.backbone, weights_hash=hash_weights(network))
        return replace(self, network=network, backbone=backbone, is_new_head=False)

    def save(self, folder: Path) -> None:
        """Write a checkpoint that ``pipeline("automatic-speech-recognition")`` loads."""
        self.network.config.architectures = [type(self.network).__name__]
        self.network.save_pretrained(folder, safe_serialization=True)
        self.extractor.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)
