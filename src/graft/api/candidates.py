"""Candidates of a ranking: catalog entries and the user's own, filtered, and loaded with their way to features."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from graft.api.config import FitConfig
from graft.api.embedding import extractor_for, load_task
from graft.backbones.catalog import CatalogEntry, read_catalog
from graft.backbones.licences import stated_licence
from graft.backbones.on_disk import cached_revision, parameters_on_disk, place_on_disk
from graft.core.memory import available_memory
from graft.data.dataset import LabeledDataset
from graft.selection.ranking_standing import Candidate, Opened, published_decades

__all__ = ["as_config", "candidates_of", "entry_of", "wanted_entries"]

_PROCESSORS = ("preprocessor_config.json", "processor_config.json", "tokenizer_config.json")
_BYTES_A_PARAMETER = 8  # float32 weights, and as much again for an engine's copy of them


def wanted_entries(
    modality: str, models: Sequence[str], *, has_catalog: bool, licences: Sequence[str], is_offline: bool
) -> tuple[list[CatalogEntry], list[tuple[str, str]]]:
    """Return the entries that may be loaded, and names and reasons of the others.

    Parameters
    ----------
    modality : of the data.
    models : hub ids and folders that the user named.
    licences : short names; empty: any.
    """
    known = {entry.id: entry for entry in read_catalog(modality)}
    own = [known.get(name) or CatalogEntry(id=name, modality=modality) for model in models for name in _inside(model)]
    entries: dict[str, CatalogEntry] = {}
    for entry in (*own, *(known.values() if has_catalog else ())):  # a folder may be named in several ways
        folder = Path(entry.id)
        entries.setdefault(str(folder.resolve()) if folder.is_dir() else entry.id, entry)
    wanted = {licence.lower() for licence in licences}
    memory = available_memory()
    kept, left_out = [], []
    for entry in entries.values():
        place = place_on_disk(entry)
        if place is not None and not entry.parameters:
            entry = replace(entry, parameters=parameters_on_disk(place))
        licence = (entry.licence or stated_licence(place or entry.id, revision=entry.revision)).lower()
        if wanted and licence not in wanted:
            left_out.append((entry.id, f"licence {licence or 'not stated'}"))
        elif is_offline and place is None:
            left_out.append((entry.id, "not on this disk"))
        elif memory is not None and entry.parameters * _BYTES_A_PARAMETER > memory:
            left_out.append((entry.id, f"{entry.parameters / 1e6:,.0f} M parameters do not fit into free memory"))
        else:
            kept.append(entry)
    return kept, left_out


def entry_of(name: str) -> CatalogEntry:
    """Return what the catalog says of a model; of one that it does not hold, an entry with nothing but its name."""
    known = (entry for modality in ("image", "text", "audio") for entry in read_catalog(modality))
    return next((entry for entry in known if entry.id == name), CatalogEntry(id=name, modality=""))


def candidates_of(
    entries: Sequence[CatalogEntry],
    task_name: str,
    train: LabeledDataset,
    config: FitConfig,
    *,
    n_examples: int,
    unreadable: set[int],
) -> list[Candidate]:
    """Return the candidates, none of which is loaded yet; their features go through the cache.

    Parameters
    ----------
    n_examples : of the whole job: the engine is chosen for these in every round, so that a later one finds in the cache
        what an earlier one computed.
    unreadable : grows by the rows of train that could not be read.
    """
    known = {entry.id: (entry.parameters, entry.accuracy, entry.source.partition(",")[0])
             for entry in entries if entry.accuracy is not None}  # fmt: skip
    published = published_decades(known)

    def opener(entry: CatalogEntry) -> Callable[[], Opened]:
        return lambda: _opened(entry, task_name, train, config, n_examples=n_examples, unreadable=unreadable)

    return [Candidate(entry.id, entry.parameters, opener(entry), published.get(entry.id, 0.0)) for entry in entries]


def _opened(
    entry: CatalogEntry,
    task_name: str,
    train: LabeledDataset,
    config: FitConfig,
    *,
    n_examples: int,
    unreadable: set[int],
) -> Opened:
    """Return a candidate's model in memory, with its way to features.

    Raises
    ------
    ModelError
        When the model cannot be loaded.
    """
    model = load_task(as_config(entry, config), task_name, train.label_names).model
    source = model.source()
    extractor = extractor_for(model, config, say=lambda text: None, console=None)

    def embed(rows: NDArray[np.int64]) -> NDArray[np.float32]:
        features = extractor.run(train.select(rows), n_examples=n_examples)
        unreadable.update(rows[~features.is_readable].tolist())
        return features.matrix

    return Opened(model.backbone.n_parameters, embed, tuple(source.blocks), source.scalings, unreadable)


def as_config(entry: CatalogEntry, config: FitConfig) -> FitConfig:
    """Return the options with an entry as the model, at the commit that the catalog pins.

    Offline, where the hub's cache has another commit alone, that one is taken. A preprocessing of the user's own is for
    checkpoints that bring none: among several models one that states how its input is made is read so.
    """
    place = place_on_disk(entry) or entry.id
    is_stated = not Path(place).is_dir() or any((Path(place) / name).is_file() for name in _PROCESSORS)
    own = None if is_stated else config.preprocessing
    revision = "" if Path(place).is_dir() else entry.revision
    if revision and config.offline:
        revision = cached_revision(entry) or ""
    return replace(config, model=place, revision=revision or None, preprocessing=own)


def _inside(model: str) -> list[str]:
    """Return a model's name; of a folder that is no checkpoint, the checkpoints right below it."""
    folder = Path(model)
    if not folder.is_dir() or any((folder / name).is_file() for name in ("config.json", "modules.json")):
        return [model]
    return [str(path.parent) for path in sorted(folder.glob("*/config.json"))] or [model]
