"""Corrections matched with the data (by id, by what the examples hold, by the labels there are) and applied."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from graft.core.errors import DataError, did_you_mean
from graft.core.files import hash_bytes
from graft.core.text import counted
from graft.data.corrections import ACTIONS, NO_LABELS, Correction
from graft.data.dataset import LabeledDataset, Splits
from graft.data.label_sets import SEPARATORS

__all__ = ["apply_corrections", "content_hash", "joined_labels", "match_corrections"]

_DIGITS = 16
_NUMBER = re.compile(r"(.*/)?0*(\d+)(#\d+)?")


def content_hash(part: LabeledDataset, row: int) -> str:
    """Return 16 hexadecimal digits of what an example holds."""
    return hash_bytes(part.read(row))[:_DIGITS]


def joined_labels(labels: Sequence[str]) -> str:
    """Return labels as one cell, as `match_corrections` takes it apart; ``[]`` where there are none.

    Examples
    --------
    >>> joined_labels(["cat", "dog"]), joined_labels(["a|b", "c"]), joined_labels([])
    ('cat|dog', 'a|b;c', '[]')
    """
    sign = next((s for s in SEPARATORS if not any(s in label for label in labels)), SEPARATORS[0])
    return sign.join(labels) if labels else NO_LABELS


def match_corrections(splits: Splits, corrections: Mapping[str, Correction]) -> dict[str, Correction]:
    """Return the corrections by the ids of the data, each with its labels taken apart.

    An id that is a number is found however many noughts it begins with. Where a correction says what its example held,
    the example is compared with that.

    Raises
    ------
    DataError
        When an id or a label is not in the data, two rows mean one example, or an example holds something else than
        when the file was written (row named).
    """
    where = {name: (part, row) for part in splits.present().values() for row, name in enumerate(part.ids)}
    by_number = _by_number(where)
    names, is_multi_label = splits.train.label_names, splits.train.is_multi_label
    found: dict[str, Correction] = {}
    for own in corrections.values():
        name = own.id if own.id in where else by_number.get(_number(own.id), "")
        if not name:
            raise DataError(
                f"{own.place}: no example {own.id}.{did_you_mean(own.id, where)}",
                expected="an id of the data, as graft check writes it",
                fix="mend or remove the row",
            )
        if name in found:
            raise DataError(f"{own.place}: {own.id} stands already in {found[name].place}", expected="each id once")
        if own.content_hash and own.content_hash != content_hash(*where[name]):
            raise _other_content(own, name, splits)
        labels = _label_set(own, names) if is_multi_label else own.labels
        for label in labels:
            if label not in names:
                raise _no_label(own, label, names, is_multi_label=is_multi_label)
        if own.action == "relabel" and not is_multi_label and len(labels) != 1:
            raise DataError(f"{own.place}: {counted(len(labels), 'label')} for {own.id}", expected="one")
        found[name] = replace(own, id=name, labels=labels)
    return found


def apply_corrections(splits: Splits, corrections: Mapping[str, Correction]) -> Splits:
    """Return the splits without dropped examples and with new labels; a note says what was done.

    Raises
    ------
    DataError
        As `match_corrections` does; or when a split or a class of train is left without examples.
    """
    corrections, parts = match_corrections(splits, corrections), splits.present()
    names = splits.train.label_names
    done = {action: sum(c.action == action for c in corrections.values()) for action in ACTIONS}
    note = f"corrections: {done['drop']:,} dropped, {done['relabel']:,} relabelled, {done['keep']:,} looked at and kept"
    if n := _unverified(corrections.values()):
        note += f"; {n:,} name a row by its number alone, and nobody can see whether it is still the one that was meant"
    changed = {name: _corrected(part, corrections) for name, part in parts.items()}
    for name, part in changed.items():
        before = parts[name].class_counts
        gone = np.flatnonzero((before > 0) & (part.class_counts == 0))
        if not len(part) or (name == "train" and len(gone)):
            what = f"{name} without examples" if not len(part) else f"train without examples of '{names[gone[0]]}'"
            raise DataError(f"the corrections leave {what}", expected="some of each", fix="drop fewer")
    return replace(splits, **changed, notes=(*splits.notes, note))


def _unverified(corrections: Iterable[Correction]) -> int:
    """Return how many corrections name their example by a number alone, which may be another by now."""
    return sum(not c.content_hash and _NUMBER.fullmatch(c.id) is not None for c in corrections)


def _corrected(part: LabeledDataset, corrections: Mapping[str, Correction]) -> LabeledDataset:
    mine = [corrections.get(name) for name in part.ids]
    if not any(c is not None and c.action != "keep" for c in mine):
        return part
    kept = np.array([i for i, c in enumerate(mine) if c is None or c.action != "drop"], dtype=np.int64)
    labels: list[Any] = part.rows["label"][:]
    number = {name: i for i, name in enumerate(part.label_names)}
    for i, c in enumerate(mine):
        if c is not None and c.action == "relabel":
            numbers = [number[label] for label in c.labels]
            labels[i] = numbers if part.is_multi_label else numbers[0]
    kind = part.rows.features["label"]
    rows = part.rows.remove_columns("label").add_column("label", labels, feature=kind)
    return replace(part, rows=rows).select(kept)


def _label_set(own: Correction, names: Sequence[str]) -> tuple[str, ...]:
    """Return the labels of a set; one cell is taken apart at the first sign that gives labels which there are."""
    if len(own.labels) != 1 or own.labels[0] in names:
        return own.labels
    pieces = [tuple(dict.fromkeys(map(str.strip, own.labels[0].split(sign)))) for sign in SEPARATORS]
    pieces = [tuple(filter(None, labels)) for labels in pieces]
    known = [labels for labels in pieces if labels and all(label in names for label in labels)]
    return next(iter(known), next((labels for labels in pieces if len(labels) > 1), own.labels))


def _by_number(ids: Iterable[str]) -> dict[str, str]:
    """Return ids by their numbers without noughts in front, where that says which is meant."""
    numbers = {name: _number(name) for name in ids}
    counts = Counter(numbers.values())
    return {number: name for name, number in numbers.items() if number and counts[number] == 1}


def _number(name: str) -> str:
    found = _NUMBER.fullmatch(name)
    return "" if found is None else "".join(piece or "" for piece in found.groups())


def _other_content(own: Correction, name: str, splits: Splits) -> DataError:
    now = [
        f"{other}"
        for part in splits.present().values()
        for other, digest in zip(part.ids, part.content_hashes(), strict=True)
        if digest[:_DIGITS] == own.content_hash
    ]
    there = f"; what was meant is now {now[0]}" if len(now) == 1 else ""
    return DataError(
        f"{own.place}: example {name} holds something else than when graft check wrote the row{there}",
        expected="the data as it was: rows of a table are named by their number where it has no column 'id'",
        fix=f"{f'write {now[0]} as the id' if len(now) == 1 else 'remove the row'}, or run graft check again",
    )


def _no_label(own: Correction, label: str, names: Sequence[str], *, is_multi_label: bool) -> DataError:
    some = ", ".join(names[:10]) + (f" and {counted(len(names) - 10, 'other')}" if len(names) > 10 else "")
    fix = "mend the row; corrections cannot bring new labels"
    if is_multi_label:
        fix = f"write the whole set, such as {joined_labels(names[:2])} ({NO_LABELS} for none); no label can be new"
    return DataError(
        f"{own.place}: no label '{label}' for {own.id}.{did_you_mean(label, names)}", expected=some, fix=fix
    )
