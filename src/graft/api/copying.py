"""Copies among the examples, exact and near, of every kind; and what stands on both sides moved to one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from graft.api.config import FitConfig
from graft.backbones.cache import FeatureCache, default_cache_folder
from graft.backbones.extraction import Extractor, Features
from graft.backbones.trait_source import TraitSource
from graft.core.devices import Precision, choose_device
from graft.core.errors import DataError, UsageError
from graft.core.processes import Processes
from graft.core.text import counted
from graft.data.aligned_copies import Looks, aligned_copies
from graft.data.dataset import LabeledDataset
from graft.data.duplicates import SplitOverlap, cross_split_duplicates, duplicate_groups, textured_rows
from graft.data.joining import groups_of_pairs, join_groups, joined
from graft.data.kinds import PICTURE, TEXT, ExampleKind
from graft.data.minhash import led_groups, near_texts
from graft.data.traits import Traits, unpacked

if TYPE_CHECKING:
    from graft.api.embedding import Embedded

__all__ = [
    "copies_between",
    "copies_within",
    "groups_for_folds",
    "joined_features",
    "move_leaked",
    "own_texts",
    "read_all_traits",
]

_ROUNDS = 3  # of moving: a copy of what was moved is moved in the next


def read_all_traits(
    splits: Mapping[str, LabeledDataset],
    kind: ExampleKind,
    config: FitConfig,
    *,
    processes: Processes | None = None,
    console: Console | None = None,
) -> dict[str, Traits]:
    """Return the traits of every split, through the cache: examples are read once, for whatever network."""
    extractor = Extractor(
        TraitSource(kind),
        FeatureCache(Path(config.cache) if config.cache else default_cache_folder()),
        device=choose_device("cpu"),
        precision=Precision("fp32", "nothing is computed"),
        n_workers=config.workers,
        skip_unreadable=True,
        console=console,
        processes=processes,
    )
    n = sum(map(len, splits.values()))
    return {name: unpacked(extractor.run(part, n_examples=n).matrix, kind) for name, part in splits.items()}


def copies_within(embedded: Embedded, name: str = "train") -> NDArray[np.int64]:
    """Return the group of every example of a split, (n_examples,): copies, exact and near, share one."""
    part, features = embedded.splits[name], embedded.features[name]
    groups = duplicate_groups(features.keys, perceptual=features.perceptual, features=features.matrix)
    if embedded.task.kind is TEXT:
        return join_groups(groups, led_groups(len(part), *near_texts(own_texts(part))))
    if embedded.task.kind is PICTURE and name in embedded.traits:
        looks, rows = _looks(embedded, name)
        more = rows[aligned_copies(looks, classes=_classes(part, rows)).pairs]
        return join_groups(groups, groups_of_pairs(len(part), more))
    return groups


def copies_between(embedded: Embedded, name: str) -> SplitOverlap:
    """Return which examples of the split `name` have a copy, exact or near, in train."""
    train, features = embedded.splits["train"], embedded.features["train"]
    part, other = embedded.splits[name], embedded.features[name]
    found = cross_split_duplicates(
        features.keys,
        other.keys,
        first_perceptual=features.perceptual,
        second_perceptual=other.perceptual,
        first_features=features.matrix,
        second_features=other.matrix,
    )
    pairs = [found.pairs]
    if embedded.task.kind is TEXT:
        near, overlap = near_texts([*own_texts(train), *own_texts(part)])
        n, twins = len(train), dict[int, int]()
        for (a, b), share in zip(near.tolist(), overlap.tolist(), strict=True):
            if b >= n and (a < n or (share == 1.0 and a in twins)):
                twins.setdefault(b, a if a < n else twins[a])
        pairs.append(np.array([(a, b - n) for b, a in twins.items()], np.int64).reshape(-1, 2))
    elif embedded.task.kind is PICTURE and name in embedded.traits and "train" in embedded.traits:
        (own, own_rows), (looks, rows) = _looks(embedded, "train"), _looks(embedded, name)
        aligned = aligned_copies(own, looks, classes=_classes(train, own_rows))
        best_first = aligned.pairs[np.argsort(-aligned.agreement, kind="stable")]
        pairs.append(np.stack([own_rows[best_first[:, 0]], rows[best_first[:, 1]]], axis=1))
    every = np.concatenate(pairs)
    _, where = np.unique(every[:, 1], return_index=True)  # of several copies the first found, exact before near
    return SplitOverlap(every[where], found.n_exact)


def groups_for_folds(
    copies: NDArray[np.int64], own: NDArray[np.int64] | None, *, n_folds: int
) -> tuple[NDArray[np.int64], str]:
    """Return the groups that no fold may tear, and a sentence where copies cannot be heeded.

    Parameters
    ----------
    copies : (n_examples,), groups of copies.
    own : (n_examples,), the user's groups; None: there are none.
    """
    groups = copies if own is None else join_groups(copies, own)
    left = np.arange(len(copies)) if own is None else own
    n_groups, n_left = len(np.unique(groups)), len(np.unique(left))
    if n_groups >= n_folds or n_left <= n_groups:
        return groups, ""
    heeded = "" if own is None else ", which keep to the groups alone"
    return left, f"copies tie all of train into {n_groups} parts, fewer than folds: the folds tear copies apart{heeded}"


def move_leaked(embedded: Embedded, config: FitConfig, *, say: Callable[[str], None]) -> Embedded:
    """Return the splits with what has a copy in train moved to train, and say it.

    Raises
    ------
    UsageError
        When augmented views are wanted: those of what is moved were not computed.
    DataError
        When nothing would be left of a split.
    """
    if embedded.views:
        raise UsageError(
            f"--fix-splits with --views {config.views}",
            expected="one view",
            fix="leave --views away (Python: views=1)",
        )
    for name in ("test", "valid"):
        n_moved, examples = 0, ""
        for _ in range(_ROUNDS):
            if name not in embedded.splits:
                break
            overlap = copies_between(embedded, name)
            if not overlap.count:
                break
            first, second = overlap.pairs[0]
            ids = embedded.splits[name].ids[second], embedded.splits["train"].ids[first]
            examples = examples or f"{ids[0]}, a copy of {ids[1]}"
            embedded = _moved(embedded, name, overlap.pairs[:, 1])
            n_moved += overlap.count
        if n_moved:
            note = f"{counted(n_moved, embedded.noun)} of {name} moved to train, where a copy stands: {examples}"
            say(note)
            embedded = replace(embedded, notes=(*embedded.notes, note))
    return embedded


def joined_features(first: Features, second: Features) -> Features:
    """Return the features of both, one below the other."""
    return Features(
        np.concatenate([first.matrix, second.matrix]),
        np.concatenate([first.perceptual, second.perceptual]),
        (*first.keys, *second.keys),
        np.concatenate([first.is_readable, second.is_readable]),
        first.n_computed + second.n_computed,
    )


def _moved(embedded: Embedded, name: str, rows: NDArray[np.int64]) -> Embedded:
    part, features = embedded.splits[name], embedded.features[name]
    left = np.setdiff1d(np.arange(len(part)), rows)
    if not len(left):
        raise DataError(
            f"all {len(part)} {embedded.noun}s of {name} have a copy in train",
            expected=f"a {name} split of other {embedded.noun}s",
            fix="name another split, or leave it away: one is then held out",
        )
    splits = dict(embedded.splits)
    splits |= {"train": joined(embedded.splits["train"], part.select(rows)), name: part.select(left)}
    own = dict(embedded.features)
    own |= {"train": joined_features(own["train"], features.select(rows)), name: features.select(left)}
    traits = dict(embedded.traits)
    if name in traits:
        traits |= {"train": traits["train"].joined(traits[name].select(rows)), name: traits[name].select(left)}
    return replace(embedded, splits=splits, features=own, traits=traits)


def _looks(embedded: Embedded, name: str) -> tuple[Looks, NDArray[np.int64]]:
    """Return what copies are found by, of the pictures with detail all over, and their rows."""
    thumbnails, features = embedded.traits[name].thumbnails, embedded.features[name]
    assert thumbnails is not None
    rows = textured_rows(features.perceptual)
    return Looks(features.matrix[rows], thumbnails[rows]), rows


def _classes(part: LabeledDataset, rows: NDArray[np.int64]) -> NDArray[np.int64] | None:
    return None if part.is_multi_label else np.asarray(part.labels[rows], dtype=np.int64)


def own_texts(part: LabeledDataset) -> list[str]:
    """Return the texts of a split."""
    return [content.decode("utf-8", errors="replace") for content in part]
