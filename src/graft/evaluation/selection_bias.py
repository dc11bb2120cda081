"""How much choosing the best of many flatters the score that it was chosen by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from graft.core.errors import DataError
from graft.core.seeds import generator
from graft.core.text import percent
from graft.core.types import Estimate
from graft.evaluation.claims import Claim, Strength, span_points, strength_of_bound, unsigned_points

__all__ = ["SelectionBias", "judge_selection", "selection_bias"]

WORTH_SAYING: Final = 0.01  # flattery below 1 point is taken for none
_CHUNK_CELLS = 2_000_000


@dataclass(frozen=True)
class SelectionBias:
    """The chosen candidate's score before and after correction.

    Parameters
    ----------
    plain : out-of-fold score of the candidate that was chosen.
    corrected : what such a choice is worth on examples that had no part in it, with its bootstrap interval.
    flattery : `plain` less `corrected`, with the interval of its mean over the draws.
    n_candidates : how many were tried.
    """

    plain: float
    corrected: Estimate
    flattery: Estimate
    n_candidates: int

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "plain": self.plain,
            "corrected": self.corrected.as_dict(),
            "flattery": self.flattery.as_dict(),
            "n_candidates": self.n_candidates,
        }


def selection_bias(
    scores: NDArray[np.floating[Any]],
    *,
    criterion: NDArray[np.floating[Any]] | None = None,
    n_draws: int = 1_000,
    level: float = 0.95,
    seed: int = 0,
) -> SelectionBias:
    """Return the score of the best candidate, corrected for having been chosen on the same examples (BBC-CV).

    Parameters
    ----------
    scores : (n_examples, n_candidates), what is reported, larger is better: for example 1 where the out-of-fold answer
        is right, else 0. Of *all* that was tried.
    criterion : (n_examples, n_candidates), what the choice was made by, larger is better, for example minus the
        log-loss; None: `scores`.
    n_draws : bootstrap draws.

    Raises
    ------
    DataError
        When the shapes differ, a value is not finite, or there are fewer than two examples or no candidates.

    References
    ----------
    Tsamardinos, Greasidou and Borboudakis 2018, Bootstrapping the out-of-sample predictions for efficient and accurate
    cross-validation, algorithm 5 (BBC-CV): choose in the bag, score out of it.

    Examples
    --------
    >>> right = np.random.default_rng(0).random((100, 24)) < 0.8  # all equally good
    >>> found = selection_bias(right.astype(float))
    >>> round(found.plain, 2), abs(found.corrected.value - 0.8) < 0.03
    (0.87, True)
    """
    table = np.asarray(scores, dtype=np.float64)
    by = table if criterion is None else np.asarray(criterion, dtype=np.float64)
    if table.ndim != 2 or by.shape != table.shape or table.shape[0] < 2 or table.shape[1] < 1:
        raise DataError(
            f"scores {table.shape} and criterion {by.shape}", expected="both (n_examples >= 2, n_candidates >= 1)"
        )
    if not (np.isfinite(table).all() and np.isfinite(by).all()):
        raise DataError("scores or criterion hold values that are not finite", expected="finite values")
    n, n_candidates = table.shape
    rng = generator(seed, "selection bias", n, n_candidates)
    out = np.empty(n_draws)
    step = max(1, _CHUNK_CELLS // n)
    for start in range(0, n_draws, step):
        size = min(step, n_draws - start)
        rows = rng.integers(0, n, size=(size, n)) + n * np.arange(size)[:, None]
        weight = np.bincount(rows.ravel(), minlength=size * n).reshape(size, n).astype(np.float64)
        chosen = (weight @ by).argmax(axis=1)
        outside = (weight == 0).astype(np.float64)
        total = outside.sum(axis=1)
        picked = (outside @ table)[np.arange(size), chosen]
        out[start : start + size] = np.where(total > 0, picked / np.maximum(total, 1), np.nan)
    out = out[np.isfinite(out)]
    plain = float(table[:, by.mean(axis=0).argmax()].mean())
    value = float(out.mean())
    low, high = np.quantile(out, [(1 - level) / 2, (1 + level) / 2])
    corrected = Estimate(value, float(low), float(high), n, "bbc-cv", level)
    error = 1.96 * float(out.std(ddof=1)) / np.sqrt(out.size)
    flattery = Estimate(plain - value, plain - value - error, plain - value + error, n, "bbc-cv, over draws", level)
    return SelectionBias(plain, corrected, flattery, n_candidates)


def judge_selection(bias: SelectionBias, *, is_tested_apart: bool = True) -> Claim:
    """Return whether the score that the model was chosen by flatters it.

    Parameters
    ----------
    is_tested_apart : whether the headline figure comes from a test split that had no part in the choice.
    """
    question = "Was the choice flattering?"
    gap = bias.flattery
    span = f"{100 * bias.corrected.low:.1f} to {100 * bias.corrected.high:.1f}"
    told = (
        f"the best of the {bias.n_candidates} that could be chosen has {percent(bias.plain)} on the examples it was"
        f" chosen by; corrected for the choice {percent(bias.corrected.value)} ({span})"
    )
    after = " The test figures had no part in it." if is_tested_apart else ""
    facts = bias.as_dict() | {"corrected": bias.corrected, "flattery": gap}
    if gap.low > WORTH_SAYING:
        strength: Strength = "strong" if gap.low > 3 * WORTH_SAYING else "moderate"
        sentence = f"Yes, by {unsigned_points(gap.value)}: {told}.{after}"
        return Claim("selection_flatters", question, "yes", strength, sentence, facts, "bbc-cv", None, gap.n)
    if gap.high < WORTH_SAYING:
        sentence = f"No: {told}.{after}"
        strength = strength_of_bound(max(gap.high, 0.0), WORTH_SAYING)
        return Claim("selection_flatters", question, "no", strength, sentence, facts, "bbc-cv", None, gap.n)
    sentence = f"Can't tell: by {span_points(gap)} points; {told}.{after}"
    return Claim("selection_flatters", question, "can't tell", "none", sentence, facts, "bbc-cv", None, gap.n)
