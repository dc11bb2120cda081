"""From CTC's logits to tokens and words with their times; greedy, or by a search over prefixes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["TimedWord", "collapse", "prefix_beam_search", "timed_words"]


@dataclass(frozen=True)
class TimedWord:
    """A word and when it is heard, in seconds from the beginning of the sound."""

    word: str
    start_s: float
    end_s: float


def collapse(best: Sequence[int] | NDArray[np.integer[Any]], *, blank: int) -> list[int]:
    """Return the tokens that a path of frames spells: repeats become one, blanks go.

    Examples
    --------
    >>> collapse([0, 5, 5, 0, 5, 6, 6], blank=0)
    [5, 5, 6]
    """
    path = np.asarray(best)
    is_new = np.append(True, path[1:] != path[:-1])[: len(path)]
    return [int(token) for token in path[is_new] if token != blank]


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


def prefix_beam_search(
    log_probabilities: NDArray[np.floating[Any]], *, blank: int, width: int = 16, least: float = 1e-3
) -> list[int]:
    """Return the likeliest token sequence over all paths that spell it, by a beam search over prefixes.

    Parameters
    ----------
    log_probabilities : (n_frames, n_tokens).
    width : prefixes that are kept.
    least : tokens less probable than this in a frame are not tried, but for the best.

    References
    ----------
    Hannun et al., First-Pass Large Vocabulary Continuous Speech Recognition using Bi-Directional Recurrent DNNs, 2014,
    algorithm 1.

    Examples
    --------
    >>> p = np.log([[0.6, 0.4], [0.6, 0.4]])  # the likeliest path is blank, blank: 0.36; "a" has 0.64
    >>> prefix_beam_search(p, blank=0)
    [1]
    """
    minus = -np.inf
    beams: dict[tuple[int, ...], tuple[float, float]] = {(): (0.0, minus)}  # ends in a blank, in its last token
    for row in np.asarray(log_probabilities, np.float64):
        tried = np.flatnonzero(row >= max(np.log(least), -1e9))
        tried = np.union1d(tried, [int(row.argmax()), blank])
        found: dict[tuple[int, ...], tuple[float, float]] = {}

        def add(prefix: tuple[int, ...], *, in_blank: float = minus, in_token: float = minus) -> None:
            b, t = found.get(prefix, (minus, minus))  # noqa: B023  used within the frame only
            found[prefix] = (np.logaddexp(b, in_blank), np.logaddexp(t, in_token))  # noqa: B023

        for prefix, (b, t) in beams.items():
            total = np.logaddexp(b, t)
            for token in tried.tolist():
                p = float(row[token])
                if token == blank:
                    add(prefix, in_blank=total + p)
                elif prefix and token == prefix[-1]:
                    add(prefix, in_token=t + p)
                    add((*prefix, token), in_token=b + p)
                else:
                    add((*prefix, token), in_token=total + p)
        ranked = sorted(found.items(), key=lambda item: -np.logaddexp(*item[1]))
        beams = dict(ranked[:width])
    return list(max(beams.items(), key=lambda item: np.logaddexp(*item[1]))[0])
