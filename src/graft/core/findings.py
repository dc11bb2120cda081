"""What a check of the data found: the form in which run folder, report and terminal have it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

__all__ = ["MOST_EXAMPLES", "Finding", "Suspect", "Without"]

MOST_EXAMPLES: Final = 50
"""Examples that a finding keeps; its count tells of all."""


@dataclass(frozen=True)
class Suspect:
    """One example that a check names.

    Parameters
    ----------
    id : of the example.
    split : where it stands.
    label : its label, as it is said; several are joined by commas.
    other : id of the example that it is compared with; empty where there is none.
    suggested : label that the model would give; empty where the check says nothing of labels.
    score : what the ranking is by; its meaning is the finding's.
    corrected : all labels that the example would have, where it may have several; None where nothing is suggested.
    text, other_text : the beginnings of the two examples, where they are texts.
    """

    id: str
    split: str
    label: str = ""
    other: str = ""
    suggested: str = ""
    score: float | None = None
    corrected: tuple[str, ...] | None = None
    text: str = ""
    other_text: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form, without what is empty."""
        return {name: value for name, value in vars(self).items() if value not in ("", None)}


@dataclass(frozen=True)
class Without:
    """The headline metric with and without the flagged examples.

    Parameters
    ----------
    metric : its name, such as ``"accuracy"``.
    value, without : the metric of all, and of what is left.
    n : judged examples that are left.
    how : what was done, such as ``"left out of test"``.
    """

    metric: str
    value: float
    without: float
    n: int
    how: str

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return dict(vars(self))


@dataclass(frozen=True)
class Finding:
    """What one check came to.

    Parameters
    ----------
    check : name of the check, such as ``"copies_across_splits"``.
    severity : ``"ok"``, ``"note"``, ``"warning"``, or ``"not checked"``.
    text : one sentence.
    n : examples (or classes, traits, groups) that it names.
    suspects : the worst, 50 at most.
    without : the headline metric without them; None where that means nothing.
    details : numbers of the check's own, JSON values.
    """

    check: str
    severity: str
    text: str
    n: int = 0
    suspects: tuple[Suspect, ...] = ()
    without: Without | None = None
    details: Mapping[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form that ``checks.json`` holds."""
        return {
            "check": self.check,
            "severity": self.severity,
            "text": self.text,
            "n": self.n,
            "suspects": [suspect.as_dict() for suspect in self.suspects[:MOST_EXAMPLES]],
            "without": None if self.without is None else self.without.as_dict(),
            "details": dict(self.details),
        }
