"""Transcribed utterances: whole files or parts of them, with what was said and by whom."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graft.core.errors import DataError
from graft.core.files import hash_json
from graft.data.audio import decode_recording
from graft.data.dataset import read_bytes

__all__ = ["Sound", "Utterance", "Utterances", "decode_utterances"]


@dataclass(frozen=True)
class Utterance:
    """One utterance.

    Parameters
    ----------
    id : unique name.
    place : its file, or how a message names the row that holds its sound.
    text : what is said; empty: nothing is known.
    start_s, end_s : which part of the file; None: to its end.
    group : speaker, or what else must stay on one side of every split; empty: not known.
    content : the sound itself, where it is no file of its own.
    """

    id: str
    place: str
    text: str
    start_s: float = 0.0
    end_s: float | None = None
    group: str = ""
    content: bytes | None = None

    def read(self) -> bytes:
        """Return the bytes of the file that the utterance is in.

        Raises
        ------
        DataError
            When the file cannot be read.
        """
        return read_bytes(self.place) if self.content is None else self.content


@dataclass(frozen=True)
class Utterances:
    """The utterances of one split.

    Parameters
    ----------
    items : in order.
    source : where they come from, for messages.
    group_name : what a group is, such as ``speaker``; empty: nobody said, and a file is its own group.

    Raises
    ------
    DataError
        When two ids are equal.
    """

    items: tuple[Utterance, ...]
    source: str = ""
    group_name: str = ""

    def __post_init__(self) -> None:
        seen: set[str] = set()
        for item in self.items:
            if item.id in seen:
                raise DataError(
                    f"{self.source} names the utterance {item.id} twice",
                    expected="each part of a recording once",
                    fix="remove the second row",
                )
            seen.add(item.id)

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[Utterance]:
        return iter(self.items)

    def __getitem__(self, index: int) -> Utterance:
        return self.items[index]

    @property
    def ids(self) -> list[str]:
        """Names of the utterances."""
        return [item.id for item in self.items]

    @property
    def texts(self) -> list[str]:
        """What is said."""
        return [item.text for item in self.items]

    @property
    def group_keys(self) -> list[str]:
        """The group of each; where nobody named groups, its file."""
        return [f"g:{item.group}" if item.group else f"f:{item.place}" for item in self.items]

    @property
    def groups(self) -> NDArray[np.int64]:
        """(n_utterances,), number of each one's group."""
        numbers: dict[str, int] = {}
        return np.array([numbers.setdefault(key, len(numbers)) for key in self.group_keys], np.int64)

    @property
    def n_groups(self) -> int:
        """Number of different groups."""
        return len(set(self.group_keys))

    @property
    def fingerprint(self) -> str:
        """32 hexadecimal digits of names, parts, texts and groups; the sounds are not read for it."""
        return hash_json([[i.id, i.start_s, i.end_s, i.text, i.group] for i in self.items])

    def select(self, rows: Sequence[int] | NDArray[np.integer[Any]]) -> Utterances:
        """Return the utterances at `rows`."""
        return replace(self, items=tuple(self.items[int(row)] for row in rows))

    def with_texts(self, texts: Mapping[int, str]) -> Utterances:
        """Return the same with other texts at some rows."""
        items = [replace(item, text=texts.get(row, item.text)) for row, item in enumerate(self.items)]
        return replace(self, items=tuple(items))


@dataclass(frozen=True)
class Sound:
    """The sound of one utterance.

    Parameters
    ----------
    waveform : (n_samples,), float32; empty where the file could not be read.
    peak : largest distance of two samples, full scale is 2.
    clipped : share of samples at full scale.
    error : why it could not be read; empty where it could.
    """

    waveform: NDArray[np.float32]
    peak: float = 0.0
    clipped: float = 0.0
    error: str = ""


def decode_utterances(
    utterances: Utterances, *, sampling_rate_hz: int, skip_unreadable: bool = False
) -> Iterator[Sound]:
    """Yield the sound of each utterance, in order; a file with several in a row is decoded once.

    Raises
    ------
    DataError
        When a file cannot be read (unless `skip_unreadable`), or a part lies outside of its file.
    """
    place, whole, error = "", np.zeros(0, np.float32), ""
    for item in utterances:
        if item.place != place:
            place, error = item.place, ""
            try:
                found = decode_recording(item.read(), name=item.place, sampling_rate_hz=sampling_rate_hz)
                whole = found.waveform
            except DataError as problem:
                if not skip_unreadable:
                    raise
                whole, error = np.zeros(0, np.float32), str(problem).splitlines()[0]
        if error:
            yield Sound(np.zeros(0, np.float32), error=error)
            continue
        yield _part(whole, item, sampling_rate_hz)


def _part(whole: NDArray[np.float32], item: Utterance, rate: int) -> Sound:
    first = round(item.start_s * rate)
    last = len(whole) if item.end_s is None else round(item.end_s * rate)
    if first < 0 or last <= first or first >= len(whole) or last > len(whole) + rate // 2:
        raise DataError(
            f"{item.id}: the part from {item.start_s:g} s to"
            f" {'the end' if item.end_s is None else f'{item.end_s:g} s'} of {item.place},"
            f" which lasts {len(whole) / rate:.2f} s",
            expected="a start before its end, both inside of the recording, in seconds",
            fix="correct the row; where times are in other units, give them in seconds",
        )
    part = whole[first:last]
    return Sound(part, float(np.ptp(part)), float((np.abs(part) >= 0.999).mean()))
