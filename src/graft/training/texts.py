"""Texts as the loop eats them: token numbers kept once, batches of texts of like length."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from graft.core.errors import DataError, UsageError
from graft.core.seeds import generator
from graft.training.batches import Batches
from graft.training.mixing import Mixing, soft_targets

__all__ = ["LengthOrder", "TextBatches", "TextExamples"]

Rows = NDArray[np.integer[Any]]
Example = tuple[NDArray[np.int32], int]
Collate = Callable[[Sequence[Example]], Mapping[str, Tensor]]

_POOL = 50  # batches whose examples are sorted by length together


class LengthOrder:
    """Endless shuffled passes over n examples, cut into batches of one size, each of examples of like length.

    Whole passes are shuffled; the examples of every 50 batches are sorted by length, cut into batches, and the batches
    shuffled. So lengths mix over time, and little is padded.

    Parameters
    ----------
    lengths : (n_examples,), tokens of each example.
    batch_size : examples a batch; a pass need not be a multiple of it, the next one goes on in the same batch.
    seed : of all draws.

    Examples
    --------
    >>> lengths = np.array([3, 9, 3, 9, 3, 9])
    >>> order = LengthOrder(lengths, batch_size=3, seed=0)
    >>> sum(len(set(lengths[order.indices(step)])) > 1 for step in range(50))  # of 50 batches one may mix the two
    0
    """

    def __init__(self, lengths: NDArray[np.integer[Any]], *, batch_size: int, seed: int) -> None:
        if not len(lengths):
            raise DataError("no example to train on", expected="at least one")
        if batch_size < 1:
            raise UsageError(f"batch size {batch_size}", expected="at least 1", fix="--batch-size 32 (batch_size=32)")
        self._lengths, self.batch_size, self._seed = np.asarray(lengths), batch_size, seed
        self._pass = lru_cache(maxsize=2)(self._pass_of)
        self._pool = lru_cache(maxsize=2)(self._pool_of)

    def _pass_of(self, epoch: int) -> NDArray[np.int64]:
        return generator(self._seed, "order", epoch).permutation(len(self._lengths))

    def _pool_of(self, number: int) -> NDArray[np.int64]:
        """Return the examples of 50 batches: (50, batch_size)."""
        size = _POOL * self.batch_size
        places = np.arange(number * size, (number + 1) * size)
        epochs, within = np.divmod(places, len(self._lengths))
        drawn = np.concatenate([self._pass(int(e))[within[epochs == e]] for e in np.unique(epochs)])
        by_length = drawn[np.argsort(self._lengths[drawn], kind="stable")].reshape(_POOL, self.batch_size)
        return np.asarray(generator(self._seed, "pool", number).permutation(by_length, axis=0))

    def indices(self, step: int) -> NDArray[np.int64]:
        """Return the examples of one step: (batch_size,)."""
        number, row = divmod(step, _POOL)
        found: NDArray[np.int64] = self._pool(number)[row]
        return found


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
        if self._label_smoothing:
            batch["soft_labels"] = soft_targets(labels, self._n_classes, smoothing=self._label_smoothing)
        return batch

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
        if mixing is not None:
            raise UsageError("mixup or cutmix of texts", expected="pictures", fix="leave --mixup and --cutmix away")
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
