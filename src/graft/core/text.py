"""Numbers in sentences, and texts that are cut."""

from __future__ import annotations

import math
from typing import Final

__all__ = ["THIN", "clipped", "counted", "percent"]

THIN: Final = "\u202f"  # narrow no-break space, between number and unit


def counted(n: int, noun: str) -> str:
    """Return a number with its noun in the right form.

    Examples
    --------
    >>> counted(1, "picture"), counted(1200, "picture")
    ('1 picture', '1,200 pictures')
    """
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


def clipped(text: str, most: int = 120) -> str:
    """Return a text on one line, cut where it is longer than `most` signs.

    Examples
    --------
    >>> clipped("two\\nlines"), clipped("four words of text", most=12)
    ('two lines', 'four words …')
    """
    line = " ".join(text.split())
    return line if len(line) <= most else f"{line[: most - 1].rstrip()} …"


def percent(value: float | None, *, unit: bool = True) -> str:
    """Return a share in percent with one decimal; a dash where there is none.

    Examples
    --------
    >>> percent(0.8642, unit=False), percent(1.0, unit=False), percent(None)
    ('86.4', '100', '–')
    """
    if value is None or not math.isfinite(value):
        return "–"
    text = f"{100 * value:.1f}"
    text = "100" if text == "100.0" else text
    return f"{text}{THIN}%" if unit else text
