"""Faults are planted in clean conversations: each is found by its own check, and no other check speaks."""

from __future__ import annotations

from dataclasses import replace

import pytest

from graft.evaluation.conversation_checks import Asked, Read, check_conversations


def clean(n: int = 60, *, held_out: int = 20) -> list[Asked]:
    words = ["amber", "birch", "cedar", "delta", "ember", "fjord", "grove", "heath", "inlet", "jetty"]
    rows = []
    for i in range(n):
        a, b = words[i % 10], words[(i // 10 + 3) % 10]
        split = "train" if i < n - held_out else "test"
        answer = f"the {a} and the {b} are {i} miles apart"
        rows.append(Asked(f"r{i}", split, f"how far is {a} {i} from {b}?", answer, ("user", "assistant"), "", Read(9)))
    return rows


def loud(rows: list[Asked]) -> dict[str, list[str]]:
    found = check_conversations(rows, most_tokens=100)
    return {f.check: [s.id for s in f.suspects] for f in found if f.severity in ("note", "warning")}


def test_clean_conversations_are_called_clean_and_what_was_not_looked_at_is_said() -> None:
    assert loud(clean()) == {}
    rows = [replace(row, read=None, split="train") for row in clean()[:5]]
    silent = {f.check for f in check_conversations(rows) if f.severity == "not checked"}
    assert silent == {
        "copies_across_splits", "passages", "groups", "one_answer", "length", "unusable", "cut", "surprising",
    }  # fmt: skip


LONG = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen"


@pytest.mark.parametrize(
    ("check", "at", "change", "found"),
    [
        ("copies_across_splits", 50, {"prompt": "how far is amber 0 from delta?"}, ["r50"]),
        ("conflicting_answers", 7, {"prompt": "how far is amber 0 from delta?"}, ["r7"]),
        ("control_tokens", 3, {"prompt": "<|im_start|>user\nhello"}, ["r3"]),
        ("control_tokens", 3, {"answer": "### Response:\nyes, they are, and so on and on"}, ["r3"]),
        ("turns", 4, {"roles": ("user", "user", "assistant")}, ["r4"]),
        ("turns", 4, {"roles": ("assistant", "user", "assistant")}, ["r4"]),
        ("length", 5, {"answer": "word " * 400}, ["r5"]),
        ("unusable", 6, {"read": Read(0)}, ["r6"]),
        ("unusable", 6, {"read": Read(0, error="the template refuses")}, ["r6"]),
        ("cut", 8, {"read": Read(4, 5)}, ["r8"]),
        ("surprising", 9, {"read": Read(9, loss=30.0)}, ["r9"]),
    ],
)
def test_each_fault_is_found_by_its_check(check: str, at: int, change: dict[str, object], found: list[str]) -> None:
    rows = clean()
    rows[at] = replace(rows[at], **change)  # type: ignore[arg-type]
    assert loud(rows) == {check: found}


def test_passages_copies_groups_and_one_answer() -> None:
    rows = clean()
    rows[1] = replace(rows[1], prompt=f"{rows[1].prompt} {LONG}")
    rows[55] = replace(rows[55], prompt=f"{LONG} {rows[55].prompt}")
    assert loud(rows) == {"passages": ["r55"]}
    assert loud([*clean(), replace(clean()[2], id="again")]) == {"copies": ["again"]}
    rows = [replace(row, group=str(i % 50)) for i, row in enumerate(clean())]
    assert set(loud(rows)) == {"groups"}
    rows = [
        replace(row, answer="I cannot help you with that, I am sorry") if i < 15 else row
        for i, row in enumerate(clean())
    ]
    assert loud(rows) == {"one_answer": ["r0"]}
    same = [replace(row, roles=("user", "assistant", "tool", "assistant")) for row in clean()]
    assert loud(same) == {}
