"""The layers of an audio transformer: what each gives to the head, and a network cut after one of them.

The last layer is often not the best one for a new task: speech models end in what their pretraining predicted.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor, nn

from graft.backbones.heads import Head

__all__ = ["RecordingNetwork", "keep_layers", "offered_layers"]

_MOST_LAYERS: Final = 6


@dataclass(frozen=True)
class _Family:
    """One row: dotted names from the root, and how the states of the last layer become the head's input.

    Parameters
    ----------
    layers : the list of layers.
    norm : what comes after the last layer; empty: nothing.
    depends_on_config : `norm` comes last only where ``do_stable_layer_norm`` is set, else before the first layer.
    is_class_token : the first two states are averaged and pass the classifier's own norm; else all states pass the
        projector and are averaged.
    """

    layers: str
    norm: str = ""
    depends_on_config: bool = False
    is_class_token: bool = False


def _wav2vec2(base: str) -> _Family:
    return _Family(f"{base}.encoder.layers", f"{base}.encoder.layer_norm", depends_on_config=True)


_FAMILIES: Mapping[str, _Family] = {
    "wav2vec2": _wav2vec2("wav2vec2"),
    "hubert": _wav2vec2("hubert"),
    "wavlm": _wav2vec2("wavlm"),
    "unispeech": _wav2vec2("unispeech"),
    "unispeech-sat": _wav2vec2("unispeech_sat"),
    "data2vec-audio": _Family("data2vec_audio.encoder.layers"),
    "whisper": _Family("encoder.layers", "encoder.layer_norm"),
    "audio-spectrogram-transformer": _Family(
        "audio_spectrogram_transformer.layers", "audio_spectrogram_transformer.layernorm", is_class_token=True
    ),
}


def offered_layers(network: nn.Module) -> tuple[int, ...]:
    """Return the layers, counted from 1, whose features are worth a comparison: at most 6, the last one first.

    A network whose order of layers is not known, or that weighs all of them itself, offers none: its features are then
    the head's input.
    """
    config: Any = network.config
    family = _FAMILIES.get(config.model_type)
    if family is None or getattr(config, "use_weighted_layer_sum", False):
        return ()
    n_layers = len(_layers(network, family))
    n = min(n_layers, _MOST_LAYERS)
    return tuple(-(-n_layers * i // n) for i in range(n, 0, -1))


def keep_layers(network: nn.Module, n_layers: int) -> nn.Module:
    """Return a copy of the network that ends after its first `n_layers` layers; its head is the same.

    What transformers saves of it is a checkpoint of a shallower network, which loads as any other.
    """
    shallow: Any = copy.deepcopy(network)
    family = _FAMILIES[shallow.config.model_type]
    parent, _, name = family.layers.rpartition(".")
    setattr(shallow.get_submodule(parent), name, _layers(shallow, family)[:n_layers])
    shallow.config.num_hidden_layers = n_layers
    if shallow.config.model_type == "whisper":
        shallow.config.encoder_layers = n_layers
    return shallow


class RecordingNetwork(nn.Module):
    """The network up to its head, with the features of several layers side by side.

    Parameters
    ----------
    network : a transformers classification network; a copy of it is made, the network itself is not changed.
    head : the network's head.
    input_name : of the network's input, ``"input_values"`` or ``"input_features"``.
    layers : counted from 1, of `offered_layers`, the network's last one first; empty: the head's input alone.
    """

    def __init__(self, network: nn.Module, head: Head, *, input_name: str, layers: Sequence[int] = ()) -> None:
        super().__init__()
        copied: Any = copy.deepcopy(network)
        parent, _, child = head.name.rpartition(".")
        setattr(copied.get_submodule(parent), child, nn.Identity())
        self.network = copied
        self.input_name, self.layers = input_name, tuple(layers)
        self._family = _FAMILIES.get(copied.config.model_type)
        self.eval()

    def forward(self, values: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return features (n, n_blocks * n_features).

        Parameters
        ----------
        values : (n, *shape), inputs of n windows.
        mask : (n, n_samples), int64, 1 where there is sound and 0 where a shorter window was filled up; None: nowhere.
        """
        states: dict[int, Tensor] = {}
        handles = []
        for number in self.layers[1:]:

            def remember(_: nn.Module, __: Any, output: Any, *, number: int = number) -> None:
                states[number] = output[0] if isinstance(output, tuple) else output

            assert self._family is not None
            handles.append(_layers(self.network, self._family)[number - 1].register_forward_hook(remember))
        masks = {} if mask is None else {"attention_mask": mask}
        try:
            last: Tensor = self.network(**{self.input_name: values}, **masks).logits
        finally:
            for handle in handles:
                handle.remove()
        return torch.cat([last, *(self._finish(states[number], mask) for number in self.layers[1:])], dim=1)

    def _finish(self, states: Tensor, mask: Tensor | None) -> Tensor:
        """Return what the head would read if these states (n, n_steps, width) were the last layer's."""
        family, network = self._family, self.network
        assert family is not None
        config: Any = network.config
        if family.norm and (not family.depends_on_config or config.do_stable_layer_norm):
            states = network.get_submodule(family.norm)(states)
        if family.is_class_token:
            pooled: Tensor = network.classifier((states[:, 0] + states[:, 1]) / 2)
            return pooled
        states = network.projector(states)
        if mask is None:
            return states.mean(dim=1)
        steps = network._get_feature_vector_attention_mask(states.shape[1], mask).unsqueeze(-1)
        return (states * steps).sum(dim=1) / steps.sum(dim=1)


def _layers(network: nn.Module, family: _Family) -> nn.ModuleList:
    layers = network.get_submodule(family.layers)
    assert isinstance(layers, nn.ModuleList)
    return layers
