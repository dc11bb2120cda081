"""Where examples stand in a table, as messages name them: by the file's line, or by the row where it has no lines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

__all__ = ["Places"]


@dataclass(frozen=True, eq=False)
class Places:
    """The places of some rows of one table.

    Parameters
    ----------
    source : the table's file, or the name of the data set.
    numbers : (n_rows,), line of the file or number of the row, counted from 1.
    word : which of the two.

    Examples
    --------
    >>> Places("said.csv", np.array([2, 3]), "line").of(1)
    'said.csv, line 3'
    """

    source: str
    numbers: NDArray[np.int64]
    word: str

    def of(self, index: int) -> str:
        """Return how a message names a row."""
        return f"{self.source}, {self.word} {self.numbers[index]}"

    def select(self, rows: Sequence[int] | NDArray[np.int64]) -> Places:
        """Return the places of some of the rows."""
        return replace(self, numbers=self.numbers[np.asarray(rows, dtype=np.int64)])
