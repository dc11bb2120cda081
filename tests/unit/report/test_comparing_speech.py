from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from graft.core.errors import DataError
from graft.evaluation.speech import Transcripts
from graft.report.comparing_speech import compare_recognisers, print_speech_comparison, write_speech_comparison

NAMES = ("first", "second")


def heard(n_speakers: int = 12, wrong: int = 0) -> Transcripts:
    """Return four utterances of each speaker; of the first `wrong` of each, one word of two is wrong."""
    ids = tuple(f"{speaker}-{i}" for speaker in range(n_speakers) for i in range(4))
    texts = tuple("one nine" if int(name[-1]) < wrong else "one five" for name in ids)
    clusters = np.repeat(np.arange(n_speakers), 4)
    return Transcripts(ids, ("one five",) * len(ids), texts, clusters, "speaker")


def test_the_better_one_is_named_with_its_points() -> None:
    b = heard(wrong=3)
    b = replace(b, heard=("two nine", *b.heard[1:]))  # one speaker differs, so that there is an interval
    found = compare_recognisers(heard(), b, names=NAMES)
    assert found.difference["value"] == pytest.approx(-37 / 96)
    assert "first" in found.sentence.split(" is better than ")[0]
    assert found.n_better == (36, 0)
    assert found.differing[0]["id"] == "0-0"
    assert found.differing[0]["errors"] == (0, 2)
    turned = compare_recognisers(b, heard(), names=NAMES)
    assert "second" in turned.sentence.split(" is better than ")[0]


def test_a_model_against_itself_and_few_speakers_claim_nothing() -> None:
    same = compare_recognisers(heard(wrong=2), heard(wrong=2), names=NAMES)
    assert " is better than " not in same.sentence
    assert not same.differing
    few = compare_recognisers(heard(3), heard(3, wrong=2), names=NAMES)
    assert "not estimable from 3 speakers" in few.sentence


def test_only_common_utterances_count_in_any_order() -> None:
    a, b = heard(wrong=1), heard(wrong=2)
    order = np.random.default_rng(0).permutation(len(b))[:40]
    shuffled = Transcripts(
        tuple(b.ids[i] for i in order), tuple(b.said[i] for i in order), tuple(b.heard[i] for i in order), order * 0
    )
    found = compare_recognisers(a, shuffled, names=NAMES)
    common = set(shuffled.ids)
    assert found.difference["value"] == pytest.approx(-sum(name[-1] == "1" for name in common) / 80)
    assert found.n_only == (8, 0)
    with pytest.raises(DataError, match="share 1 of them"):
        compare_recognisers(a, replace(b, ids=(b.ids[0], *(f"x{i}" for i in b.ids[1:]))), names=NAMES)
    with pytest.raises(DataError, match="other texts"):
        compare_recognisers(a, replace(b, said=("two", *b.said[1:])), names=NAMES)


def test_page_holds_both_and_no_mark_of_the_data(tmp_path: Path) -> None:
    a = replace(heard(), heard=("<b>one</b> five", *heard().heard[1:]))
    found = compare_recognisers(a, heard(wrong=1), names=("<script>", "second"))
    write_speech_comparison(tmp_path / "page.html", found)
    page = (tmp_path / "page.html").read_text()
    assert "<script>" not in page
    assert "<del>five</del> <ins>nine</ins>" in page
    console = Console(file=io.StringIO(), width=120)
    print_speech_comparison(found, console=console)
    assert "48 test utterances of 12 speakers" in console.file.getvalue()  # type: ignore[attr-defined]
