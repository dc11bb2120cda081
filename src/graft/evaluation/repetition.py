"""Does a generated text repeat itself: the share of repeated n-grams, and endings that go round in a loop."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from graft.evaluation.text_overlap import grams, words_of

__all__ = ["ends_in_loop", "repeated_share", "repeated_shares"]

_FEWEST_TURNS: Final = 4
_SHORTEST_LOOP: Final = 32  # characters: a row of dots or a short chorus is none


def repeated_share(text: str, *, n: int = 4) -> float:
    """Return the share of a text's runs of `n` words that stood in it before; 0 where there is none.

    References
    ----------
    Welleck et al. 2020, Neural text generation with unlikelihood training, section 6.1 (seq-rep-n),
    https://arxiv.org/abs/1908.04319

    Examples
    --------
    >>> repeated_share("a b c d a b c d e f g"), repeated_share("a b c")
    (0.125, 0.0)
    """
    found = grams(words_of(text), n)
    return 1 - len(set(found)) / len(found) if found else 0.0


def repeated_shares(texts: Sequence[str], *, n: int = 4) -> NDArray[np.float64]:
    """Return `repeated_share` of each text: (n_texts,)."""
    return np.array([repeated_share(text, n=n) for text in texts], np.float64)


def ends_in_loop(text: str) -> bool:
    """Return whether a text ends in one piece said at least four times in a row, over at least 32 characters.

    Notes
    -----
    A piece is a run of characters, so a loop is found that is cut off within a word. The shortest period of each end of
    the text comes from Knuth, Morris and Pratt's table of the reversed text.

    Examples
    --------
    >>> ends_in_loop("He said" + " and then" * 6), ends_in_loop("He said no, and then he left, and then it was dark.")
    (True, False)
    >>> ends_in_loop("\\n" * 40)
    True
    """
    return _goes_round(text.rstrip()) or _goes_round(text)  # blanks may follow a loop, or be one


def _goes_round(text: str) -> bool:
    turned = text[::-1]
    border = [0] * len(turned)
    k = 0
    for i in range(1, len(turned)):
        while k and turned[i] != turned[k]:
            k = border[k - 1]
        k += turned[i] == turned[k]
        border[i] = k
        length, period = i + 1, i + 1 - k
        if length >= _SHORTEST_LOOP and length >= _FEWEST_TURNS * period:
            return True
    return False
