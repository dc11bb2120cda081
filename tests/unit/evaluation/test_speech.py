"""Word errors against a plain recursion, and intervals over speakers."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from graft.core.errors import DataError
from graft.core.types import Estimate
from graft.evaluation.intervals import NoInterval
from graft.evaluation.speech import Transcripts, error_rate, evaluate_speech, paired_p_value
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


def two_models(random: np.random.Generator, n: int, *, lead: float) -> tuple[Transcripts, Transcripts]:
    said = ("one two three four five",) * n
    a, b = (
        tuple(" ".join(word if random.random() < right else "x" for word in text.split()) for text in said)
        for right in (0.6 + lead, 0.6)
    )
    ids, speakers = tuple(f"u{i}" for i in range(n)), np.zeros(n, np.int64)
    return Transcripts(ids, said, a, speakers, "speaker"), Transcripts(ids, said, b, speakers, "speaker")


def test_chance_alone_is_called_a_difference_in_one_of_twenty() -> None:
    random = np.random.default_rng(5)
    found = [paired_p_value(*two_models(random, 30, lead=0.0), n_draws=499) for _ in range(400)]
    assert np.mean(np.array(found) <= 0.05) <= 0.075  # 5 % and two standard errors
    assert paired_p_value(*two_models(random, 60, lead=0.2)) < 0.01


def test_all_signs_are_counted_where_they_are_few() -> None:
    from scipy.stats import permutation_test

    a, b = two_models(np.random.default_rng(2), 9, lead=0.1)
    gaps = [
        word_errors(s, x).errors - word_errors(s, y).errors for s, x, y in zip(a.said, a.heard, b.heard, strict=True)
    ]
    theirs = permutation_test(
        (gaps, [0] * len(gaps)), lambda x, y, axis: (x - y).sum(axis=axis), permutation_type="samples", vectorized=True
    ).pvalue
    assert paired_p_value(a, b) == pytest.approx(theirs)
    assert paired_p_value(a, a) == 1.0
    with pytest.raises(DataError, match="other utterances"):
        paired_p_value(a, Transcripts(a.ids[:-1], a.said[:-1], a.heard[:-1], a.clusters[:-1]))
