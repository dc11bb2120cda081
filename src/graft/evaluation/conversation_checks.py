"""What is wrong with conversations: copies, a question with two answers, a template's marks, odd turns and lengths."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np

from graft.core.findings import Finding, Suspect
from graft.core.text import counted
from graft.evaluation.outliers import robust_distances
from graft.evaluation.shared_passages import LONG, contaminated
from graft.evaluation.text_overlap import words_of

__all__ = ["Asked", "Read", "check_conversations"]

_FAR: Final = 5.0  # robust standard deviations
_FEWEST: Final = 20  # conversations from which on it can be said what is usual
_SAID_BY_ROTE: Final = 0.2  # share of answers that are one and the same
_SHOWN: Final = 80  # letters of an answer
_MARKS: Final = re.compile(
    r"<\|[a-z_]{2,24}\|>|\[/?INST\]|<</?SYS>>|</?(?:start|end)_of_turn>"
    r"|(?m:^### (?:Instruction|Response|Human|Assistant):)"
)


@dataclass(frozen=True)
class Read:
    """What a model reads of a conversation.

    Parameters
    ----------
    n_targets : tokens that carry loss.
    n_cut : tokens of answers that were cut off.
    loss : of the answers, in nats a token.
    error : why its template refuses the conversation; empty where it does not.
    """

    n_targets: int
    n_cut: int = 0
    loss: float = 0.0
    error: str = ""


@dataclass(frozen=True)
class Asked:
    """What is known of a conversation without looking at others.

    Parameters
    ----------
    id, split : of it.
    prompt, answer : all that stands before the last answer, and that answer.
    roles : of its turns.
    group : the group that was named for it; empty: none.
    read : by a model; None: nobody asked one.
    """

    id: str
    split: str
    prompt: str
    answer: str
    roles: tuple[str, ...]
    group: str = ""
    read: Read | None = None


def check_conversations(rows: Sequence[Asked], *, most_tokens: int = 0) -> list[Finding]:
    """Return what each check found, the most harmful first.

    Parameters
    ----------
    most_tokens : that the model reads, for the message; 0: no model was asked.

    Notes
    -----
    What is usual is said by median and median absolute deviation; an outlier is five of these away.
    """
    return [
        _copies_across(rows),
        _passages_across(rows),
        _copies_within(rows),
        _conflicts(rows),
        _groups(rows),
        _simple(rows, "control_tokens", _marks, "with the marks of a chat template in its text: perhaps written by one"
                " already, and then they are learned as letters", "no text has the marks of a chat template"),
        _simple(rows, "turns", _odd_turns, "where a role speaks twice in a row, or an answer comes first",
                "questions and answers follow each other"),
        _by_rote(rows),
        _lengths(rows),
        *_read(rows, most_tokens),
    ]  # fmt: skip


def _copies_across(rows: Sequence[Asked]) -> Finding:
    first = {row.prompt: row for row in reversed(rows) if row.split == "train"}
    found = [row for row in rows if row.split != "train" and row.prompt in first]
    if all(row.split == "train" for row in rows):
        return Finding("copies_across_splits", "not checked", "No split is held out.")
    if not found:
        return Finding("copies_across_splits", "ok", "No held-out question is also asked in train.")
    n_same = sum(first[row.prompt].answer == row.answer for row in found)
    text = (
        f"{counted(len(found), 'held-out question')} also asked in train, {n_same:,} with the same answer: figures"
        " there flatter."
    )
    suspects = tuple(Suspect(row.id, row.split, other=first[row.prompt].id) for row in found)
    return Finding("copies_across_splits", "warning", text, len(found), suspects)


def _passages_across(rows: Sequence[Asked]) -> Finding:
    train = [row for row in rows if row.split == "train"]
    known = {row.prompt for row in train}
    held_out = [row for row in rows if row.split != "train" and row.prompt not in known]
    if not held_out:
        return Finding("passages", "not checked", "No other question is held out.")
    at = contaminated([(r.prompt, r.answer) for r in held_out], [(r.prompt, r.answer) for r in train])
    found = [(row, train[int(place)]) for row, place in zip(held_out, at, strict=True) if place >= 0]
    if not found:
        return Finding("passages", "ok", f"No held-out conversation shares {LONG} words in a row with one of train.")
    text = f"{counted(len(found), 'held-out conversation')} with {LONG} words in a row that one of train has too."
    suspects = tuple(Suspect(row.id, row.split, other=other.id) for row, other in found)
    return Finding("passages", "warning" if len(found) > 0.05 * len(held_out) else "note", text, len(found), suspects)


def _copies_within(rows: Sequence[Asked]) -> Finding:
    first: dict[tuple[str, str], Asked] = {}
    found = [
        (row, first[row.prompt, row.answer])
        for row in rows
        if row.split == "train" and first.setdefault((row.prompt, row.answer), row) is not row
    ]
    if not found:
        return Finding("copies", "ok", "No conversation is twice in train.")
    suspects = tuple(Suspect(row.id, row.split, other=other.id) for row, other in found)
    text = f"{counted(len(found), 'conversation')} of train more than once: they count as often."
    return Finding("copies", "note", text, len(found), suspects)


def _conflicts(rows: Sequence[Asked]) -> Finding:
    answers: dict[str, dict[str, Asked]] = defaultdict(dict)
    for row in rows:
        if row.split == "train":
            answers[row.prompt].setdefault(" ".join(words_of(row.answer)) or row.answer, row)
    found = [list(own.values()) for own in answers.values() if len(own) > 1]
    if not found:
        return Finding("conflicting_answers", "ok", "No question of train has two answers.")
    suspects = tuple(
        Suspect(row.id, row.split, label=row.answer[:_SHOWN], other=first.id) for first, *rest in found for row in rest
    )
    text = f"{counted(len(found), 'question')} of train with more than one answer: the model can learn one at most."
    return Finding("conflicting_answers", "note", text, len(suspects), suspects)


def _groups(rows: Sequence[Asked]) -> Finding:
    splits: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        if row.group:
            splits[row.group].add(row.split)
    if not splits:
        return Finding("groups", "not checked", "No groups are named (--group-column).")
    both = sorted(name for name, where in splits.items() if "train" in where and len(where) > 1)
    if not both:
        return Finding("groups", "ok", f"None of {counted(len(splits), 'group')} is on both sides of a split.")
    suspects = tuple(Suspect(name, ", ".join(sorted(splits[name]))) for name in both)
    text = f"{counted(len(both), 'group')} of {len(splits):,} also in train: figures say nothing of new ones."
    return Finding("groups", "warning", text, len(both), suspects)


def _marks(row: Asked) -> str:
    found = _MARKS.search(row.prompt) or _MARKS.search(row.answer)
    return found.group() if found else ""


def _odd_turns(row: Asked) -> str:
    spoken = [role for role in row.roles if role in ("user", "assistant")]
    if spoken[:1] == ["assistant"]:
        return "assistant first"
    twice = next((a for a, b in pairwise(spoken) if a == b and "tool" not in row.roles), "")
    return f"{twice} twice" if twice else ""


def _simple(rows: Sequence[Asked], check: str, told_of: Callable[[Asked], str], told: str, fine: str) -> Finding:
    found = [(row, text) for row in rows if (text := told_of(row))]
    if not found:
        return Finding(check, "ok", f"{fine[0].upper()}{fine[1:]}.")
    suspects = tuple(Suspect(row.id, row.split, label=text[:_SHOWN]) for row, text in found)
    severity = "note" if check == "turns" else "warning"
    return Finding(check, severity, f"{counted(len(found), 'conversation')} {told}.", len(found), suspects)


def _by_rote(rows: Sequence[Asked]) -> Finding:
    train = [row for row in rows if row.split == "train"]
    if len(train) < _FEWEST:
        return Finding("one_answer", "not checked", f"{counted(len(train), 'conversation')}: too few.")
    answer, n = Counter(row.answer for row in train).most_common(1)[0]
    share = n / len(train)
    text = f"{share:.0%} of the answers of train are one and the same."
    if share <= _SAID_BY_ROTE:
        return Finding("one_answer", "ok", f"No answer is more than {_SAID_BY_ROTE:.0%} of train's.")
    first = next(row for row in train if row.answer == answer)
    suspect = Suspect(first.id, first.split, label=answer[:_SHOWN])
    return Finding("one_answer", "note", text, n, (suspect,), details={"share": share})


def _lengths(rows: Sequence[Asked]) -> Finding:
    own = [row for row in rows if row.answer]
    if len(own) < _FEWEST:
        return Finding("length", "not checked", f"{counted(len(own), 'answer')}: what is usual needs {_FEWEST}.")
    letters = np.array([len(row.answer) for row in own], np.float64)
    far, middle = robust_distances(np.log(letters))
    order = [int(i) for i in np.argsort(-np.abs(far)) if abs(far[i]) > _FAR]
    usual = f"usual are {np.exp(middle):.0f} letters"
    if not order:
        return Finding("length", "ok", f"No answer is unusually short or long; {usual}.")
    suspects = tuple(Suspect(own[i].id, own[i].split, label=own[i].answer[:_SHOWN], score=letters[i]) for i in order)
    text = f"{counted(len(order), 'answer')} unusually short or long; {usual}."
    return Finding("length", "note", text, len(order), suspects)


def _read(rows: Sequence[Asked], most_tokens: int) -> list[Finding]:
    """Return what shows once a model has read the conversations."""
    if not any(row.read for row in rows):
        why = "No model was asked (--model)."
        return [Finding(check, "not checked", why) for check in ("unusable", "cut", "surprising")]
    found = [(row, row.read) for row in rows if row.read is not None]
    return [
        _simple(rows, "unusable", _why_unusable, "from which nothing can be learned",
                "every conversation has tokens to learn"),
        _simple(rows, "cut", _how_cut, f"whose answers end beyond the {most_tokens:,} tokens that are read: their ends"
                " are not learned", f"every answer ends within the {most_tokens:,} tokens that are read"),
        _surprising([(row, read.loss) for row, read in found if read.n_targets and not read.error]),
    ]  # fmt: skip


def _why_unusable(row: Asked) -> str:
    if row.read is None or (row.read.n_targets and not row.read.error):
        return ""
    return row.read.error or "no token carries loss"


def _how_cut(row: Asked) -> str:
    return f"{row.read.n_cut:,} tokens" if row.read is not None and row.read.n_cut else ""


def _surprising(rows: Sequence[tuple[Asked, float]]) -> Finding:
    """Return answers that surprise the model far more than the others."""
    if len(rows) < _FEWEST:
        return Finding("surprising", "not checked", "Too few answers.")
    losses = np.array([loss for _, loss in rows])
    far, middle = robust_distances(np.log(losses + 0.1))
    order = [int(i) for i in np.argsort(-far) if far[i] > _FAR]
    if not order:
        return Finding("surprising", "ok", "No answer surprises the model far more than the others.")
    suspects = tuple(
        Suspect(rows[i][0].id, rows[i][0].split, label=rows[i][0].answer[:_SHOWN], score=round(float(losses[i]), 3))
        for i in order
    )
    usual = np.exp(middle) - 0.1
    text = (
        f"{counted(len(order), 'answer')} that surprise the model far more than the others do (usual are"
        f" {usual:.2f} nats a token): perhaps wrong, or of another kind."
    )
    return Finding("surprising", "note", text, len(order), suspects)
