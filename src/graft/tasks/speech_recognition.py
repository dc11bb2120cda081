"""Recordings with what is said in them."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from graft.backbones.ctc import ctc_logits, encoder_states, fewest_frames, n_frames
from graft.backbones.ctc_beam import BeamSearch
from graft.backbones.loading import quiet_transformers
from graft.backbones.speech_loading import load_speech_model
from graft.backbones.speech_model import SpeechModel
from graft.core.types import Preview
from graft.data.audio import decode_recording
from graft.data.kinds import RECORDING
from graft.data.transcript_form import TranscriptForm
from graft.tasks.base import Batch

__all__ = ["NOTHING", "SpeechRecognition"]

NOTHING = -1  # fills up rows of tokens
_IGNORED = -100  # fills up rows of labels, as transformers has it
_PREVIEW_RATE_HZ, _PREVIEW_S = 8_000, 12.0


@final
class SpeechRecognition:
    """Speech recognition over a CTC network or Whisper.

    There is no pooled feature of an utterance, so this is no `FeatureTask`. A target is a list of tokens.

    Parameters
    ----------
    model : the recogniser.
    mask_share : share of CTC's frames that training masks.
    search : how CTC's frames are decoded; None: the best token of each.
    """

    name = "automatic-speech-recognition"
    kind = RECORDING

    def __init__(self, model: SpeechModel, *, mask_share: float = 0.0, search: BeamSearch | None = None) -> None:
        self.model, self.mask_share, self.search = model, mask_share, search

    @classmethod
    def load(cls, model: str, *, label_names: Sequence[str] = (), **options: Any) -> Self:
        """Return the task over a checkpoint; options as in `load_speech_model`, `label_names` are its texts."""
        return cls(load_speech_model(model, **{"texts": tuple(label_names), **options}))

    def decoded_by(self, search: BeamSearch | None) -> Self:
        """Return the same task with another way to decode CTC's frames."""
        return type(self)(self.model, mask_share=self.mask_share, search=search)

    @classmethod
    def of_saved(cls, folder: Path, *, label_names: Sequence[str] = (), record: Mapping[str, Any]) -> Self:
        """Return the task over a model that Graft saved."""
        form = TranscriptForm(**record["form"])
        kept: dict[str, Any] = {"vocabulary": "checkpoint", "form": form, "language": record.get("language") or None}
        return cls(load_speech_model(str(folder), is_offline=True, **kept))

    @classmethod
    def reloaded(cls, folder: Path) -> Callable[[bytes], str]:
        """Return what gives a recording's text by transformers alone, from a saved folder: the check of saving."""
        from transformers import pipeline

        with quiet_transformers():
            recogniser: Any = pipeline("automatic-speech-recognition", model=str(folder), device="cpu")
        rate = recogniser.feature_extractor.sampling_rate

        def text(content: bytes) -> str:
            sound = decode_recording(content, name=str(folder), sampling_rate_hz=rate).waveform
            with quiet_transformers():
                found: str = recogniser({"raw": sound, "sampling_rate": rate})["text"]
            return found

        return text

    def encode(self, content: bytes, *, name: str) -> NDArray[np.float32]:
        """Return the waveform of a sound file at the model's rate."""
        return decode_recording(content, name=name, sampling_rate_hz=self.model.sampling_rate_hz).waveform

    def target(self, text: str) -> list[int]:
        """Return the tokens of a transcript: letters of CTC; of Whisper prompt, text and end."""
        written = self.model.form(text)
        if self.model.family == "ctc":
            return list(self.model.tokenizer(written).input_ids)
        return list(self.model.tokenizer(written).input_ids)[1:]

    def can_learn(self, n_samples: int, target: Sequence[int]) -> bool:
        """Return whether a transcript fits its sound: else CTC's loss is infinite, and Whisper's decoder too short."""
        if self.model.family == "seq2seq":
            return len(target) <= int(self.model.network.config.max_target_positions)
        length = torch.tensor([max(n_samples, self.model.shortest)])
        return 0 < fewest_frames(target) <= int(n_frames(self.model.network, length))

    def collate(self, examples: Sequence[NDArray[np.float32]], targets: Sequence[Sequence[int]]) -> Batch:
        """Return a batch of waveforms with their targets.

        Returns
        -------
        dict
            What `SpeechModel.inputs` gives, and ``labels`` (n, longest) int64, filled up with -100.
        """
        longest = max((len(row) for row in targets), default=0)
        labels = torch.full((len(targets), max(1, longest)), _IGNORED)
        for row, target in enumerate(targets):
            labels[row, : len(target)] = torch.tensor(list(target), dtype=torch.int64)
        return {**self.model.inputs(examples), "labels": labels}

    def build(self) -> nn.Module:
        """Return the network."""
        network: nn.Module = self.model.network
        return network

    def losses(self, network: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the loss of each utterance and its number of targets: (n,) both.

        Notes
        -----
        CTC: the negative log-probability of the transcript; Whisper: the sum of its tokens' cross-entropies. In float32
        whatever the network computes in.
        """
        labels = batch["labels"]
        is_told = labels != _IGNORED
        counts = is_told.sum(dim=1)
        net: Any = network
        if self.model.family == "ctc":
            logits, own = ctc_logits(net, batch["input_values"], batch["lengths"], mask_share=self.mask_share)
            return self.ctc_losses(logits, own, labels), counts
        start = labels.new_full((len(labels), 1), net.config.decoder_start_token_id)
        shifted = torch.cat([start, labels[:, :-1].masked_fill(~is_told[:, :-1], net.config.pad_token_id)], dim=1)
        logits = net(input_features=batch["input_features"], decoder_input_ids=shifted, use_cache=False).logits
        each = functional.cross_entropy(logits.float().transpose(1, 2), labels, ignore_index=_IGNORED, reduction="none")
        return each.sum(dim=1), counts

    def ctc_losses(self, logits: Tensor, own: Tensor, labels: Tensor) -> Tensor:
        """Return CTC's loss of each row of logits (n, n_frames, n_tokens) with `own` frames: (n,)."""
        is_told = labels != _IGNORED
        log_p = functional.log_softmax(logits.float(), dim=-1).transpose(0, 1)
        blank = int(self.model.tokenizer.pad_token_id)
        with torch.backends.cudnn.flags(enabled=False):
            return functional.ctc_loss(log_p, labels[is_told], own, is_told.sum(dim=1), blank=blank, reduction="none")

    def loss(self, network: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the sum of the losses and the number of tokens to be said.

        A row whose ``is_counted`` is 0 only fills up a part of a batch that has no other.
        """
        losses, counts = self.losses(network, batch)
        if "is_counted" in batch:
            return (losses * batch["is_counted"]).sum(), (counts * batch["is_counted"]).sum()
        return losses.sum(), counts.sum()

    @torch.inference_mode()
    def predict(self, network: nn.Module, batch: Batch) -> Tensor:
        """Return tokens (n, longest), filled up with -1: CTC's of each frame; of Whisper what it generates."""
        net: Any = network
        if self.model.family == "ctc":
            return self._decoded(*ctc_logits(net, batch["input_values"], batch["lengths"]))
        with quiet_transformers():
            found: Tensor = net.generate(batch["input_features"])
        return found

    @torch.inference_mode()
    def judged(self, network: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return `predict`'s tokens and the loss of each utterance (n,), of one pass where that is enough."""
        if self.model.family == "seq2seq":
            return self.predict(network, batch), self.losses(network, batch)[0]
        logits, own = ctc_logits(network, batch["input_values"], batch["lengths"])
        return self._decoded(logits, own), self.ctc_losses(logits, own, batch["labels"])

    @torch.inference_mode()
    def frames(self, network: nn.Module, batch: Batch) -> list[NDArray[np.float32]]:
        """Return CTC's log-probabilities of each utterance: (n_frames, n_tokens) each."""
        logits, own = ctc_logits(network, batch["input_values"], batch["lengths"])
        log_p = functional.log_softmax(logits.float(), dim=-1).cpu().numpy()
        return [row[:n] for row, n in zip(log_p, own.tolist(), strict=True)]

    def _decoded(self, logits: Tensor, own: Tensor) -> Tensor:
        """Return the token of each frame, filled up with -1: the best, or that of the likeliest text."""
        if self.search is None:
            best = logits.argmax(dim=-1)
        else:
            log_p = functional.log_softmax(logits.float(), dim=-1).cpu().numpy()
            best = torch.full(logits.shape[:2], NOTHING, device=logits.device)
            for row, n in enumerate(own.tolist()):
                best[row, :n] = torch.from_numpy(self.search.path(log_p[row, :n]))
        is_filling = torch.arange(best.shape[1], device=best.device) >= own[:, None]
        return best.masked_fill(is_filling, NOTHING)

    def states(self, network: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return what CTC's head reads, (n, n_frames, width), and each one's own frames (n,)."""
        return encoder_states(network, batch["input_values"], batch["lengths"])

    def written(self, tokens: NDArray[np.integer[Any]]) -> str:
        """Return the text of one row of `predict`, as ``transformers.pipeline`` writes it."""
        row = [int(token) for token in tokens if token != NOTHING]
        is_seq2seq = self.model.family == "seq2seq"
        text: str = self.model.tokenizer.decode(row, skip_special_tokens=is_seq2seq) if row else ""
        return text.strip()

    @staticmethod
    def preview(content: bytes, *, name: str) -> Preview:
        """Return the first 12 seconds as a WAV of 8 kHz."""
        recording = decode_recording(content, name=name, sampling_rate_hz=_PREVIEW_RATE_HZ)
        return Preview(sound=_short_wav(recording.waveform, _PREVIEW_RATE_HZ))


def _short_wav(waveform: NDArray[np.float32], rate_hz: int) -> bytes:
    """Return the beginning of a waveform as a WAV file of 16 bits."""
    import soundfile

    file = io.BytesIO()
    soundfile.write(file, waveform[: round(_PREVIEW_S * rate_hz)], rate_hz, format="WAV", subtype="PCM_16")
    return file.getvalue()
