"""What is recorded of a pretrained model: data only."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["Backbone"]


@dataclass(frozen=True)
class Backbone:
    """Record of the pretrained model that a run used.

    Parameters
    ----------
    id : hub id, folder, or ``torchvision:<architecture>``.
    revision : commit of the hub repository; empty for local files.
    modality : ``"image"``.
    architecture : name of the transformers class.
    n_features : size of the pooled features that the head reads.
    n_parameters : parameters of the network without its head.
    weights_hash : 128-bit BLAKE2b over names, shapes and values of the network without its head.
    licence : as the checkpoint states it; empty where it does not.
    """

    id: str
    revision: str
    modality: str
    architecture: str
    n_features: int
    n_parameters: int
    weights_hash: str
    licence: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form that the manifest holds."""
        return asdict(self)
