"""What is recorded of a pretrained model, and the list of those that are worth a try: data only."""

from __future__ import annotations

import tomllib
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

__all__ = ["Backbone", "CatalogEntry", "read_catalog"]


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


@dataclass(frozen=True, kw_only=True)
class CatalogEntry:
    """A pretrained model that is worth a try.

    Parameters
    ----------
    id : hub id, or folder.
    modality : ``"image"``, ``"text"`` or ``"audio"``.
    parameters : of the network without a head, rounded; 0: not known before it is loaded.
    features : size of the pooled features; 0 as `parameters`.
    licence : short name; empty: none is stated.
    revision : commit; empty: none is pinned.
    language : of texts and speech; empty where it does not matter.
    sampling_rate_hz : of recordings; 0 for others.
    pretraining : what it was trained on.
    accuracy, source : published, a share, and of what and where; None where nobody checked.
    package : ``MODULE/FOLDER`` of an installed Python package that holds the same weights.
    """

    id: str
    modality: str
    parameters: int = 0
    features: int = 0
    licence: str = ""
    revision: str = ""
    language: str = ""
    sampling_rate_hz: int = 0
    pretraining: str = ""
    accuracy: float | None = None
    source: str = ""
    package: str = ""


@cache
def read_catalog(modality: str) -> tuple[CatalogEntry, ...]:
    """Return the models of a modality, from small to large.

    Examples
    --------
    >>> read_catalog("text")[0].id
    'prajjwal1/bert-tiny'
    """
    with open(Path(__file__).with_name("catalog.toml"), "rb") as file:
        rows = tomllib.load(file).get(modality, [])
    return tuple(sorted((CatalogEntry(modality=modality, **row) for row in rows), key=lambda entry: entry.parameters))
