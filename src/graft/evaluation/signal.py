"""Did the model learn more than the baselines: one claim for each of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from graft.core.types import Estimate
from graft.evaluation.baselines import BASELINE_WORDS
from graft.evaluation.claims import (
    ALPHA,
    Answer,
    Claim,
    Strength,
    more_to_tell,
    signed_points,
    span_points,
    strength_of_bound,
    strength_of_p,
    unsigned_points,
)
from graft.evaluation.comparisons import PairedBootstrap, PairedTest

__all__ = ["BLIND", "judge_signal"]

BLIND: Final = ("majority", "prior")
"""Baselines that look at no example: who does no better has learned nothing."""

WORTH_HAVING: Final = 0.02  # a lead below 2 points is taken for none
_FIGURES = {"accuracy": "", "macro_f1": " of macro F1", "mean_average_precision": " of mean average precision"}


def judge_signal(comparisons: Mapping[str, Any]) -> list[Claim]:
    """Return a claim a baseline: ``"signal"`` for one that looks at no example, ``"beats:<name>"`` for the others.

    Parameters
    ----------
    comparisons : `BaselineComparison` or `MultiLabelComparison` by the baseline's name, as `evaluate` gives them; their
        p-values are adjusted for the number of baselines.

    Notes
    -----
    'No' means that a lead of 2 points can be ruled out; where it cannot, the answer is that nothing can be told, and
    how many more examples would tell. Against a blind baseline both are called 'no signal'.
    """
    return [
        _claim(name, c.paired, c.adjusted_p_value, c.log_loss_difference, n_compared=len(comparisons))
        for name, c in comparisons.items()
    ]


def _claim(name: str, paired: PairedTest | PairedBootstrap, p_value: float, loss: Any, *, n_compared: int) -> Claim:
    metric, test = ("accuracy", "mcnemar-exact") if isinstance(paired, PairedTest) else (paired.metric, paired.test)
    difference = paired.difference
    words = BASELINE_WORDS.get(name, name)
    is_blind = name in BLIND
    question = "Did it learn anything?" if is_blind else f"Is it better than {words}?"
    evidence = {
        "difference": difference,
        "metric": metric,
        "log_loss_difference": loss,
        "smallest_detectable_difference": paired.smallest_detectable,
    }
    own = "signal" if is_blind else f"beats:{name}"
    answer, strength, n_more = _answer(difference, p_value)
    sentence = _sentence(words, difference, metric, answer=answer, p_value=p_value, is_blind=is_blind)
    if answer == "can't tell" and isinstance(difference, Estimate) and difference.low > 0:
        sentence += _why_no_proof(paired.p_value, p_value, test=test, n_compared=n_compared)
    if n_more is not None:
        sentence += f" About {n_more:,} more test examples would tell."
    elif answer == "can't tell" and paired.smallest_detectable is not None:
        sentence += (
            f" A test of this size sees differences from about {unsigned_points(paired.smallest_detectable)} up."
        )
    return Claim(own, question, answer, strength, sentence, evidence, test, p_value, paired.n, n_more)


def _why_no_proof(p_value: float, adjusted: float, *, test: str, n_compared: int) -> str:
    """Return why nothing is told of a lead whose interval lies above zero."""
    if p_value <= ALPHA:
        return f" One of {n_compared} comparisons; with that allowed for it may be chance (p = {adjusted:.2g})."
    if test == "permutation":
        return f" Guesses come as far: with the truth dealt out anew p = {p_value:.2g}."
    return f" By the test it may be chance (p = {p_value:.2g})."


def _answer(difference: Any, p_value: float) -> tuple[Answer, Strength, int | None]:
    value = difference.value or 0.0
    if p_value <= ALPHA and value != 0:
        return "yes" if value > 0 else "no", strength_of_p(p_value), None
    if isinstance(difference, Estimate):
        if difference.high < WORTH_HAVING:
            return "no", strength_of_bound(difference.high, WORTH_HAVING), None
        return "can't tell", "none", more_to_tell(difference, at_least=WORTH_HAVING)
    return "can't tell", "none", None


def _sentence(words: str, difference: Any, metric: str, *, answer: Answer, p_value: float, is_blind: bool) -> str:
    value = difference.value or 0.0
    figure = _FIGURES.get(metric, f" of {metric}")
    span = f" ({span_points(difference)})" if isinstance(difference, Estimate) else ""
    lead = f"{unsigned_points(value)}{figure}{span}"
    if answer == "yes":
        return f"Yes: {lead} above {words}."
    if is_blind:
        start = (
            "No signal: it does no better than"
            if answer == "no" or value <= 0
            else "No signal shown: this test is too small to tell it from"
        )
        return f"{start} {words} ({signed_points(value)}{figure}{', ' + span_points(difference) if span else ''})."
    if answer == "no" and p_value <= ALPHA:
        return f"No: {lead} below {words}."
    if answer == "no":
        return f"No: level with {words}, {signed_points(value)}{figure}{span}."
    return f"Can't tell: {signed_points(value)}{figure}{span} against {words}, which may be chance."
