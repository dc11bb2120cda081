"""Texts made worse: typing errors, capitals, missing punctuation and missing words, each in five strengths."""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Mapping
from typing import Final

import numpy as np

__all__ = ["TEXT_CORRUPTIONS", "corrupt_text"]

_TYPOS = (0.02, 0.04, 0.07, 0.11, 0.16)  # of the letters
_CAPITALS = (0.2, 0.4, 0.6, 0.8, 1.0)  # of the words
_PUNCTUATION = (0.2, 0.4, 0.6, 0.8, 1.0)  # of the marks
_WORDS = (0.06, 0.12, 0.2, 0.3, 0.42)  # of the words
_KEYS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
_MARKS = frozenset(string.punctuation + "…–—‘’“”«»¿¡。，、！？；：")

TextCorruption = Callable[[str, int, np.random.Generator], str]


def corrupt_text(content: bytes, corruption: str, severity: int, *, name: str, rng: np.random.Generator) -> bytes:
    """Return the text made worse, in UTF-8.

    Parameters
    ----------
    content : a text in UTF-8.
    corruption : a key of `TEXT_CORRUPTIONS`.
    severity : 1 to 5.
    name : not needed; as of pictures and recordings.
    rng : the same for all severities of an example: what is wrong at a weaker one stays so at a stronger one.
    """
    text = content.decode("utf-8", errors="replace")
    return TEXT_CORRUPTIONS[corruption](text, severity, rng).encode("utf-8")


def _typos(text: str, severity: int, rng: np.random.Generator) -> str:
    """Hit a neighbouring key, leave a letter out, double it, or swap it with the next one."""
    drawn, kinds, sides = rng.random(len(text)), rng.integers(0, 4, len(text)), rng.integers(0, 2, len(text))
    out: list[str] = []
    at = 0
    while at < len(text):
        letter = text[at]
        if not letter.isalpha() or drawn[at] >= _TYPOS[severity - 1]:
            out.append(letter)
        elif kinds[at] == 0:
            out.append(_neighbour(letter, int(sides[at])))
        elif kinds[at] == 1:
            pass
        elif kinds[at] == 2 or at + 1 == len(text) or not text[at + 1].isalpha():
            out.append(letter * 2)
        else:
            out.append(text[at + 1] + letter)
            at += 1
        at += 1
    return "".join(out)


def _neighbour(letter: str, side: int) -> str:
    for row in _KEYS:
        if (place := row.find(letter.lower())) >= 0:
            found = row[place + 1] if (side and place + 1 < len(row)) or place == 0 else row[place - 1]
            return found.upper() if letter.isupper() else found
    return letter * 2


def _capitals(text: str, severity: int, rng: np.random.Generator) -> str:
    parts = re.split(r"(\s+)", text)
    drawn = rng.random(len(parts))
    return "".join(p.upper() if u < _CAPITALS[severity - 1] else p for p, u in zip(parts, drawn, strict=True))


def _punctuation(text: str, severity: int, rng: np.random.Generator) -> str:
    drawn = rng.random(len(text))
    kept = (c for c, u in zip(text, drawn, strict=True) if c not in _MARKS or u >= _PUNCTUATION[severity - 1])
    return "".join(kept)


def _words(text: str, severity: int, rng: np.random.Generator) -> str:
    """Leave words out, never all of them."""
    parts = re.findall(r"\s*\S+", text)
    if not parts:
        return text
    drawn = rng.random(len(parts))
    kept = [p for p, u in zip(parts, drawn, strict=True) if u >= _WORDS[severity - 1]]
    return "".join(kept or [parts[int(drawn.argmax())]]).lstrip()


TEXT_CORRUPTIONS: Final[Mapping[str, TextCorruption]] = {
    "typing errors": _typos,
    "capitals": _capitals,
    "missing punctuation": _punctuation,
    "missing words": _words,
}
