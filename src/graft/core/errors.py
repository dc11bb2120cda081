"""Every error that Graft raises on purpose.

::

    GraftError               exit 1
    ├── UsageError           exit 2    an option or argument that cannot be meant
    ├── DataError            exit 3    the examples: files, labels, columns
    ├── ModelError           exit 4    a model that cannot be found, loaded or grafted
    ├── ResourceError        exit 5    disk full, memory gone, place not writable
    └── Interrupted          exit 130  Ctrl-C or SIGTERM, after what was computed has been kept

An error says what was got, what was expected, and what to do about it, in Python and on the
command line. No traceback is shown for a user's mistake.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from functools import partial
from typing import Any, Self

__all__ = [
    "DataError",
    "GraftError",
    "Interrupted",
    "ModelError",
    "ResourceError",
    "UsageError",
    "did_you_mean",
]


class GraftError(Exception):
    """Root of all deliberate errors.

    Parameters
    ----------
    got : what was found, with the file, row or label that it was found in.
    expected : what would have been right.
    fix : what to do now; names the remedy in Python and on the command line where they differ.
    """

    exit_code = 1

    def __init__(self, got: str, *, expected: str = "", fix: str = "") -> None:
        self.got, self.expected, self.fix = got, expected, fix
        super().__init__(got, expected, fix)

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Return the error whose text `str` gave: how one comes back from where only its text was kept."""
        got, _, fix = text.partition("\nTo fix: ")
        return cls(got, fix=fix)

    def __reduce__(self) -> tuple[Any, ...]:
        # Exceptions are pickled by position; data workers send theirs to the main process.
        return partial(type(self), expected=self.expected, fix=self.fix), (self.got,)

    def __str__(self) -> str:
        lines = [self.got]
        if self.expected:
            lines.append(f"Expected: {self.expected}")
        if self.fix:
            lines.append(f"To fix: {self.fix}")
        return "\n".join(lines)


class UsageError(GraftError):
    """An option or argument that cannot be meant."""

    exit_code = 2


class DataError(GraftError):
    """Examples that cannot be read, or that no model can be fitted to."""

    exit_code = 3


class ModelError(GraftError):
    """A model that cannot be found, loaded or given a new head."""

    exit_code = 4


class ResourceError(GraftError):
    """The machine ran out of something: disk, memory, permission."""

    exit_code = 5


class Interrupted(GraftError):  # noqa: N818 (nothing went wrong)
    """Stopped by Ctrl-C or SIGTERM, after what was computed has been kept."""

    exit_code = 130


def did_you_mean(got: str, known: Iterable[str]) -> str:
    """Return ``" Did you mean 'x'?"`` for the nearest known name, or an empty string.

    Examples
    --------
    >>> did_you_mean("lable", ["label", "path"])
    " Did you mean 'label'?"
    """
    near = difflib.get_close_matches(got, list(known), n=1, cutoff=0.6)
    return f" Did you mean '{near[0]}'?" if near else ""
