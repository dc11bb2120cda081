"""Some examples of a data set, made worse while they are read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from graft.core.errors import UsageError
from graft.core.seeds import generator
from graft.data.corruptions.pictures import PICTURE_CORRUPTIONS, corrupt_picture
from graft.data.corruptions.recordings import RECORDING_CORRUPTIONS, corrupt_recording
from graft.data.corruptions.texts import TEXT_CORRUPTIONS, corrupt_text
from graft.data.dataset import LabeledDataset
from graft.data.kinds import PICTURE, RECORDING, TEXT, ExampleKind
from graft.data.texts import join_pair, split_pair

__all__ = ["SEVERITIES", "CorruptedExamples", "corruptions_of"]

SEVERITIES: Final = (1, 2, 3, 4, 5)

_BY_MODALITY: Final[Mapping[str, tuple[Mapping[str, Any], Callable[..., bytes]]]] = {
    PICTURE.modality: (PICTURE_CORRUPTIONS, corrupt_picture),
    TEXT.modality: (TEXT_CORRUPTIONS, corrupt_text),
    RECORDING.modality: (RECORDING_CORRUPTIONS, corrupt_recording),
}


def corruptions_of(kind: ExampleKind) -> tuple[str, ...]:
    """Return the names of what can go wrong with examples of a kind.

    Examples
    --------
    >>> corruptions_of(TEXT)
    ('typing errors', 'capitals', 'missing punctuation', 'missing words')
    """
    return tuple(_BY_MODALITY[kind.modality][0])


class CorruptedExamples:
    """Some examples of one kind, one corruption and one severity; the same whenever and wherever they are read.

    Parameters
    ----------
    data : all examples.
    rows : positions of those that are read.
    kind : of the examples.
    corruption : one of `corruptions_of(kind)`.
    severity : 1 to 5.
    seed : with the example's id it decides what chance decides, alike for all severities.

    Raises
    ------
    UsageError
        When there is no such corruption or severity.
    """

    def __init__(
        self,
        data: LabeledDataset,
        rows: Sequence[int] | NDArray[np.integer[Any]],
        *,
        kind: ExampleKind,
        corruption: str,
        severity: int,
        seed: int = 0,
    ) -> None:
        if corruption not in corruptions_of(kind) or severity not in SEVERITIES:
            raise UsageError(
                f"corruption '{corruption}' of severity {severity} for {kind.noun}s",
                expected=f"one of {', '.join(corruptions_of(kind))}, severity 1 to 5",
            )
        self._data, self._rows, self._kind = data, [int(row) for row in rows], kind
        self._corruption, self._severity, self._seed = corruption, severity, seed

    def __len__(self) -> int:
        return len(self._rows)

    def place(self, index: int) -> str:
        """Return where the example comes from, for messages."""
        return self._data.place(self._rows[index])

    def read(self, index: int) -> bytes:
        """Return the example made worse.

        Raises
        ------
        DataError
            When it cannot be read.
        """
        row = self._rows[index]
        content, name = self._data.read(row), self._data.place(row)
        rng = generator(self._seed, "corruption", self._corruption, self._data.ids[row])
        corrupt = _BY_MODALITY[self._kind.modality][1]
        if self._kind is not TEXT:
            return corrupt(content, self._corruption, self._severity, name=name, rng=rng)
        parts = [part.encode() for part in split_pair(content.decode("utf-8", errors="replace")) if part is not None]
        worse = [corrupt(part, self._corruption, self._severity, name=name, rng=rng).decode() for part in parts]
        return (worse[0] if len(worse) == 1 else join_pair(*worse)).encode()
