"""What is refused and what is counted of the examples themselves before a model is fitted to them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from graft.api.config import FitConfig
from graft.backbones.extraction import Features
from graft.core.errors import DataError, UsageError
from graft.core.text import counted
from graft.data.audio import channels_cancel
from graft.data.dataset import LabeledDataset
from graft.data.kinds import PICTURE, RECORDING, ExampleKind

__all__ = ["count_empty", "refuse_for_kind"]

_MOST_MIXED = 50  # silent recordings that are looked at again


def refuse_for_kind(kind: ExampleKind, config: FitConfig) -> None:
    """Raise where an option is meant for pictures, and the examples are of another kind."""
    if kind is PICTURE:
        return
    for flag, value, default, why in (
        ("views", config.views, 1, "mirror images and crops are theirs"),
        ("mixup", config.mixup, 0.0, f"{kind.noun}s are not mixed"),
        ("cutmix", config.cutmix, 0.0, f"{kind.noun}s are not mixed"),
    ):
        if value != default:
            option = f"--{flag.replace('_', '-')}"
            raise UsageError(
                f"{option} {value:g} with {kind.noun}s",
                expected=f"pictures: {why}",
                fix=f"leave {option} away (Python: {flag}={default!r})",
            )


def count_empty(
    splits: Mapping[str, LabeledDataset], features: Mapping[str, Features], *, kind: ExampleKind
) -> list[str]:
    """Return a sentence for each split that holds examples with nothing in them, such as silent recordings.

    They are no error: nothing to hear can be a class of its own.

    Raises
    ------
    DataError
        When there is something in no example of a split.
    """
    notes = []
    for name, part in splits.items():
        rows = np.flatnonzero(features[name].is_readable & ~features[name].perceptual.any(axis=1))
        n_mixed = sum(_cancels(part, int(row)) for row in rows[:_MOST_MIXED]) if kind is RECORDING else 0
        is_mixed = 0 < n_mixed == min(len(rows), _MOST_MIXED)
        mixed = " once mixed to mono, for the channels cancel" if is_mixed else ""
        if kind.empty_word and len(rows) == len(part) > 0:
            raise DataError(
                f"all {counted(len(rows), kind.noun)} of {name} are {kind.empty_word}{mixed}",
                expected=f"{kind.noun}s with something in them",
                fix=f"see whether {part.place(0)} is what it should be, and how it was made",
            )
        if kind.empty_word and len(rows):
            verb = "is" if len(rows) == 1 else "are"
            notes.append(
                f"{counted(len(rows), kind.noun)} of {name} {verb} {kind.empty_word}{mixed}, for example"
                f" {part.ids[rows[0]]}" + (f"; {n_mixed} only once mixed to mono" if n_mixed and not mixed else "")
            )
    return notes


def _cancels(part: LabeledDataset, row: int) -> bool:
    try:
        return channels_cancel(part.read(row))
    except DataError:  # the file has gone since
        return False
