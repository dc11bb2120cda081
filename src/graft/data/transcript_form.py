"""The form in which transcripts are learned and compared: case, punctuation, Unicode."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import Final

from graft.core.errors import UsageError

__all__ = ["COMPARED", "FORMS", "TranscriptForm", "form_of"]

_WITHIN_WORDS: Final = frozenset("'’-")


@dataclass(frozen=True)
class TranscriptForm:
    """How a transcript is written before anything is learned from it or compared with it.

    Unicode is brought to NFKC and white space to single blanks in every form; numbers are left as they are.

    Parameters
    ----------
    case : ``"lower"``, ``"upper"`` or ``"keep"``.
    has_punctuation : whether what is neither letter, mark, digit nor blank stays. Where it goes, an apostrophe or a
        hyphen between two letters stays.

    Examples
    --------
    >>> TranscriptForm("lower", has_punctuation=False)("Well,  don't\\n WAIT -- 3 m²!")
    "well don't wait 3 m2"
    """

    case: str = "lower"
    has_punctuation: bool = False

    def __call__(self, text: str) -> str:
        """Return the text in this form."""
        text = unicodedata.normalize("NFKC", text)
        if self.case != "keep":
            text = text.lower() if self.case == "lower" else text.upper()
        if not self.has_punctuation:
            text = "".join(char if _is_kept(text, at) else " " for at, char in enumerate(text))
        return " ".join(text.split())

    def as_dict(self) -> dict[str, str | bool]:
        """Return the JSON form."""
        return {"case": self.case, "has_punctuation": self.has_punctuation}

    def describe(self) -> str:
        """Return the form in words."""
        case = {"lower": "small letters", "upper": "capitals", "keep": "letters as they are"}[self.case]
        marks = "punctuation as it is" if self.has_punctuation else "no punctuation but ' and - within words"
        return f"NFKC, single blanks, {case}, {marks}, numbers as they are"


COMPARED: Final = TranscriptForm("lower", has_punctuation=False)
"""The form in which words are compared: error rates shall not count case and commas."""

FORMS: Final = {
    "plain": COMPARED,
    "lower": TranscriptForm("lower", has_punctuation=True),
    "keep": TranscriptForm("keep", has_punctuation=True),
}


def form_of(name: str) -> TranscriptForm:
    """Return a form by its name.

    Raises
    ------
    UsageError
        When there is none of that name.
    """
    if name not in FORMS:
        raise UsageError(
            f"--transcripts {name} (Python: transcripts=)",
            expected="auto, plain (small letters, no punctuation), lower (small letters) or keep",
        )
    return FORMS[name]


def _is_kept(text: str, at: int) -> bool:
    char = text[at]
    if unicodedata.category(char)[0] in "LMN":
        return True
    is_inside = 0 < at < len(text) - 1 and text[at - 1].isalpha() and text[at + 1].isalpha()
    return char in _WITHIN_WORDS and is_inside
