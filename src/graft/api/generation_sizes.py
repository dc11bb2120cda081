"""Would more conversations help: the same training on parts of them, each judged on the same answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graft.core.seeds import generator
from graft.evaluation.answer_losses import AnswerLosses

__all__ = ["FEWEST_ANSWERS", "losses_over_sizes"]

FEWEST_ANSWERS = 50  # of the test split, under which nothing can be told
_HALVINGS = 4
_FEWEST = 4  # conversations of the smallest part


def losses_over_sizes(
    rows: NDArray[np.int64],
    whole: AnswerLosses,
    *,
    losses_after: Callable[[NDArray[np.int64]], AnswerLosses],
    seed: int,
    say: Callable[[str], None],
) -> dict[int, AnswerLosses]:
    """Return the losses of the test answers after training on a 16th, an 8th, a quarter, a half and all; may be empty.

    Parameters
    ----------
    rows : the training conversations.
    whole : the losses after training on all of them.
    losses_after : trains on some of them and gives the losses of the same answers.

    Notes
    -----
    Each part holds the smaller ones. Together they take about as long as the training on all did.
    """
    if len(whole) < FEWEST_ANSWERS or len(rows) < _FEWEST * 2**_HALVINGS:
        say(
            f"whether more data would help cannot be told from {len(rows):,} training conversations and {len(whole):,}"
            f" test answers: {_FEWEST * 2**_HALVINGS} and {FEWEST_ANSWERS} are needed"
        )
        return {}
    order: Any = rows[generator(seed, "parts").permutation(len(rows))]
    found: dict[int, AnswerLosses] = {}
    for halvings in range(_HALVINGS, 0, -1):
        part = np.sort(order[: len(rows) // 2**halvings])
        say(f"training on {len(part):,} of {len(rows):,} conversations, to see whether more would help")
        found[len(part)] = losses_after(part)
    return found | {len(rows): whole}
