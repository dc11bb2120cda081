"""Conversations in every form, and rows that are none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from graft.core.errors import DataError, UsageError
from graft.data.conversation_files import is_conversational, read_conversations, read_prompts

TURNS = [{"role": "user", "content": "2 + 2?"}, {"role": "assistant", "content": "4"}]
FORMS: dict[str, dict[str, Any]] = {
    "messages": {"messages": TURNS},
    "sharegpt": {"conversations": [{"from": "human", "value": "2 + 2?"}, {"from": "gpt", "value": "4"}]},
    "prompt-completion": {"prompt": "2 + 2?", "completion": "4"},
    "alpaca": {"instruction": "2 + 2?", "input": "", "output": "4"},
}


def write(place: Path, rows: list[dict[str, Any]]) -> Path:
    place.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return place


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_recognised_and_gives_the_same_turns(tmp_path: Path, form: str) -> None:
    place = write(tmp_path / "a.jsonl", [FORMS[form]] * 2)
    assert is_conversational(place)
    found = read_conversations(place)
    assert found.train.form == form
    assert form in found.notes[0]
    assert found.train[0].as_list() == TURNS


@pytest.mark.parametrize("suffix", ["json", "parquet"])
def test_other_files_hold_the_same(tmp_path: Path, suffix: str) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    calls = [{"type": "function", "function": {"name": "add", "arguments": {"a": 2}}}]
    rows = [{"messages": [*TURNS, {"role": "assistant", "content": None, "tool_calls": calls}]}, {"messages": TURNS}]
    place = tmp_path / f"a.{suffix}"
    if suffix == "json":
        place.write_text(json.dumps(rows))
    else:
        pq.write_table(pa.Table.from_pylist(rows), place)
    first, second = read_conversations(place).train
    assert first.messages[2].more["tool_calls"] == calls
    assert second.as_list() == TURNS  # without the empty entries that Arrow fills structs up with


def test_tools_parts_and_chats_as_prompts(tmp_path: Path) -> None:
    tools = [{"type": "function", "function": {"name": "add"}}]
    parts = [{"type": "text", "text": "2 + "}, {"type": "text", "text": "2?"}]
    rows = [
        {"prompt": [{"role": "user", "content": parts}], "completion": [TURNS[1]], "tools": json.dumps(tools)},
        {"prompt": [TURNS[0]], "completion": "4", "tools": None},
    ]
    first, second = read_conversations(write(tmp_path / "a.jsonl", rows)).train
    assert first.as_list() == second.as_list() == TURNS
    assert list(first.tools) == tools
    assert second.tools == ()


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ({"messages": [{"role": "usr", "content": "a"}, TURNS[1]]}, r"line 2, message 1 has the role 'usr'.*'user'"),
        ({"messages": [TURNS[0], {"role": "assistant", "content": " "}]}, "line 2 has an empty answer"),
        ({"messages": [TURNS[0]]}, "line 2 has no assistant turn: it holds user"),
        ({"messages": []}, "line 2 holds no message"),
        ({"messages": "hello"}, "line 2: 'messages' is a text that is no JSON"),
        ({"messages": [{"content": "a"}]}, "line 2, message 1 has no role"),
        ({"messages": [{"role": "user", "content": [{"type": "image"}]}]}, "'content' holds list"),
    ],
)
def test_hostile_rows_are_named(tmp_path: Path, row: dict[str, Any], told: str) -> None:
    place = write(tmp_path / "a.jsonl", [{"messages": TURNS}, row])
    with pytest.raises(DataError, match=told):
        read_conversations(place)
    found = read_conversations(place, skip_unusable=True)
    assert (len(found.train), found.n_dropped) == (1, 1)
    assert "1 row left out" in found.notes[1]


def test_an_unknown_form_and_unknown_columns_are_told(tmp_path: Path) -> None:
    place = write(tmp_path / "a.jsonl", [{"quest": "a", "reply": "b"}])
    assert not is_conversational(place)
    with pytest.raises(DataError, match="no form of conversations has the columns quest, reply"):
        read_conversations(place)
    with pytest.raises(UsageError, match="Did you mean 'alpaca'"):
        read_conversations(write(tmp_path / "b.jsonl", [FORMS["alpaca"]]), form="alpacca")


def test_a_form_that_is_named_goes_before_the_columns(tmp_path: Path) -> None:
    row = {**FORMS["alpaca"], "prompt": "another", "completion": "answer"}
    place = write(tmp_path / "a.jsonl", [row])
    assert read_conversations(place).train[0].answer == "answer"
    assert read_conversations(place, form="alpaca").train[0].answer == "4"


def test_splits_of_files_and_of_a_column(tmp_path: Path) -> None:
    for name in ("train", "test"):
        write(tmp_path / f"{name}.jsonl", [FORMS["alpaca"]])
    found = read_conversations(tmp_path)
    assert found.test is not None
    assert {found.train[0].id, found.test[0].id} == {"train/0", "test/0"}
    rows = [{**FORMS["alpaca"], "split": name} for name in ("train", "train", "validation")]
    found = read_conversations(write(tmp_path / "one.jsonl", rows))
    assert found.valid is not None
    assert (len(found.train), len(found.valid), found.valid[0].place.rpartition(", ")[2]) == (2, 1, "line 3")


def test_equal_questions_are_one_group(tmp_path: Path) -> None:
    rows = [FORMS["alpaca"], {**FORMS["alpaca"], "output": "four"}, {**FORMS["alpaca"], "instruction": "3 + 3?"}]
    assert read_conversations(write(tmp_path / "a.jsonl", rows)).train.groups.tolist() == [0, 0, 1]
    rows = [{**row, "user": name} for row, name in zip(rows, "aba", strict=True)]
    named = read_conversations(write(tmp_path / "b.jsonl", rows), group_column="user").train
    assert named.groups.tolist() == [0, 1, 0]


def test_prompts_need_no_answer_and_may_have_one(tmp_path: Path) -> None:
    rows = [{"messages": TURNS}, {"messages": [*TURNS, TURNS[0]]}]
    asked = list(read_prompts(write(tmp_path / "a.jsonl", rows)))
    assert [len(found.prompt.messages) for found in asked] == [1, 3]
    assert [found.answer for found in asked] == ["4", "4"]
    (tmp_path / "b.txt").write_text("one?\n\ntwo?\n")
    assert [prompt.messages[-1].content for prompt in read_prompts(tmp_path / "b.txt")] == ["one?", "two?"]
    (tmp_path / "c.jsonl").write_text('{"prompt": ""}')
    with pytest.raises(DataError, match="line 1 has an empty prompt"):
        list(read_prompts(tmp_path / "c.jsonl"))
