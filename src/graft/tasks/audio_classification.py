"""Recordings with labels."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from graft.backbones.audio_loading import load_audio_model
from graft.backbones.audio_model import AudioModel
from graft.backbones.frontends import CheckpointFrontend, Frontend, model_inputs
from graft.backbones.loading import quiet_transformers
from graft.backbones.plugins import PluginFrontend, named_again
from graft.backbones.recording_batches import collate_windows
from graft.core.files import read_json
from graft.core.types import Preview
from graft.data.audio import decode_recording
from graft.data.kinds import RECORDING
from graft.tasks.base import Batch
from graft.tasks.classification import classification_loss_sum

__all__ = ["AudioClassification"]

_PREVIEW_RATE_HZ, _PREVIEW_S = 8_000, 1.5


@final
class AudioClassification:
    """Audio classification over any transformers network that ends in a linear layer.

    A long recording is heard in windows; its logits are the mean of theirs, which are those of the mean features.

    Parameters
    ----------
    model : the pretrained model with its frontend.
    """

    name = "audio-classification"
    kind = RECORDING

    def __init__(self, model: AudioModel) -> None:
        self.model = model

    @classmethod
    def load(cls, model: str, *, label_names: Sequence[str], **options: Any) -> Self:
        """Return the task over a checkpoint; options as in `load_audio_model`."""
        for name in ("weights", "max_tokens"):
            options.pop(name, None)
        return cls(load_audio_model(model, label_names=label_names, **options))

    def encode(self, content: bytes, *, name: str) -> list[NDArray[np.float32]]:
        """Return the inputs of all windows of a sound file."""
        return _inputs(self.model.frontend, content, name=name)

    def collate(self, examples: Sequence[list[NDArray[np.float32]]], targets: Sequence[int]) -> Batch:
        """Return the inputs of all windows, whose they are, and ``labels`` (n,), see `collate_windows`."""
        return collate_windows(examples, targets, input_name=self.model.input_name)

    def build(self) -> nn.Module:
        """Return the network; its head has one row a label."""
        return self.model.network

    def loss(self, network: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the sum of cross-entropies and the number of recordings, see `classification_loss_sum`."""
        return classification_loss_sum(self.predict(network, batch), batch)

    def predict(self, network: nn.Module, batch: Batch) -> Tensor:
        """Return logits: (n_recordings, n_classes), means over windows."""
        names = (self.model.input_name, "attention_mask")
        logits: Tensor = network(**{name: batch[name] for name in names if name in batch}).logits
        return _means(logits, batch)

    def features(self, network: nn.Module, batch: Batch) -> Tensor:
        """Return the input of the head: (n_recordings, n_features), means over windows."""
        seen: list[Tensor] = []
        layer = network.get_submodule(self.model.head.name)
        hook = layer.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
        try:
            self.predict(network, batch)
        finally:
            hook.remove()
        return _means(seen[0], batch)

    @classmethod
    def of_saved(cls, folder: Path, *, label_names: Sequence[str], record: Mapping[str, Any]) -> Self:
        """Return the task over a model that Graft saved.

        Raises
        ------
        UsageError
            When the model needs a preprocessing file that was not named again: it is code.
        """
        own = record.get("preprocessing")
        named = None if own is None else named_again(folder, own, given=record.get("named_preprocessing"))
        model = load_audio_model(str(folder), label_names=label_names, preprocessing=named, is_offline=True)
        return cls(model.as_saved())

    @classmethod
    def reloaded(cls, folder: Path) -> Callable[[bytes], NDArray[np.float32]]:
        """Return what gives a recording's logits (n_classes,) by transformers alone, from a saved folder.

        Each window is passed as ``transformers.pipeline`` passes a recording. With a preprocessing of the user's own,
        the file that was saved is run in the feature extractor's place.
        """
        from transformers import AutoFeatureExtractor, AutoModelForAudioClassification, AutoModelForImageClassification

        own = read_json(folder / "graft.json").get("preprocessing")
        is_picture_network = "ForImageClassification" in str(read_json(folder / "config.json")["architectures"])
        loader: Any = AutoModelForImageClassification if is_picture_network else AutoModelForAudioClassification
        with quiet_transformers():
            network: Any = loader.from_pretrained(folder, local_files_only=True).eval()
            frontend: Frontend
            if own is not None:
                frontend = PluginFrontend(f"{folder / own['file']}:{own['name']}")
            else:
                frontend = CheckpointFrontend(AutoFeatureExtractor.from_pretrained(folder, local_files_only=True))

        @torch.inference_mode()
        def logits(content: bytes) -> NDArray[np.float32]:
            windows = _inputs(frontend, content, name=str(folder))
            found = [network(**{network.main_input_name: torch.from_numpy(x)[None]}).logits[0] for x in windows]
            mean: NDArray[np.float32] = torch.stack(found).mean(dim=0).float().numpy()
            return mean

        return logits

    @staticmethod
    def preview(content: bytes, *, name: str) -> Preview:
        """Return the first 1.5 seconds as a WAV of 8 kHz."""
        import soundfile

        recording = decode_recording(content, name=name, sampling_rate_hz=_PREVIEW_RATE_HZ)
        start = recording.waveform[: round(_PREVIEW_S * _PREVIEW_RATE_HZ)]
        file = io.BytesIO()
        soundfile.write(file, start, _PREVIEW_RATE_HZ, format="WAV", subtype="PCM_16")
        return Preview(sound=file.getvalue())


def _inputs(frontend: Frontend, content: bytes, *, name: str) -> list[NDArray[np.float32]]:
    recording = decode_recording(content, name=name, sampling_rate_hz=frontend.sampling_rate_hz)
    return model_inputs(frontend, recording.waveform)


def _means(rows: Tensor, batch: Batch) -> Tensor:
    """Return the mean row of each recording's windows: (n_recordings, width)."""
    if "window_of" not in batch:
        return rows
    owners = batch["window_of"]
    n = len(batch["labels"])
    total = torch.zeros(n, rows.shape[1], dtype=rows.dtype, device=rows.device).index_add(0, owners, rows)
    counts = torch.zeros(n, dtype=rows.dtype, device=rows.device).index_add(0, owners, torch.ones_like(rows[:, 0]))
    return total / counts[:, None]
