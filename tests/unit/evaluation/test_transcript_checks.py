"""Each check names what was spoiled, and nothing of data that are as they should be."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from graft.evaluation.transcript_checks import Heard, Spoken, check_transcripts


def rows(n: int) -> list[Spoken]:
    random = np.random.default_rng(0)
    found = []
    for i in range(n):
        seconds = float(random.uniform(2, 4))
        text = " ".join(["words"] * round(2 * seconds)) + f" {i}"
        split = "test" if i % 5 == 0 else "train"
        heard = Heard(text, float(random.uniform(0.5, 2.0)) * seconds)
        found.append(Spoken(f"u{i}", split, text, f"{split}{i % 3}", f"d{i}", seconds, 0.8, 0.0, heard=heard))
    return found


def findings(spoken: list[Spoken]) -> dict[str, tuple[str, list[str]]]:
    return {f.check: (f.severity, [s.id for s in f.suspects]) for f in check_transcripts(spoken)}


def test_good_data_are_said_to_be_good() -> None:
    assert {severity for severity, _ in findings(rows(60)).values()} == {"ok"}


def test_what_is_spoiled_is_named() -> None:
    spoken = rows(60)
    spoken[7] = replace(spoken[7], heard=Heard("something else", 400.0))
    spoken[8] = replace(spoken[8], heard=Heard("", float("inf")))
    spoken[11] = replace(spoken[11], text="o")
    spoken[12] = replace(spoken[12], seconds=60.0)
    spoken[15] = replace(spoken[15], digest=spoken[1].digest, text=spoken[1].text)
    spoken[16] = replace(spoken[16], speaker="test0")
    found = findings(spoken)
    assert set(found["label_errors"][1]) == {"u7", "u8"}
    assert "u11" in found["speaking_rate"][1]
    assert found["length"][1] == ["u12"]
    assert found["copies_across_splits"] == ("warning", ["u15"])
    assert found["sentences"][1] == ["u15"]
    assert found["groups"] == ("warning", ["test0"])


def test_few_utterances_and_unnamed_speakers_are_not_judged() -> None:
    found = findings([replace(row, speaker="", heard=None) for row in rows(8)])
    assert found["groups"][0] == found["length"][0] == found["label_errors"][0] == "not checked"


def test_transcripts_that_cannot_be_said_in_their_time_are_named() -> None:
    spoken = rows(60)
    spoken[3] = replace(spoken[3], text="seven " * 80, seconds=2.0)
    spoken[4] = replace(spoken[4], heard=Heard("", float("inf")))
    assert findings(spoken)["impossible"] == ("warning", ["u3", "u4"])


def test_without_a_held_out_split_nothing_is_said_of_both_sides() -> None:
    found = findings([replace(row, split="train") for row in rows(60)])
    assert {found[name][0] for name in ("copies_across_splits", "groups", "sentences")} == {"not checked"}
