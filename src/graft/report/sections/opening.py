"""The first screen's facts, a sentence each; what else they say is folded away below them."""

from __future__ import annotations

import re
from collections.abc import Sequence

from graft.report.verdict import Fact

__all__ = ["opened"]

_END = re.compile(r"(?<=[^.][.!?]) (?=[A-Z“])")


def opened(facts: Sequence[Fact]) -> tuple[list[Fact], list[Fact]]:
    """Return the first sentence of each fact, and what the facts say after it, of those that say more.

    Examples
    --------
    >>> first, rest = opened([Fact("Accuracy", "It is 80.5 %. Half of it is luck. More would tell.")])
    >>> first[0].text, rest[0].text
    ('It is 80.5 %.', 'Half of it is luck. More would tell.')
    """
    cut = [(fact, _END.split(fact.text, maxsplit=1)) for fact in facts]
    first = [fact._replace(text=parts[0]) for fact, parts in cut]
    return first, [fact._replace(text=parts[1]) for fact, parts in cut if len(parts) > 1]
