"""What is counted of the examples themselves before a model is fitted to them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from graft.backbones.extraction import Features
from graft.core.text import counted
from graft.data.dataset import LabeledDataset
from graft.data.kinds import ExampleKind

__all__ = ["count_empty"]


def count_empty(
    splits: Mapping[str, LabeledDataset], features: Mapping[str, Features], *, kind: ExampleKind
) -> list[str]:
    """Return a sentence for each split that holds examples with nothing in them, such as silent recordings.

    They are no error: nothing to hear can be a class of its own.
    """
    notes = []
    for name, part in splits.items():
        rows = np.flatnonzero(features[name].is_readable & ~features[name].perceptual.any(axis=1))
        if kind.empty_word and len(rows):
            verb = "is" if len(rows) == 1 else "are"
            notes.append(
                f"{counted(len(rows), kind.noun)} of {name} {verb} {kind.empty_word}, for example {part.ids[rows[0]]}"
            )
    return notes
