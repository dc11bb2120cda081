"""Would more hours of speech help: a power law of word errors over the amount of speech that was learned from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from graft.core.errors import DataError
from graft.evaluation.claims import Claim, Strength
from graft.evaluation.learning_curve import MOST_TIMES, fit_learning_curve
from graft.evaluation.speech import Transcripts
from graft.evaluation.word_errors import word_errors

__all__ = ["FEWEST_JUDGED", "judge_more_speech"]

FEWEST_JUDGED: Final = 50  # utterances, under which nothing can be told
WORTH_SAYING: Final = 0.01  # share of words
_GROUPS = 10  # of judged utterances, each with a learning curve of its own
_QUESTION = "Would more hours of speech help?"


def judge_more_speech(
    hours: Sequence[float], n_utterances: Sequence[int], heard: Sequence[Transcripts], *, seed: int = 0
) -> Claim:
    """Return whether twice the speech would leave fewer words of new utterances wrong, and how many fewer.

    Parameters
    ----------
    hours, n_utterances : what each model learned from, at least five different amounts; the largest is what is at hand.
    heard : what each makes of the same held-out utterances, at least 50.
    seed : of the curves.

    Raises
    ------
    DataError
        When there are too few amounts or utterances, or the utterances differ.

    Notes
    -----
    The held-out utterances are dealt into ten groups of whole utterances, and each is one draw of `fit_learning_curve`.
    One model was trained an amount, so what another choice of speech would have changed is not in the interval.
    """
    n = len(heard[0]) if heard else 0
    if n < FEWEST_JUDGED or any(one.ids != heard[0].ids for one in heard):
        raise DataError(f"{n} judged utterances", expected=f"at least {FEWEST_JUDGED}, the same for all amounts")
    group = np.random.default_rng(seed).permutation(n) % _GROUPS
    rates = np.array([_rates(one, group) for one in heard])
    scale = max(1.0, 1.01 * float(rates.max()))  # more words may be heard than were said
    curve = fit_learning_curve(n_utterances, 1 - rates / scale, n_now=max(n_utterances), seed=seed)
    twice, most = (curve.gain(times * curve.n_now).scaled(scale) for times in (2, MOST_TIMES))
    observed = [
        {"hours": h, "n": size, "wer": float(row.mean())}
        for h, size, row in zip(hours, n_utterances, rates, strict=True)
    ]
    evidence = {"twice": twice, "four_times": most, "hours": max(hours), "observed": observed}
    told = (
        f"twice the {_amount(max(hours))}: {100 * twice.value:.1f} points fewer words wrong"
        f" ({100 * twice.low:.1f} to {100 * twice.high:.1f}); four times: {100 * most.value:.1f} fewer"
    )
    test, name = "power law over hours of speech", "more_data"
    if twice.low > WORTH_SAYING / 2 and twice.value >= WORTH_SAYING:
        strength: Strength = "moderate" if twice.low > WORTH_SAYING else "weak"
        return Claim(name, _QUESTION, "yes", strength, f"Yes: {told}.", evidence, test, None, n)
    if twice.high < 2 * WORTH_SAYING:
        strength = "moderate" if twice.high < WORTH_SAYING else "weak"
        return Claim(name, _QUESTION, "no", strength, f"Hardly: {told}.", evidence, test, None, n)
    return Claim(name, _QUESTION, "can't tell", "none", f"Perhaps: {told}.", evidence, test, None, n)


def _rates(heard: Transcripts, group: np.ndarray) -> list[float]:
    counts = [word_errors(said, found) for said, found in zip(heard.said, heard.heard, strict=True)]
    errors = np.bincount(group, weights=[c.errors for c in counts], minlength=_GROUPS)
    said = np.bincount(group, weights=[c.n for c in counts], minlength=_GROUPS)
    return [float(rate) for rate in errors / np.maximum(said, 1)]


def _amount(hours: float) -> str:
    return f"{hours:.1f} hours" if hours >= 1 else f"{60 * hours:.1f} minutes"
