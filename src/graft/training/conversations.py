"""Conversations as the loop eats them: tokens kept once, in batches of like length or packed into rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from graft.training.length_order import LengthOrder
from graft.training.packing import PackOrder

__all__ = ["ConversationExamples", "LengthBatches", "PackedBatches", "Tokens"]

Rows = NDArray[np.integer[Any]]


class Tokens(Protocol):
    """A conversation as tokens."""

    def __len__(self) -> int: ...

    @property
    def tokens(self) -> NDArray[np.int32]:
        """The tokens."""
        ...

    @property
    def is_target(self) -> NDArray[np.bool_]:
        """Whether a token carries loss."""
        ...

    @property
    def n_targets(self) -> int:
        """Tokens that carry loss."""
        ...


Collate = Callable[[Sequence[Any]], Mapping[str, Tensor]]
CollatePacked = Callable[[Sequence[Sequence[Any]]], Mapping[str, Tensor]]


@dataclass(frozen=True)
class ConversationExamples:
    """Conversations as tokens, and how they become tensors.

    Parameters
    ----------
    encoded : of each conversation.
    collate : fills several up to the longest.
    collate_packed : puts several into each row.
    """

    encoded: Sequence[Tokens]
    collate: Collate
    collate_packed: CollatePacked

    def lengths(self, rows: Rows) -> NDArray[np.int64]:
        """Return the tokens of some conversations: (n_rows,)."""
        return np.array([len(self.encoded[int(row)]) for row in rows], np.int64)

    def n_targets(self, rows: Rows) -> NDArray[np.int64]:
        """Return the tokens of some conversations that carry loss: (n_rows,)."""
        return np.array([self.encoded[int(row)].n_targets for row in rows], np.int64)

    def words(self, rows: Rows, *, are_targets: bool = False) -> NDArray[np.int64]:
        """Return the different tokens of some conversations, ascending; or those among them that carry loss."""
        own = [self.encoded[int(row)] for row in rows]
        return np.unique(np.concatenate([e.tokens[e.is_target] if are_targets else e.tokens for e in own])).astype(
            np.int64
        )

    def plain(self, rows: Rows, *, most_tokens: int) -> Iterator[tuple[NDArray[np.int64], Mapping[str, Tensor]]]:
        """Yield positions in `rows` with their batch, the longest first; a batch has at most so many places."""
        lengths = self.lengths(rows)
        order = np.argsort(-lengths, kind="stable")
        first = 0
        while first < len(order):
            n = max(1, most_tokens // int(lengths[order[first]]))
            own = order[first : first + n]
            first += n
            yield own, self.collate([self.encoded[int(rows[place])] for place in own])


class LengthBatches:
    """Batches of conversations of like length: the same step gives the same tensors, whole or in parts.

    Parameters
    ----------
    rows : which conversations are trained on.
    batch_size : conversations a step.
    seed : of the order.
    """

    def __init__(self, examples: ConversationExamples, rows: Rows, *, batch_size: int, seed: int) -> None:
        self._examples, self._rows, self.batch_size = examples, np.asarray(rows, np.int64), batch_size
        self._lengths = examples.lengths(rows)
        self._order = LengthOrder(self._lengths, batch_size=batch_size, seed=seed)
        self.steps_a_pass = max(1, round(len(rows) / batch_size))

    def batch(self, step: int, part: slice = slice(None)) -> Mapping[str, Tensor]:
        """Return one step's batch, or the conversations of it that `part` names."""
        places = self._order.indices(step)[part]
        return self._examples.collate([self._examples.encoded[int(row)] for row in self._rows[places]])

    def padding(self) -> float:
        """Return the share of places in the first pass's batches that only fill up."""
        places = [self._lengths[self._order.indices(step)] for step in range(self.steps_a_pass)]
        return 1 - sum(int(own.sum()) for own in places) / sum(int(own.max()) * len(own) for own in places)


class PackedBatches:
    """Rows of several conversations each: the same step gives the same tensors, whole or in parts.

    Parameters
    ----------
    rows : which conversations are trained on.
    capacity : tokens of a row.
    batch_size : conversations a step, in the mean.
    seed : of the order.

    Notes
    -----
    To the loop a step has as many examples as it has rows; a part of it is some of these.
    """

    def __init__(
        self, examples: ConversationExamples, rows: Rows, *, capacity: int, batch_size: int, seed: int
    ) -> None:
        self._examples, self._rows = examples, np.asarray(rows, np.int64)
        lengths = examples.lengths(rows)
        self.batch_size = max(1, round(batch_size * float(lengths.mean()) / capacity))
        self._order = PackOrder(lengths, capacity=capacity, rows_a_step=self.batch_size, seed=seed)
        self.steps_a_pass = max(1, round(self._order.n_rows / self.batch_size))

    def batch(self, step: int, part: slice = slice(None)) -> Mapping[str, Tensor]:
        """Return one step's batch, or the rows of it that `part` names."""
        packs = self._order.packs(step)[part]
        encoded = self._examples.encoded
        return self._examples.collate_packed([[encoded[int(i)] for i in self._rows[pack]] for pack in packs])

    def padding(self) -> float:
        """Return the share of places in the first pass's rows that only fill up."""
        return self._order.padding()
