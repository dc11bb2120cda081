"""What a recogniser's report says beside the untouched checkpoint, and of its way to decode."""

from __future__ import annotations

from typing import Any

import pytest

from graft.report.speech import speech_sentences

SPEAKER = "no interval: not estimable from 1 speaker: 10 are needed"


def figures(wer: float, **more: Any) -> dict[str, Any]:
    rate = {"value": wer, "low": None, "high": None, "n": 1, "method": SPEAKER, "level": 0.95}
    return {"wer": rate, "cer": rate, "n_utterances": 8, "n_clusters": 1, "clusters": "speaker", **more}


def told(test: float, before: float, *, p_value: float, kept: str = "fine-tuned", beam: bool = False) -> str:
    paired = {"difference": {}, "p_value": p_value}
    metrics: dict[str, Any] = {
        "test": figures(test),
        "baselines": {"zero-shot": figures(before, paired=paired)},
        "strategy": {"kept": kept, "why": "as it is"},
    }
    if beam:
        metrics["decoding"] = {"width": 16, "n_words": 10, "weight": 0.5, "bonus": 1.0, "chosen_on": 8}
        metrics["baselines"]["greedy decoding"] = figures(0.3)
    return (
        " ".join(speech_sentences(metrics)).replace("\N{NO-BREAK SPACE}", " ").replace("\N{NARROW NO-BREAK SPACE}", " ")
    )


@pytest.mark.parametrize(
    ("test", "before", "p_value", "words"),
    [
        (0.1, 0.3, 0.01, "fine-tuning paid, on further utterances of these speakers too (p = 0.010)"),
        (0.1, 0.3, 0.4, "chance alone may make such a difference (p = 0.40)"),
        (0.28, 0.12, 0.01, "fine-tuning made it worse (p = 0.010), which valid did not show"),
    ],
)
def test_what_fine_tuning_did_on_test(test: float, before: float, p_value: float, words: str) -> None:
    assert words in told(test, before, p_value=p_value)


def test_an_untouched_checkpoint_that_stays_is_not_compared_with_itself() -> None:
    said = told(0.12, 0.12, p_value=1.0, kept="untouched")
    assert "This is the untouched checkpoint, as fine-tuning did not help." in said
    assert "decoded alike" not in said


def test_one_speaker_is_one_and_said_once_and_the_pipeline_has_no_beam() -> None:
    said = told(0.1, 0.3, p_value=0.01, beam=True)
    assert "8 utterances of 1 speaker that training did not hear" in said
    assert said.count("10 are needed") == 1
    assert "as transformers.pipeline decodes, 30.0 % of words are wrong" in said
