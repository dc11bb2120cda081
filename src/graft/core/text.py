"""Numbers in sentences, and texts that are cut."""

from __future__ import annotations

__all__ = ["clipped", "counted"]


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
