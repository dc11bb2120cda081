"""What a model loses when its examples get worse: by corruption and severity, on the same examples; two models beside
each other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from graft.core.errors import DataError
from graft.core.text import percent
from graft.core.types import Estimate
from graft.evaluation.claims import (
    ALPHA,
    Claim,
    more_to_tell,
    signed_points,
    span_points,
    strength_of_bound,
    strength_of_p,
    unsigned_points,
)
from graft.evaluation.comparisons import PairedTest, holm, mcnemar_exact
from graft.evaluation.distributions import student_above, student_quantile
from graft.evaluation.intervals import proportion
from graft.evaluation.shift import WORTH_SAYING

__all__ = [
    "DISTORTIONS",
    "QUESTION",
    "Corrupted",
    "compare_robustness",
    "judge_corruptions",
    "measure_corruptions",
]

DISTORTIONS: Final = "shift:distortions"
"""Name of the claim on distorted examples."""
QUESTION: Final = "Does it lose on distorted examples?"
_MEDIUM: Final = 3  # the severity that is judged, where it was measured


@dataclass(frozen=True)
class Corrupted:
    """Accuracy under one corruption of one severity, beside that of the same examples as they are.

    Parameters
    ----------
    corruption, severity : which, 1 to 5.
    accuracy : under it.
    test : paired, of the examples as they are (A) against the same made worse (B).
    adjusted_p_value : for the number of corruptions of this severity.
    """

    corruption: str
    severity: int
    accuracy: Estimate
    test: PairedTest
    adjusted_p_value: float

    @property
    def loss(self) -> Estimate:
        """Accuracy lost, with its interval."""
        return self.test.difference

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "corruption": self.corruption,
            "severity": self.severity,
            "accuracy": self.accuracy.as_dict(),
            "loss": self.loss.as_dict(),
            "p_value": self.test.p_value,
            "adjusted_p_value": self.adjusted_p_value,
        }


def measure_corruptions(
    clean: NDArray[np.bool_], worse: Mapping[tuple[str, int], NDArray[np.bool_]]
) -> list[Corrupted]:
    """Return the accuracy of each corruption and severity, with paired tests; p-values are Holm's within a severity.

    Parameters
    ----------
    clean : (n_examples,), whether the model was right on the examples as they are.
    worse : by corruption and severity, the same for the same examples made worse.

    Raises
    ------
    DataError
        When there is no example, or a corruption has others.

    Examples
    --------
    >>> right = np.ones(40, bool)
    >>> found = measure_corruptions(right, {("blur", 3): np.arange(40) >= 10, ("noise", 3): right})
    >>> [(c.corruption, round(c.loss.value, 2), c.adjusted_p_value < 0.01) for c in found]
    [('blur', 0.25, True), ('noise', 0.0, False)]
    """
    tests = {cell: mcnemar_exact(clean, right) for cell, right in worse.items()}
    adjusted: dict[tuple[str, int], float] = {}
    for severity in sorted({severity for _, severity in worse}):
        cells = [cell for cell in worse if cell[1] == severity]
        adjusted |= dict(zip(cells, holm([tests[cell].p_value for cell in cells]), strict=True))
    found = []
    for cell, right in worse.items():
        share = proportion(int(right.sum()), len(right))
        if not isinstance(share, Estimate):
            raise DataError("no example was made worse", expected="at least one")
        found.append(Corrupted(*cell, share, tests[cell], adjusted[cell]))
    return found


def judge_corruptions(clean: NDArray[np.bool_], measured: list[Corrupted], *, is_multi_label: bool = False) -> Claim:
    """Return whether the model loses on distorted examples, and on which distortions; judged at medium severity.

    Parameters
    ----------
    clean : (n_examples,), as `measure_corruptions` was given.
    measured : what it returned; not empty.
    is_multi_label : right is what was given exactly its own labels.
    """
    severities = sorted({cell.severity for cell in measured}, key=lambda s: (abs(s - _MEDIUM), s))
    cells = sorted((c for c in measured if c.severity == severities[0]), key=lambda c: -c.loss.value)
    worst, n, base = cells[0], clean.size, float(clean.mean())
    facts = {"severity": severities[0], "clean": base, "corruptions": [cell.as_dict() for cell in cells]}
    name, test = DISTORTIONS, "mcnemar-exact, Holm over the corruptions"
    told = f"{percent(base)} to {percent(worst.accuracy.value)}"
    if is_multi_label:
        told += " with exactly their own labels"
    losing = [c for c in cells if c.adjusted_p_value <= ALPHA and c.loss.value > 0]
    if losing:
        others = [c.corruption for c in cells if c.loss.high < 2 * WORTH_SAYING and c not in losing]
        held = f" It holds under {_listed(others)}." if others else ""
        more = f", and less on {_listed([c.corruption for c in losing[1:4]])}" if len(losing) > 1 else ""
        sentence = (
            f"Yes, on {len(losing)} of {len(cells)} distortions of medium strength ({severities[0]} of 5): most on"
            f" {worst.corruption}, {unsigned_points(worst.loss.value)} ({span_points(worst.loss)}; {told}){more}.{held}"
        )
        strength = strength_of_p(min(c.adjusted_p_value for c in losing))
        p_value = min(c.adjusted_p_value for c in losing)
        return Claim(name, QUESTION, "yes", strength, sentence, facts, test, p_value, n)
    p_value = min(c.adjusted_p_value for c in cells)
    largest = max(c.loss.high for c in cells)
    if largest < 2 * WORTH_SAYING:
        sentence = (
            f"No: on none of {len(cells)} distortions of medium strength ({severities[0]} of 5) does it lose more than"
            f" {unsigned_points(max(largest, 0.0))}; most on {worst.corruption}, {told}."
        )
        strength = strength_of_bound(largest, 2 * WORTH_SAYING)
        return Claim(name, QUESTION, "no", strength, sentence, facts, test, p_value, n)
    n_more = more_to_tell(worst.loss, at_least=WORTH_SAYING)
    if worst.loss.low > 0:  # by itself it would be shown; of so many one is by chance
        possible = f"a loss of up to {unsigned_points(worst.loss.high)} is possible, or chance in one of {len(cells)}"
    else:
        possible = f"a loss of {span_points(worst.loss)} points is possible"
    sentence = (
        f"Can't tell from {n} examples: of {len(cells)} distortions of medium strength ({severities[0]} of 5) most on"
        f" {worst.corruption}, {told}; {possible}."
    )
    return Claim(name, QUESTION, "can't tell", "none", sentence, facts, test, p_value, n, n_more)


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def compare_robustness(
    tuned: NDArray[np.bool_],
    probe: NDArray[np.bool_],
    *,
    clean: tuple[float, float],
    level: float = 0.95,
    is_multi_label: bool = False,
) -> Claim:
    """Return whether fine-tuning cost robustness: the fine-tuned network beside the frozen one on the same distortions.

    Parameters
    ----------
    tuned, probe : (n_examples, n_corruptions), whether the fine-tuned network and the frozen one with a new head were
        right on the same examples made worse.
    clean : accuracy of the two on the same examples as they are.
    level : of the interval.
    is_multi_label : right is what was given exactly its own labels.

    Raises
    ------
    DataError
        When the two are not of the same examples, or there are fewer than two.

    Notes
    -----
    An example's mean over the corruptions is one observation: distortions of one picture are not independent pictures.
    Student's t on the differences.
    """
    a, b = np.asarray(tuned, dtype=np.float64), np.asarray(probe, dtype=np.float64)
    if a.shape != b.shape or a.ndim != 2 or len(a) < 2:
        raise DataError(f"answers of shape {a.shape} and {b.shape}", expected="two examples or more, the same for both")
    each = (a - b).mean(axis=1)
    n, mean, error = len(each), float(each.mean()), float(each.std(ddof=1)) / np.sqrt(len(each))
    reach = float(student_quantile((1 + level) / 2, n - 1)) * error
    p_value = float(2 * student_above(abs(mean) / error, n - 1)) if error > 0 else float(mean == 0)
    found = Estimate(mean, max(-1.0, mean - reach), min(1.0, mean + reach), n, "student-t-paired", level)
    facts: dict[str, Any] = {
        "difference": found,
        "tuned": float(a.mean()),
        "probe": float(b.mean()),
        "clean_tuned": clean[0],
        "clean_probe": clean[1],
        "p_value": p_value,
        "n_corruptions": a.shape[1],
    }
    question = "Did fine-tuning cost robustness?"
    right = "wholly right" if is_multi_label else "right"
    told = (
        f"on distorted examples it has {percent(a.mean())} {right}, the frozen network with a new head"
        f" {percent(b.mean())} ({signed_points(mean)}, {span_points(found)}); undistorted {percent(clean[0])} and"
        f" {percent(clean[1])}"
    )
    own, test = "costs_robustness", "paired t over examples"
    if p_value <= ALPHA and mean < 0:
        return Claim(own, question, "yes", strength_of_p(p_value), f"Yes: {told}.", facts, test, p_value, n)
    if p_value <= ALPHA:
        return Claim(own, question, "no", strength_of_p(p_value), f"No: {told}.", facts, test, p_value, n)
    if found.low > -WORTH_SAYING:
        strength = strength_of_bound(-found.low, WORTH_SAYING)
        return Claim(own, question, "no", strength, f"No: {told}.", facts, test, p_value, n)
    n_more = more_to_tell(found, at_least=WORTH_SAYING)
    return Claim(own, question, "can't tell", "none", f"Can't tell: {told}.", facts, test, p_value, n, n_more)
