"""Texts as the loop eats them: token numbers kept once, batches of texts of like length."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from graft.training.batches import Batches
from graft.training.length_order import LengthOrder
from graft.training.mixing import Mixing, refuse_mixing, with_soft_labels

__all__ = ["TextBatches", "TextExamples"]

Rows = NDArray[np.integer[Any]]
Example = tuple[NDArray[np.int32], int]
Collate = Callable[[Sequence[Example]], Mapping[str, Tensor]]


class TextBatches:
    """Batches of texts of like length: the same step gives the same tensors, whole or in parts.

    Parameters
    ----------
    examples : token numbers of all texts.
    targets : (n_texts,), class numbers.
    rows : which are trained on.
    collate : pads examples to tensors.
    """

    def __init__(
        self,
        examples: Sequence[Example],
        targets: NDArray[np.int64],
        *,
        rows: Rows,
        n_classes: int,
        batch_size: int,
        label_smoothing: float,
        collate: Collate,
        seed: int,
    ) -> None:
        self._examples, self._rows, self._collate = examples, np.asarray(rows, dtype=np.int64), collate
        self._targets = torch.from_numpy(np.asarray(targets, dtype=np.int64))
        lengths = np.array([len(examples[row][0]) for row in self._rows])
        self._order = LengthOrder(lengths, batch_size=batch_size, seed=seed)
        self._n_classes, self._label_smoothing, self.batch_size = n_classes, label_smoothing, batch_size

    def batch(self, step: int, part: slice = slice(None)) -> dict[str, Tensor]:
        """Return one step's batch, or the rows of it that `part` names: token tensors and ``labels`` (n,)."""
        rows = self._rows[self._order.indices(step)[part]]
        labels = self._targets[torch.from_numpy(rows)]
        batch = {**self._collate([self._examples[row] for row in rows]), "labels": labels}
        return with_soft_labels(batch, self._n_classes, smoothing=self._label_smoothing)

    def padding_share(self, n_steps: int) -> float:
        """Return the share of token places of the first `n_steps` batches that hold padding."""
        filled, places = 0, 0
        for step in range(n_steps):
            lengths = [len(self._examples[row][0]) for row in self._rows[self._order.indices(step)]]
            filled, places = filled + sum(lengths), places + max(lengths) * len(lengths)
        return 1 - filled / places


class TextExamples:
    """Texts as token numbers.

    Parameters
    ----------
    examples : token numbers of each text, and where the second text of a pair begins.
    targets : (n,), class numbers.
    collate : pads examples to tensors.
    """

    def __init__(
        self, examples: Sequence[Example], targets: NDArray[np.int64], n_classes: int, *, collate: Collate
    ) -> None:
        self._examples, self.targets, self.n_classes, self._collate = examples, targets, n_classes, collate

    def __len__(self) -> int:
        return len(self._examples)

    def batches(
        self,
        rows: Rows,
        *,
        batch_size: int,
        augmentation: str,
        mixing: Mixing | None,
        label_smoothing: float,
        seed: int,
    ) -> Batches:
        """Return endless shuffled batches of some rows; texts are not distorted, so `augmentation` is not read.

        Raises
        ------
        UsageError
            When texts are to be mixed.
        """
        refuse_mixing(mixing, noun="text")
        return TextBatches(
            self._examples,
            self.targets,
            rows=rows,
            n_classes=self.n_classes,
            batch_size=batch_size,
            label_smoothing=label_smoothing,
            collate=self._collate,
            seed=seed,
        )

    def plain(self, rows: Rows, *, batch_size: int) -> Iterable[dict[str, Tensor]]:
        """Return batches of some rows in their order."""
        for first in range(0, len(rows), batch_size):
            own = np.asarray(rows[first : first + batch_size])
            yield {
                **self._collate([self._examples[row] for row in own]),
                "labels": torch.from_numpy(np.asarray(self.targets[own], dtype=np.int64)),
            }

    def cheapest_order(self, rows: Rows) -> NDArray[np.int64]:
        """Return the positions in `rows` with the longest text first."""
        return np.argsort([-len(self._examples[row][0]) for row in rows], kind="stable")
