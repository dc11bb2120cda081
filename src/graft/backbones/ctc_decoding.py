"""From the best token of each of CTC's frames to words with their times."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["TimedWord", "timed_words"]


@dataclass(frozen=True)
class TimedWord:
    """A word and when it is heard, in seconds from the beginning of the sound."""

    word: str
    start_s: float
    end_s: float


def timed_words(
    best: NDArray[np.integer[Any]],
    tokens: Sequence[str],
    *,
    blank: int,
    delimiter: str,
    frame_s: float,
    start_s: float = 0.0,
) -> list[TimedWord]:
    """Return the words of a path of frames with their times.

    Parameters
    ----------
    best : (n_frames,), the token of each frame.
    tokens : the text of each token.
    delimiter : token between words.
    frame_s : distance of two frames.
    start_s : time of the first frame.
    """
    words: list[TimedWord] = []
    letters: list[str] = []
    first = last = previous = -1
    for frame, number in enumerate(best.tolist()):
        text = tokens[number]
        if number != blank and number != previous:
            if text == delimiter:
                if letters:
                    words.append(TimedWord("".join(letters), start_s + first * frame_s, start_s + (last + 1) * frame_s))
                letters = []
            else:
                first = frame if not letters else first
                letters.append(text)
        if number != blank and text != delimiter:
            last = frame
        previous = number
    if letters:
        words.append(TimedWord("".join(letters), start_s + first * frame_s, start_s + (last + 1) * frame_s))
    return words
