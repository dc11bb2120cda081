"""A pretrained audio network with its head and frontend, whole or ending after one of its layers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from graft.backbones.audio_layers import RecordingNetwork, keep_layers
from graft.backbones.catalog import Backbone
from graft.backbones.frontends import Frontend
from graft.backbones.heads import FeatureNetwork, Head
from graft.backbones.loading import hash_weights
from graft.backbones.plugins import PluginFrontend
from graft.backbones.recording_source import RecordingSource

__all__ = ["AudioModel", "count_parameters"]


@dataclass(frozen=True)
class AudioModel:
    """A pretrained audio network with a head for the task's labels, and what belongs to it.

    Parameters
    ----------
    network : a transformers classification network, on the CPU, float32, in eval mode, its head not yet fitted.
    head : the network's last linear layer.
    frontend : from waveform to the network's input.
    backbone : the record that the manifest keeps.
    input_name : of the network's input.
    layers : whose features are compared, counted from 1, the last one first; empty: the head's input alone.
    can_pad : whether windows filled up to one length give the features that they give alone.
    notes : sentences on what loading had to do.
    """

    network: nn.Module
    head: Head
    frontend: Frontend
    backbone: Backbone
    input_name: str
    layers: tuple[int, ...] = ()
    can_pad: bool = False
    notes: tuple[str, ...] = ()

    def feature_network(self) -> RecordingNetwork | FeatureNetwork:
        """Return a copy of the network up to its head, reading inputs of windows."""
        shape = self.frontend.shape
        if shape is not None and len(shape) == 3:
            plain = {"scale": torch.ones(shape[0]), "offset": torch.zeros(shape[0])}
            return FeatureNetwork(self.network, self.head, **plain)
        return RecordingNetwork(self.network, self.head, input_name=self.input_name, layers=self.layers)

    def source(self) -> RecordingSource:
        """Return how recordings pass through the frozen network."""
        return RecordingSource(
            self.frontend,
            self.backbone.weights_hash,
            layers=self.layers,
            can_pad=self.can_pad,
            network=self.feature_network,
        )

    def save_processor(self, folder: Path) -> None:
        """Write the feature extractor's settings, or the user's preprocessing file, into `folder`."""
        self.frontend.save(folder)

    @property
    def reads(self) -> str:
        """Sampling rate and length of a window."""
        rate = self.frontend.sampling_rate_hz
        return f"{rate / 1000:g} kHz in windows of {self.window_s:.3g} s"

    @property
    def window_s(self) -> float:
        """Length of a window in seconds: a longer recording is heard in several."""
        return self.frontend.window / self.frontend.sampling_rate_hz

    @property
    def pipeline_hears(self) -> str:
        """What ``pipeline("audio-classification")`` hears of a longer recording; empty where it loads no such model."""
        if isinstance(self.frontend, PluginFrontend):
            return ""
        return "all of it at once" if self.frontend.shape is None else "its beginning alone"

    @property
    def saved_facts(self) -> dict[str, Any]:
        """Length and distance of windows, and the user's preprocessing, where there is one."""
        facts: dict[str, Any] = {
            "window_s": self.window_s,
            "hop_s": self.frontend.hop / self.frontend.sampling_rate_hz,
            "pipeline_hears": self.pipeline_hears,
        }
        return facts | ({"preprocessing": self.frontend.record} if isinstance(self.frontend, PluginFrontend) else {})

    def choose(self, block: str) -> AudioModel:
        """Return the model whose network ends after one layer: ``"layer 4"``, or as it is: ``"head input"``."""
        return self if block == "head input" else self.ending_after(int(block.removeprefix("layer ")))

    def with_network(self, network: nn.Module) -> AudioModel:
        """Return the model over a fine-tuned network of the same architecture."""
        head = Head(network, self.head.name)
        backbone = replace(self.backbone, weights_hash=hash_weights(network, without=head.name))
        return replace(self, network=network, head=head, backbone=backbone)

    def as_saved(self) -> AudioModel:
        """Return the model of a folder that was saved after `choose`: its last layer is the one."""
        return replace(self, layers=())

    def ending_after(self, layer: int) -> AudioModel:
        """Return the model whose network ends after one of `layers`, and offers that one alone."""
        if layer == self.layers[0]:
            return replace(self, layers=())
        network = keep_layers(self.network, layer)
        head = Head(network, self.head.name)
        n_parameters = count_parameters(network, head)
        digest = hash_weights(network, without=head.name)
        backbone = replace(self.backbone, n_parameters=n_parameters, weights_hash=digest)
        note = f"its first {layer} of {self.layers[0]} layers are kept"
        return replace(self, network=network, head=head, backbone=backbone, layers=(), notes=(*self.notes, note))


def count_parameters(network: nn.Module, head: Head) -> int:
    """Return the number of parameters without the head's."""
    return sum(p.numel() for name, p in network.named_parameters() if not name.startswith(head.name + "."))
