"""What is wrong with transcribed speech: copies, speakers on both sides, bad sound, and texts that cannot be right."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from graft.core.findings import Finding, Suspect
from graft.core.text import THIN, counted
from graft.evaluation.outliers import robust_distances

__all__ = ["Heard", "Spoken", "check_transcripts"]

SILENT_PEAK: Final = 2e-3
CLIPPED_SHARE: Final = 0.01
_FAR: Final = 5.0  # robust standard deviations
_FEWEST: Final = 20  # utterances from which on it can be said what is usual
_FEWEST_SECONDS: Final = 0.1
_MOST_LETTERS_A_SECOND: Final = 40.0  # a fast speaker says about 20
_NOT_HELD_OUT = "No split is held out."


@dataclass(frozen=True)
class Heard:
    """What a recogniser makes of an utterance.

    Parameters
    ----------
    text : what it writes.
    loss : of the transcript, in nats; infinite where it has more letters than the network has frames.
    """

    text: str
    loss: float


@dataclass(frozen=True)
class Spoken:
    """What is known of an utterance without looking at others.

    Parameters
    ----------
    id, split, text : of it; the text in the form in which words are compared.
    speaker : its speaker's name; empty: not known.
    digest : equal for equal sounds.
    seconds : of sound; 0 where it cannot be read.
    peak : largest distance of two samples, full scale is 2.
    clipped : share of samples at full scale.
    error : why it cannot be read; empty where it can.
    heard : by a recogniser; None: nobody asked one.
    """

    id: str
    split: str
    text: str
    speaker: str
    digest: str
    seconds: float
    peak: float
    clipped: float
    error: str = ""
    heard: Heard | None = None

    @property
    def is_sound(self) -> bool:
        """Whether there is something to hear."""
        return not self.error and self.peak > SILENT_PEAK and self.seconds > _FEWEST_SECONDS


def check_transcripts(rows: Sequence[Spoken]) -> list[Finding]:
    """Return what each check found, the most harmful first.

    Notes
    -----
    What is usual is said by median and median absolute deviation (times 1.4826), so that the wrong ones do not hide
    themselves; an outlier is five of these away.
    """
    return [
        _copies_across(rows),
        _copies_within(rows),
        _conflicts(rows),
        _speakers(rows),
        _texts_across(rows),
        _simple(rows, "unreadable", lambda row: bool(row.error), "cannot be read", "all can be read"),
        _simple(
            rows, "silent", lambda row: not row.error and row.peak <= SILENT_PEAK, "silent", "no recording is silent"
        ),
        _simple(rows, "clipped", lambda row: row.clipped > CLIPPED_SHARE, "clipped: over 1 % of the samples are at"
                " full scale", "no recording is clipped"),
        _simple(rows, "empty", lambda row: not row.text, "without a word", "every utterance has words"),
        _outliers(rows, "length", lambda row: row.seconds, "unusually short or long", "seconds"),
        _outliers(
            rows,
            "speaking_rate",
            lambda row: len(row.text.replace(" ", "")) / row.seconds,
            "with unusually few or many letters for their length: perhaps another text, or wrong times",
            "letters a second",
        ),
        _simple(rows, "impossible", _is_impossible, "whose transcript has more letters than anyone can say, or the"
                " recogniser can write, in its time", "every transcript can be said in its time"),
        _wrong(rows),
    ]  # fmt: skip


def _is_impossible(row: Spoken) -> bool:
    letters = len(row.text.replace(" ", ""))
    is_too_long_to_write = row.heard is not None and np.isinf(row.heard.loss)
    return row.is_sound and (letters > _MOST_LETTERS_A_SECOND * row.seconds or is_too_long_to_write)


def _copies_across(rows: Sequence[Spoken]) -> Finding:
    if all(row.split == "train" for row in rows):
        return Finding("copies_across_splits", "not checked", _NOT_HELD_OUT)
    first = {row.digest: row for row in rows if row.split == "train" and row.is_sound}
    found = [row for row in rows if row.split != "train" and row.is_sound and row.digest in first]
    if not found:
        return Finding("copies_across_splits", "ok", "No recording of a held-out split is also in train.")
    suspects = tuple(Suspect(row.id, row.split, other=first[row.digest].id) for row in found)
    text = f"{counted(len(found), 'held-out recording')} also in train: error rates on them say nothing."
    return Finding("copies_across_splits", "warning", text, len(found), suspects)


def _copies_within(rows: Sequence[Spoken]) -> Finding:
    found = [(a, b) for a, b in _copies(rows) if a.split == b.split == "train" and a.text == b.text]
    if not found:
        return Finding("copies", "ok", "No recording is twice in train.")
    suspects = tuple(Suspect(b.id, b.split, other=a.id) for a, b in found)
    return Finding(
        "copies", "note", f"{counted(len(found), 'recording')} of train more than once.", len(found), suspects
    )


def _conflicts(rows: Sequence[Spoken]) -> Finding:
    found = [(a, b) for a, b in _copies(rows) if a.text != b.text]
    if not found:
        return Finding("conflicting_labels", "ok", "No recording has two transcripts.")
    suspects = tuple(Suspect(b.id, b.split, label=b.text[:80], other=a.id) for a, b in found)
    text = f"{counted(len(found), 'recording')} with another transcript elsewhere: one of the two is wrong."
    return Finding("conflicting_labels", "warning", text, len(found), suspects)


def _copies(rows: Sequence[Spoken]) -> Iterable[tuple[Spoken, Spoken]]:
    """Yield each copy with the first of its kind."""
    first: dict[str, Spoken] = {}
    for row in rows:
        if row.is_sound and first.setdefault(row.digest, row) is not row:
            yield first[row.digest], row


def _speakers(rows: Sequence[Spoken]) -> Finding:
    splits: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        if row.speaker:
            splits[row.speaker].add(row.split)
    if not splits:
        text = "No speakers are named: whether one is on both sides of a split is not known."
        return Finding("groups", "not checked", text)
    if len({row.split for row in rows}) < 2:
        return Finding("groups", "not checked", _NOT_HELD_OUT)
    both = sorted(name for name, where in splits.items() if "train" in where and len(where) > 1)
    if not both:
        return Finding("groups", "ok", f"None of {counted(len(splits), 'speaker')} is on both sides of a split.")
    suspects = tuple(Suspect(name, ", ".join(sorted(splits[name]))) for name in both)
    text = f"{counted(len(both), 'speaker')} of {len(splits)} also in train: error rates say nothing of new speakers."
    return Finding("groups", "warning", text, len(both), suspects)


def _texts_across(rows: Sequence[Spoken]) -> Finding:
    learned = {row.text for row in rows if row.split == "train" and row.text}
    held_out = [row for row in rows if row.split != "train" and row.text]
    found = [row for row in held_out if row.text in learned]
    if not held_out:
        return Finding("sentences", "not checked", _NOT_HELD_OUT)
    share = len(found) / len(held_out)
    text = (
        f"{100 * share:.0f}{THIN}% of the held-out sentences are said in train word for word: its language model knows"
        " them."
    )
    suspects = tuple(Suspect(row.id, row.split, label=row.text[:80]) for row in found)
    return Finding("sentences", "note" if share > 0.05 else "ok", text, len(found), suspects, details={"share": share})


def _simple(rows: Sequence[Spoken], check: str, is_found: Callable[[Spoken], bool], told: str, fine: str) -> Finding:
    found = [row for row in rows if is_found(row)]
    if not found:
        return Finding(check, "ok", f"{fine[0].upper()}{fine[1:]}.")
    suspects = tuple(Suspect(row.id, row.split, label=row.error) for row in found)
    severity = "warning" if check in ("silent", "unreadable", "impossible") else "note"
    return Finding(check, severity, f"{counted(len(found), 'recording')} {told}.", len(found), suspects)


def _outliers(rows: Sequence[Spoken], check: str, amount: Callable[[Spoken], float], told: str, unit: str) -> Finding:
    own = [row for row in rows if row.is_sound and row.text]
    if len(own) < _FEWEST:
        return Finding(check, "not checked", f"{counted(len(own), 'utterance')}: what is usual needs {_FEWEST}.")
    amounts = np.array([max(amount(row), 1e-3) for row in own])
    far, middle = robust_distances(np.log(amounts))
    order = [int(i) for i in np.argsort(-np.abs(far)) if abs(far[i]) > _FAR]
    usual = f"usual are {np.exp(middle):.1f} {unit}"
    if not order:
        return Finding(check, "ok", f"No utterance is {told.partition(':')[0]}; {usual}.")
    suspects = tuple(
        Suspect(own[i].id, own[i].split, label=f"{amounts[i]:.1f} {unit}", score=round(float(amounts[i]), 3))
        for i in order
    )
    return Finding(check, "note", f"{counted(len(order), 'utterance')} {told}; {usual}.", len(order), suspects)


def _wrong(rows: Sequence[Spoken]) -> Finding:
    """Return transcripts that fit their sound far worse than the others: by the recogniser's loss a second."""
    own = [row for row in rows if row.heard is not None and row.is_sound and row.text]
    if len(own) < _FEWEST:
        text = "No recogniser was asked, or it spells with other letters." if not own else "Too few utterances."
        return Finding("label_errors", "not checked", text)
    losses = np.array([row.heard.loss if row.heard is not None else 0.0 for row in own])
    a_second = np.where(np.isfinite(losses), losses, 1e4) / np.array([row.seconds for row in own])
    far, middle = robust_distances(np.log(a_second + 0.1))
    order = [int(i) for i in np.argsort(-far) if far[i] > _FAR and a_second[i] > middle]
    if not order:
        return Finding("label_errors", "ok", "No transcript fits its sound far worse than the others.")
    suspects = tuple(
        Suspect(
            own[i].id,
            own[i].split,
            label=own[i].text[:80],
            suggested=(own[i].heard.text if own[i].heard is not None else "")[:80],  # type: ignore[union-attr]
            score=round(float(a_second[i]), 3),
        )
        for i in order
    )
    text = f"{counted(len(order), 'transcript')} that fit their sound far worse than the others."
    return Finding("label_errors", "warning", text, len(order), suspects)
