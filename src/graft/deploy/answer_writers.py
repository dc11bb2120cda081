"""Answers as JSON lines, a table or plain text, written as they come."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable
from typing import TextIO

from graft.core.errors import UsageError
from graft.deploy.answering import Answer

__all__ = ["ANSWER_WRITERS", "answer_writer"]


def _write_jsonl(answers: Iterable[Answer], file: TextIO) -> int:
    """Write an object an answer: id, messages with the answer, answer, whether it ended by itself, tokens."""
    n = 0
    for n, found in enumerate(answers, start=1):  # noqa: B007
        row = {
            "id": found.id,
            "messages": [*found.prompt.as_list(), {"role": "assistant", "content": found.text}],
            "answer": found.text,
            "has_ended": found.has_ended,
            "n_tokens": found.n_tokens,
        }
        more = {"reference": found.reference} if found.reference else {}
        file.write(json.dumps(row | more, ensure_ascii=False) + "\n")
        file.flush()
    return n


def _write_csv(answers: Iterable[Answer], file: TextIO) -> int:
    """Write a row an answer: id, last question, answer, whether it ended by itself."""
    rows = csv.writer(file, lineterminator="\n")
    rows.writerow(["id", "question", "answer", "has_ended"])
    n = 0
    for n, found in enumerate(answers, start=1):  # noqa: B007
        rows.writerow([found.id, found.prompt.messages[-1].content, found.text, found.has_ended])
        file.flush()
    return n


def _write_txt(answers: Iterable[Answer], file: TextIO) -> int:
    """Write a line an answer; line ends inside of it become spaces."""
    n = 0
    for n, found in enumerate(answers, start=1):  # noqa: B007
        file.write(" ".join(found.text.split()) + "\n")
        file.flush()
    return n


ANSWER_WRITERS: dict[str, Callable[[Iterable[Answer], TextIO], int]] = {
    "jsonl": _write_jsonl,
    "csv": _write_csv,
    "txt": _write_txt,
}


def answer_writer(form: str) -> Callable[[Iterable[Answer], TextIO], int]:
    """Return what writes answers in a form; empty: JSON lines.

    Raises
    ------
    UsageError
        When there is no such form.
    """
    form = form or "jsonl"
    if form not in ANSWER_WRITERS:
        raise UsageError(
            f"--format {form} for a language model",
            expected=", ".join(ANSWER_WRITERS),
            fix="name one of them, or an OUT that ends so",
        )
    return ANSWER_WRITERS[form]
