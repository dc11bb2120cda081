"""Reports of recognisers whose names, transcripts and notes are hostile."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from pages import HOSTILE, sound

from graft.evaluation.speech import Transcripts, evaluate_speech
from graft.report.comparing_speech import compare_recognisers, write_speech_comparison
from graft.report.speech import write_speech_report

N = 30


def transcripts(n_wrong: int) -> Transcripts:
    """Return utterances of six speakers, the first `n_wrong` of them with a word missed, one changed and one added."""
    said = [f"{HOSTILE[i % len(HOSTILE)][:400]} and word {i} of them" for i in range(N)]
    heard = [
        " ".join([*text.split()[1:-1], f"<b>{HOSTILE[(i + 1) % len(HOSTILE)][:400]}</b>", "more"])
        if i < n_wrong
        else text
        for i, text in enumerate(said)
    ]
    ids = tuple(f"{i} {HOSTILE[i % len(HOSTILE)]}" for i in range(N))
    return Transcripts(ids, tuple(said), tuple(heard), np.arange(N) % 6, "speaker")


def write_speech(path: Path) -> Path:
    """Write the report of a recogniser."""
    found, before = (evaluate_speech(transcripts(n)).as_dict() for n in (24, 28))
    levels: dict[str, Any] = {str(severity): {"wer": found["wer"]} for severity in (1, 3)}
    metrics = {
        "test": found,
        "held_out": {"valid": found},
        "baselines": {
            "zero-shot": {**before, "paired": {"p_value": 0.01}},
            "greedy decoding": before,
        },
        "strategy": {
            "kept": "fine-tuned",
            "why": f"kept because {HOSTILE[1]}",
            "history": [{"step": 10 * i, "log_loss": 1.5 / i, "wer": 0.5 / i, "cer": 0.2 / i} for i in range(1, 9)],
            "best_step": 80,
        },
        "decoding": {"width": 32, "n_words": 11, "weight": 0.5, "bonus": 1.0, "chosen_on": 20},
        "corruptions": {"n": 30, "plain": found, "severities": [1, 3, 5], "by": {"noise": levels, HOSTILE[1]: levels}},
        "suspects": [{"id": f"{i}{text}", "said": text, "heard": text, "loss": 3.1} for i, text in enumerate(HOSTILE)],
        "more_data": {
            "question": "Would more hours of speech help?",
            "sentence": "Twice as much would probably take 1 to 3 points off.",
            "evidence": {"observed": [{"n": n, "hours": n / 900, "wer": 0.9 - n / 200} for n in (10, 20, 40, 80)]},
        },
        "compared": "words in lower case, without punctuation",
    }
    write_speech_report(
        path,
        metrics=metrics,
        manifest={
            "title": HOSTILE[0] + "t" * 80,
            "notes": ["word" * 40, *HOSTILE],
            "command": "graft fit " + "a/very/long/path" * 12,
            "splits": {name: {"n": 30, "seconds": 90.0, "n_left_out": 1} for name in ("train", "valid", "test")},
        },
        transcripts=transcripts(24),
        sound=lambda i: sound(),
    )
    return path


def write_comparison_of_speech(path: Path) -> Path:
    """Write the comparison of two recognisers with hostile names."""
    found = compare_recognisers(transcripts(24), transcripts(15), names=(HOSTILE[0], "b" * 90))
    write_speech_comparison(path, found)
    return path
