from __future__ import annotations

import numpy as np
import pytest

from graft.core.errors import DataError
from graft.evaluation.more_speech import judge_more_speech
from graft.evaluation.speech import Transcripts

SIZES = [25, 50, 100, 200, 400]
HOURS = [n / 400 for n in SIZES]


def heard(share: float, n: int = 300) -> Transcripts:
    """Return utterances of ten words, of which a share is wrong, the same words at any larger share."""
    wrong = np.random.default_rng(0).random((n, 10)) < share
    texts = tuple(" ".join("x" if is_wrong else "a" for is_wrong in row) for row in wrong)
    return Transcripts(tuple(f"{i}" for i in range(n)), ("a " * 9 + "a",) * n, texts, np.arange(n))


def test_errors_that_fall_with_the_hours_go_on_falling() -> None:
    claim = judge_more_speech(HOURS, SIZES, [heard(0.9 * (25 / n) ** 0.5) for n in SIZES])
    assert claim.answer == "yes"
    now = 0.9 * (25 / 400) ** 0.5
    assert claim.evidence["twice"].value == pytest.approx(now * (1 - 0.5**0.5), abs=0.02)
    assert [line["n"] for line in claim.evidence["observed"]] == SIZES
    assert claim.evidence["observed"][-1]["wer"] == pytest.approx(now, abs=0.02)
    assert "twice the 1.0 hours" in claim.sentence


def test_errors_that_stay_will_stay() -> None:
    claim = judge_more_speech(HOURS, SIZES, [heard(0.05)] * 5)
    assert claim.answer == "no"


def test_more_words_heard_than_said_are_no_error_of_the_fit() -> None:
    many = heard(1.0)
    many = Transcripts(many.ids, many.said, tuple("x " * 30 for _ in many.ids), many.clusters)
    claim = judge_more_speech(HOURS, SIZES, [many, many, heard(0.9), heard(0.6), heard(0.4)])
    assert claim.evidence["observed"][0]["wer"] == pytest.approx(3.0)


def test_too_little_is_refused() -> None:
    with pytest.raises(DataError, match="at least 50"):
        judge_more_speech(HOURS, SIZES, [heard(0.1, n=40)] * 5)
    with pytest.raises(DataError, match="the same for all"):
        judge_more_speech(HOURS, SIZES, [heard(0.1, n=100), *[heard(0.1, n=99)] * 4])
