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
from graft.backbones.on_disk import place_on_disk
from graft.core.memory import available_memory
from graft.data.dataset import LabeledDataset
from graft.selection.ranking import Candidate

__all__ = ["candidate_of", "entry_of", "wanted_entries"]

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
    entries = {entry.id: entry for entry in (*own, *(known.values() if has_catalog else ()))}
    wanted = {licence.lower() for licence in licences}
    memory = available_memory()
    kept, left_out = [], []
    for entry in entries.values():
        place = place_on_disk(entry)
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


def candidate_of(
    entry: CatalogEntry,
    task_name: str,
    train: LabeledDataset,
    config: FitConfig,
    *,
    n_examples: int,
    say: Callable[[str], None],
) -> Candidate:
    """Return the candidate over a model that is loaded now; its features go through the cache.

    Parameters
    ----------
    n_examples : of the whole job: the engine is chosen for these in every round, so that a later one finds in the cache
        what an earlier one computed.

    Raises
    ------
    ModelError
        When the model cannot be loaded.
    """
    place = place_on_disk(entry) or entry.id
    own = replace(config, model=place, revision=entry.revision or None)
    model = load_task(own, task_name, train.label_names).model
    source = model.source()
    extractor = extractor_for(model, own, say=lambda text: None, console=None)

    def embed(rows: NDArray[np.int64]) -> NDArray[np.float32]:
        matrix = extractor.run(train.select(rows), n_examples=n_examples).matrix
        width = matrix.shape[1] // len(source.blocks)
        return np.ascontiguousarray(matrix[:, :width])  # the way of pooling that the checkpoint itself names first

    return Candidate(entry.id, model.backbone.n_parameters, embed, source.scalings)


def _inside(model: str) -> list[str]:
    """Return a model's name; of a folder that is no checkpoint, the checkpoints right below it."""
    folder = Path(model)
    if not folder.is_dir() or any((folder / name).is_file() for name in ("config.json", "modules.json")):
        return [model]
    return [str(path.parent) for path in sorted(folder.glob("*/config.json"))] or [model]
