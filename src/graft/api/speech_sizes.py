"""Would more hours of speech help: the same training on parts of the speech, each judged on the same utterances."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graft.api.speech_data import SpeechData
from graft.core.seeds import generator
from graft.evaluation.more_speech import FEWEST_JUDGED, judge_more_speech
from graft.evaluation.speech import Transcripts

__all__ = ["judge_hours"]

_HALVINGS = 4
_FEWEST = 2  # utterances of the smallest part


def judge_hours(
    ready: SpeechData,
    whole: Transcripts,
    *,
    heard_after: Callable[[NDArray[np.int64]], Transcripts],
    seed: int,
    say: Callable[[str], None],
) -> dict[str, Any] | None:
    """Return the claim on more speech after training on a 16th, an 8th, a quarter, a half and all; None: too little.

    Parameters
    ----------
    whole : what the network that was trained on all makes of the test utterances.
    heard_after : trains on some of the training utterances, and gives what is then heard in the same test utterances.

    Notes
    -----
    Each part holds the smaller ones. Together they take about as long as the training on all did.
    """
    rows = ready.rows["train"]
    if len(whole) < FEWEST_JUDGED or len(rows) < _FEWEST * 2**_HALVINGS:
        say(
            f"whether more speech would help cannot be told from {len(rows):,} training and {len(whole):,} test"
            f" utterances: {_FEWEST * 2**_HALVINGS} and {FEWEST_JUDGED} are needed"
        )
        return None
    order: Any = rows[generator(seed, "parts").permutation(len(rows))]
    parts = [np.sort(order[: len(rows) // 2**halvings]) for halvings in range(_HALVINGS, 0, -1)]
    heard = []
    for part in parts:
        say(f"training on {len(part):,} of {len(rows):,} utterances, to see whether more would help")
        heard.append(heard_after(part))
    lengths, rate = ready.examples.waveforms.lengths, ready.examples.rate_hz
    hours = [float(lengths[part].sum()) / rate / 3600 for part in (*parts, rows)]
    claim = judge_more_speech(hours, [len(part) for part in (*parts, rows)], [*heard, whole], seed=seed)
    say(claim.sentence)
    return claim.as_dict()
