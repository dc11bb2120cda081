"""How many words a recogniser loses to noise, a narrow band, another loudness and an echoing room."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from torch import nn

from graft.api.config import FitConfig
from graft.api.corruption_time import FEWEST_TO_JUDGE, MOST_EXAMPLES, budget_s
from graft.api.speech_data import SpeechData
from graft.core.devices import Precision
from graft.core.seeds import generator
from graft.data.corruptions.recordings import RECORDING_CORRUPTIONS
from graft.data.transcript_form import COMPARED
from graft.evaluation.speech import Transcripts, evaluate_speech
from graft.tasks.speech_recognition import SpeechRecognition

__all__ = ["judge_corrupted_speech"]

_SEVERITIES = (1, 3, 5)


def judge_corrupted_speech(
    task: SpeechRecognition,
    network: nn.Module,
    ready: SpeechData,
    config: FitConfig,
    *,
    most: int,
    precision: Precision,
    run_seconds: float,
) -> dict[str, Any]:
    """Return error rates on test utterances made worse; empty where too few are there, or none are wanted.

    Parameters
    ----------
    most : samples of a batch.
    run_seconds : of the run so far: without ``--corruptions all`` this may take a quarter more.

    Returns
    -------
    dict
        ``n``, ``plain`` and ``by`` (corruption, then severity: figures of `SpeechEvaluation.as_dict`); the same
        utterances in all. What there was no time for is lacking.

    Notes
    -----
    Severities are those of the corruptions of classified recordings: noise of 25, 12 and 0 dB, a band up to 0.7, 0.35
    and 0.16 of the highest frequency, 4, 14 and 26 dB quieter or louder and clipped, echoes of 0.2, 0.6 and 1.4 s.
    """
    rows = ready.rows["test"]
    if config.corruptions == "none" or (len(rows) < FEWEST_TO_JUDGE and config.corruptions != "all"):
        return {}
    rows = rows[np.sort(generator(config.seed, "corrupted").permutation(len(rows))[:MOST_EXAMPLES])]
    own = ready.utterances.select(rows)
    said = tuple(COMPARED(text) for text in own.texts)
    rate = task.model.sampling_rate_hz
    device = next(network.parameters()).device

    def judged(corruption: str | None, severity: int) -> dict[str, Any]:
        waveforms = []
        for row in rows.tolist():
            wave = np.asarray(ready.examples.waveforms[row])
            if corruption is not None:
                random = generator(config.seed, "corrupted", corruption, row)
                wave = np.asarray(RECORDING_CORRUPTIONS[corruption](wave, rate, severity, random), np.float32)
            waveforms.append(wave)
        texts = [""] * len(rows)
        order = sorted(range(len(rows)), key=lambda i: -len(waveforms[i]))
        while order:
            n = max(1, most // max(1, len(waveforms[order[0]])))
            part, order = order[:n], order[n:]
            batch = {k: t.to(device) for k, t in task.collate([waveforms[i] for i in part], [[]] * len(part)).items()}
            with precision.autocast(device):
                found = task.predict(network, batch).cpu().numpy()
            for place, tokens in zip(part, found, strict=True):
                texts[place] = COMPARED(task.written(tokens))
        name = own.group_name or "recording"
        return evaluate_speech(Transcripts(tuple(own.ids), said, tuple(texts), own.groups, name)).as_dict()

    started, limit = time.monotonic(), budget_s(config, run_seconds)
    network.eval()
    plain = judged(None, 0)
    each = time.monotonic() - started
    by: dict[str, dict[str, Any]] = {}
    for severity in (3, 5, 1):  # the middle first, should time end
        for corruption in RECORDING_CORRUPTIONS:
            if time.monotonic() - started + each > limit:
                break
            by.setdefault(corruption, {})[str(severity)] = judged(corruption, severity)
    return {"n": len(rows), "plain": plain, "by": by, "severities": list(_SEVERITIES)}
