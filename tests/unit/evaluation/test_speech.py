"""Word errors against a plain recursion, and intervals over speakers."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from graft.core.errors import DataError
from graft.core.types import Estimate
from graft.evaluation.intervals import NoInterval
from graft.evaluation.speech import Transcripts, error_rate, evaluate_speech
from graft.evaluation.word_errors import align, count_errors, word_errors


def distance(a: str, b: str) -> int:
    @cache
    def of(i: int, j: int) -> int:
        if not i or not j:
            return i + j
        return min(of(i - 1, j) + 1, of(i, j - 1) + 1, of(i - 1, j - 1) + (a[i - 1] != b[j - 1]))

    return of(len(a), len(b))


def test_errors_equal_levenshtein_and_the_alignment_spells_both() -> None:
    random = np.random.default_rng(0)
    for _ in range(200):
        a, b = ("".join(random.choice(list("abc"), random.integers(0, 9))) for _ in range(2))
        counts, edits = count_errors(a, b), align(a, b)
        assert counts.errors == distance(a, b)
        assert "".join(e.said for e in edits) == a
        assert "".join(e.heard for e in edits) == b
        assert counts.n + counts.inserted - counts.deleted == len(b)


def test_known_counts() -> None:
    found = word_errors("the cat sat on the mat", "the cat sit on mat now")
    assert (found.n, found.substituted, found.deleted, found.inserted) == (6, 1, 1, 1)
    assert word_errors("", "a").rate == float("inf")
    assert error_rate(["a b", "c d"], ["a b", "c x"]) == 0.25


def test_jiwer_agrees() -> None:
    import jiwer

    said, heard = ["one two three", "four five"], ["one three three x", "five"]
    assert error_rate(said, heard) == pytest.approx(jiwer.wer(said, heard))


def made(n_speakers: int) -> Transcripts:
    random = np.random.default_rng(1)
    said = ["one two three four"] * (4 * n_speakers)
    heard = ["one two three four" if random.random() < 0.5 else "one two tree" for _ in said]
    ids = tuple(f"u{i}" for i in range(len(said)))
    return Transcripts(ids, tuple(said), tuple(heard), np.repeat(np.arange(n_speakers), 4), "speaker")


def test_interval_over_speakers_and_none_of_few() -> None:
    many = evaluate_speech(made(40))
    assert isinstance(many.wer, Estimate)
    assert many.wer.n == 40
    assert many.wer.low < many.wer.value < many.wer.high
    assert many.wer.value == pytest.approx(many.words.rate)
    few = evaluate_speech(made(9))
    assert isinstance(few.wer, NoInterval)
    assert "not estimable from 9 speakers: 10 are needed" in few.wer.reason
    assert few.as_dict()["wer"]["value"] == pytest.approx(few.words.rate)
    with pytest.raises(DataError):
        evaluate_speech(Transcripts((), (), (), np.zeros(0, np.int64)))
