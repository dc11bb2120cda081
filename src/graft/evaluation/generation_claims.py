"""Claims from generated texts: do they end, do they repeat, do they recite, was the test seen in training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from graft.core.text import THIN, percent
from graft.core.types import Estimate
from graft.evaluation.claims import ALPHA, Claim, not_judged, strength_of_bound, strength_of_p, unsigned_points
from graft.evaluation.comparisons import PairedBootstrap, PairedTest, holm, mcnemar_exact
from graft.evaluation.generations import Generations, compare_scores, mean_score, share_ended
from graft.evaluation.intervals import proportion
from graft.evaluation.repetition import ends_in_loop, repeated_shares
from graft.evaluation.shared_passages import LONG, contaminated, recited

__all__ = ["ScoreComparison", "compare_with", "judge_contamination", "judge_recital", "judge_repetition", "judge_stops"]

SHOULD_STOP: Final = 0.95
_WORTH_SAYING: Final = 0.05  # share of texts that loop or recite
_WORTH_REPEATING: Final = 0.02  # share of repeated n-grams above that of the true answers


@dataclass(frozen=True)
class ScoreComparison:
    """A model's scores against a baseline's on the same examples, as `graft.evaluation.signal.judge_signal` takes it.

    Parameters
    ----------
    paired : the test.
    adjusted_p_value : for the number of baselines.
    log_loss_difference : of the loss per answer token, model less baseline; None where it is not known.
    """

    paired: PairedTest | PairedBootstrap
    adjusted_p_value: float
    log_loss_difference: Any = None


def compare_with(
    own: NDArray[np.float64],
    others: Mapping[str, NDArray[np.float64]],
    *,
    metric: str,
    is_share: bool,
    losses: Mapping[str, Any] | None = None,
    seed: int = 0,
) -> dict[str, ScoreComparison]:
    """Return the comparison with each baseline, p-values adjusted for their number.

    Parameters
    ----------
    own : (n_examples,), the model's scores.
    others : by baseline, its scores of the same examples in the same order.
    losses : by baseline, model less baseline, where known.
    """
    tests = {
        name: compare_scores(own, scores, metric=metric, is_share=is_share, seed=seed)
        for name, scores in others.items()
    }
    adjusted = holm([test.p_value for test in tests.values()])
    known = losses or {}
    return {
        name: ScoreComparison(test, p, known.get(name)) for (name, test), p in zip(tests.items(), adjusted, strict=True)
    }


def judge_stops(generations: Generations) -> Claim:
    """Return whether the model stops by itself, in at least 95 of 100 texts."""
    question, share, n = "Does it stop by itself?", share_ended(generations), len(generations)
    if not isinstance(share, Estimate):
        return not_judged("stops", question, why="nothing was generated")
    k = int(generations.ended.sum())
    told = f"{k:,} of {n:,} texts end by themselves ({_span(share)})"
    if k < n:
        told += f"; the others were cut off after {int(generations.n_tokens[~generations.ended].max()):,} tokens"
    facts = {"ended": share}
    test = f"{share.method} interval against {100 * SHOULD_STOP:.0f}{THIN}%"
    if share.low >= SHOULD_STOP:
        strength = strength_of_bound(1 - share.low, 2 * (1 - SHOULD_STOP))
        return Claim("stops", question, "yes", strength, f"Yes: {told}.", facts, test, None, n)
    if share.high < SHOULD_STOP:
        return Claim("stops", question, "no", "strong", f"No: only {told}.", facts, test, None, n)
    return Claim("stops", question, "can't tell", "none", f"Mostly, as it seems: {told}.", facts, test, None, n)


def judge_repetition(generations: Generations, *, seed: int = 0) -> Claim:
    """Return whether texts go round in a loop, or say the same four words again more often than true answers do."""
    question, n = "Does it repeat itself?", len(generations)
    if not n:
        return not_judged("repeats", question, why="nothing was generated")
    loops = np.array([ends_in_loop(text) for text in generations.texts])
    share = proportion(int(loops.sum()), n)
    own, true = repeated_shares(generations.texts), repeated_shares(generations.references)
    excess = compare_scores(own, true, metric="repeated_4grams", is_share=False, seed=seed)
    evidence: dict[str, Any] = {
        "loops": share,
        "repeated_4grams": mean_score(own, is_share=False, seed=seed),
        "repeated_4grams_of_true_answers": mean_score(true, is_share=False, seed=seed),
        "excess": excess.difference,
    }
    assert isinstance(share, Estimate)
    told = f"{int(loops.sum()):,} of {n:,} texts end in a loop ({_span(share)})"
    before = f"{percent(own.mean())} of runs of four words stood in the text before"
    told += f"; {before}, in true answers {percent(true.mean())}"
    value, test = excess.difference.value or 0.0, "loops; repeated runs against true answers, paired bootstrap"
    is_more = excess.p_value <= ALPHA and value >= _WORTH_REPEATING
    if share.low >= _WORTH_SAYING / 5 or is_more:
        strength = "strong" if share.low >= _WORTH_SAYING else strength_of_p(excess.p_value) if is_more else "moderate"
        return Claim("repeats", question, "yes", strength, f"Yes: {told}.", evidence, test, excess.p_value, n)
    if share.high < _WORTH_SAYING and value < _WORTH_REPEATING:
        strength = strength_of_bound(share.high, 2 * _WORTH_SAYING)
        return Claim("repeats", question, "no", strength, f"No: {told}.", evidence, test, excess.p_value, n)
    return Claim("repeats", question, "can't tell", "none", f"Hardly: {told}.", evidence, test, excess.p_value, n)


def judge_recital(generations: Generations, answers: Sequence[str], *, n_words: int = LONG) -> Claim:
    """Return whether texts recite training answers, more often than the true answers of the same prompts do.

    Parameters
    ----------
    generations : to prompts that training had not seen.
    answers : the training answers.
    n_words : words in a row from which on a passage is recited.
    """
    question, n = "Does it recite training answers?", len(generations)
    if not n:
        return not_judged("recites", question, why="nothing was generated")
    true = recited(generations.references, answers, prompts=generations.prompts, n=n_words)
    own = recited(generations.texts, answers, prompts=generations.prompts, n=n_words)
    can_hold = sum(len(text.split()) >= n_words for text in answers)
    if can_hold < len(answers) / 20:
        why = f"{can_hold:,} of {len(answers):,} training answers have {n_words} words, and a recital has as many"
        return not_judged("recites", question, why=why, n=n)
    k, k_true = int(own.is_any.sum()), int(true.is_any.sum())
    share = proportion(k, n)
    assert isinstance(share, Estimate)
    paired = mcnemar_exact(own.is_any, true.is_any)
    evidence: dict[str, Any] = {
        "share": share,
        "share_of_true_answers": proportion(k_true, n),
        "longest_words": int(own.longest.max()),
        "share_of_words": float(own.share.mean()),
        "rows": [int(i) for i in np.argsort(-own.longest)[:20] if own.longest[i]],
    }
    told = f"{k:,} of {n:,} texts hold {n_words} words in a row of a training answer ({_span(share)})"
    if k:
        told += f", the longest {int(own.longest.max())} words"
    told += f"; of the true answers {k_true:,} do"
    test, p_value = f"passages of {n_words} words; exact McNemar test against the true answers", paired.p_value
    if k > k_true and p_value <= ALPHA:
        strength = strength_of_p(p_value)
        return Claim("recites", question, "yes", strength, f"Yes: {told}.", evidence, test, p_value, n)
    if share.high < _WORTH_SAYING or k <= k_true:
        strength = strength_of_bound(share.high, 2 * _WORTH_SAYING) if share.high < 2 * _WORTH_SAYING else "weak"
        return Claim("recites", question, "no", strength, f"No: {told}.", evidence, test, p_value, n)
    return Claim("recites", question, "can't tell", "none", f"Can't tell: {told}.", evidence, test, p_value, n)


def judge_contamination(
    test: Sequence[tuple[str, str]],
    train: Sequence[tuple[str, str]],
    *,
    scores: NDArray[np.float64] | None = None,
    metric: str = "",
    n_words: int = LONG,
) -> Claim:
    """Return whether test examples share passages with training examples, and what the score is without them.

    Parameters
    ----------
    test, train : prompt and answer of each example.
    scores : (n_test,), of the model, 0 to 1; None: not known.
    metric : what the scores are called.
    """
    question, n = "Is the test split contaminated?", len(test)
    rows = contaminated(test, train, n=n_words)
    is_clean = rows < 0
    k = int((~is_clean).sum())
    evidence: dict[str, Any] = {
        "contaminated": k,
        "rows": [{"test": int(i), "train": int(rows[i])} for i in np.flatnonzero(~is_clean)[:100]],
    }
    how = f"passages of {n_words} words, or the whole of a shorter text"
    looked = f"{n:,} test examples against {len(train):,} training examples"
    if not k:
        sentence = f"No: none of {looked} shares {n_words} words in a row, or all of a shorter text."
        return Claim("contaminated", question, "no", "strong", sentence, evidence, how, None, n)
    sentence = f"Yes: {k:,} of {looked} share {n_words} words in a row, or all of a shorter text"
    if scores is not None and is_clean.any():
        evidence |= {"score": float(scores.mean()), "score_of_clean": float(scores[is_clean].mean())}
        moved = evidence["score"] - evidence["score_of_clean"]
        of_all = percent(evidence["score"])
        sentence += f"; without them {metric} is {percent(evidence['score_of_clean'])} (all: {of_all})"
        if abs(moved) < 0.0005:
            sentence = sentence.replace(f" (all: {of_all})", " as well")
        evidence["flattery"] = unsigned_points(moved) if moved > 0 else ""
    return Claim("contaminated", question, "yes", "strong", f"{sentence}.", evidence, how, None, n)


def _span(share: Estimate) -> str:
    return f"{percent(share.low)} to {percent(share.high)}"
