"""One claim of the verdict: a question, its answer, and the evidence for it. Each claim stands alone."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import numpy as np
from scipy import special

from graft.core.types import Estimate
from graft.evaluation.intervals import NoInterval

__all__ = [
    "ALPHA",
    "Answer",
    "Claim",
    "Strength",
    "more_to_halve",
    "more_to_tell",
    "not_judged",
    "signed_points",
    "span_points",
    "strength_of_bound",
    "strength_of_p",
    "unsigned_points",
]

ALPHA: Final = 0.05
_REACH = 1.959964 + 0.841621  # two-sided test at 5 %, power 80 %
_MOST_TIMES = 100  # more than this many times the examples at hand is no advice
_FEWEST_MORE, _LEAST_SHARE = 10, 0.25  # nor is less: the difference that they are counted for is a guess itself

Answer = Literal["yes", "no", "can't tell"]
Strength = Literal["strong", "moderate", "weak", "none"]


@dataclass(frozen=True)
class Claim:
    """What is said on one question, and why.

    Parameters
    ----------
    name : short and fixed, for programs, for example ``"overfits"`` or ``"shift:blur"``.
    question : as a product owner would ask it.
    answer : ``"yes"``, ``"no"`` or ``"can't tell"``.
    strength : of the evidence: ``"strong"``, ``"moderate"``, ``"weak"``; ``"none"`` where nothing can be told.
    sentence : the answer in plain words, with its numbers.
    evidence : the figures behind it, by name.
    test : the test that decided; empty where there was none.
    p_value : of that test; None where there was none.
    n : examples behind the answer.
    n_more : how many more test examples would tell, where that can be said; None elsewhere.

    Examples
    --------
    >>> Claim("signal", "Did it learn?", "yes", "strong", "It did.").as_dict()["answer"]
    'yes'
    """

    name: str
    question: str
    answer: Answer
    strength: Strength
    sentence: str
    evidence: Mapping[str, Any] = field(default_factory=dict)
    test: str = ""
    p_value: float | None = None
    n: int = 0
    n_more: int | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form: strict JSON, without NaN."""
        return {
            "name": self.name,
            "question": self.question,
            "answer": self.answer,
            "strength": self.strength,
            "sentence": self.sentence,
            "evidence": {name: _json(value) for name, value in self.evidence.items()},
            "test": self.test,
            "p_value": self.p_value,
            "n": self.n,
            "n_more": self.n_more,
        }


def not_judged(name: str, question: str, *, why: str, n: int = 0) -> Claim:
    """Return the claim that nothing can be told, and why."""
    return Claim(name, question, "can't tell", "none", f"Not judged: {why}.", n=n)


def strength_of_p(p_value: float) -> Strength:
    """Return how strong a rejected null is.

    Examples
    --------
    >>> [strength_of_p(p) for p in (0.0002, 0.004, 0.03, 0.2)]
    ['strong', 'moderate', 'weak', 'none']
    """
    if p_value > ALPHA:
        return "none"
    return "strong" if p_value <= 0.001 else "moderate" if p_value <= 0.01 else "weak"


def strength_of_bound(bound: float, margin: float) -> Strength:
    """Return how strong a 'no' is: how far the end of the interval stays below what would have mattered.

    Examples
    --------
    >>> [strength_of_bound(b, 0.04) for b in (0.005, 0.02, 0.03, 0.05)]
    ['strong', 'moderate', 'weak', 'none']
    """
    if bound >= margin:
        return "none"
    return "strong" if bound <= margin / 4 else "moderate" if bound <= margin / 2 else "weak"


def more_to_tell(difference: Estimate, *, at_least: float) -> int | None:
    """Return how many more examples would show the difference, were it as large as it looks, 4 times in 5.

    Parameters
    ----------
    difference : its interval's width is taken to shrink with the root of the number of examples.
    at_least : the smallest difference that is worth finding; a smaller one is looked for as if it were this large.

    Returns
    -------
    int | None
        None where a hundred times the examples would not do; at least 10, and a quarter of those at hand.

    Examples
    --------
    >>> more_to_tell(Estimate(0.02, -0.01, 0.05, 100, "x"), at_least=0.01)
    360
    """
    z = float(special.ndtri((1 + difference.level) / 2))
    error = (difference.high - difference.low) / (2 * z)
    effect = max(abs(difference.value), at_least)
    needed = difference.n * (_REACH * error / effect) ** 2
    if not math.isfinite(needed) or needed > _MOST_TIMES * difference.n:
        return None
    return max(_FEWEST_MORE, math.ceil(_LEAST_SHARE * difference.n), math.ceil(needed - difference.n))


def more_to_halve(n: int, *, now: float, wanted: float) -> int | None:
    """Return how many more examples bring a scatter of `now` down to `wanted`, as it falls with the root of n.

    Examples
    --------
    >>> more_to_halve(100, now=0.1, wanted=0.05)
    300
    """
    needed = n * (now / wanted) ** 2
    return None if needed > _MOST_TIMES * n or needed <= n else max(_FEWEST_MORE, math.ceil(needed - n))


def signed_points(value: float) -> str:
    """Return a difference of shares in percentage points with its sign.

    Examples
    --------
    >>> signed_points(0.0213), signed_points(-0.004)
    ('+2.1 points', '−0.4 points')
    """
    return f"{_number(100 * value, sign=True)} points"


def unsigned_points(value: float) -> str:
    """Return the size of a difference of shares in percentage points.

    Examples
    --------
    >>> unsigned_points(-0.01), unsigned_points(0.0213)
    ('1.0 point', '2.1 points')
    """
    text = f"{abs(100 * value):.1f}"
    return f"{text} point{'' if text == '1.0' else 's'}"


def span_points(estimate: Estimate) -> str:
    """Return an interval of a difference in percentage points.

    Examples
    --------
    >>> span_points(Estimate(0.02, -0.003, 0.05, 100, "x"))
    '−0.3 to 5.0'
    """
    return f"{_number(100 * estimate.low)} to {_number(100 * estimate.high)}"


def _number(value: float, *, sign: bool = False) -> str:
    text = f"{abs(value):.1f}"
    if text == "0.0":
        return text
    return f"−{text}" if value < 0 else f"+{text}" if sign else text


def _json(value: Any) -> Any:
    if isinstance(value, (Estimate, NoInterval)):
        return _json(value.as_dict())
    if isinstance(value, np.ndarray):
        return _json(value.tolist())
    if isinstance(value, np.generic):
        return _json(value.item())
    if isinstance(value, Mapping):
        return {str(k): _json(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_json(v) for v in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
