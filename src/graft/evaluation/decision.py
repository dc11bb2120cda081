"""Which class is said, given calibrated probabilities: the likeliest, or one that does more for rare classes.

The probabilities stay as they are. Only the decision looks at them through an offset (docs/decisions/011).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

__all__ = ["STRENGTHS", "DecisionRule", "choose_decision", "decision_offset"]

STRENGTHS = (0.0, 0.25, 0.5, 0.75, 1.0)


@dataclass(frozen=True)
class DecisionRule:
    """An offset of the logits for the decision alone, and why it was chosen.

    Parameters
    ----------
    strength : share of the classes' log-frequencies that is taken off: 0 says the likeliest class, 1 weighs all
        classes as if they were equally frequent.
    offset : (n_classes,), added to calibrated logits before the largest is taken; its mean is 0.
    expected_macro_f1 : by strength, what the out-of-fold probabilities promise.
    """

    strength: float
    offset: NDArray[np.float64]
    expected_macro_f1: Mapping[str, float]

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form, as it stands in ``graft.json``."""
        return {
            "rule": "logit-adjustment",
            "strength": self.strength,
            "offset": self.offset.tolist(),
            "expected_macro_f1": dict(self.expected_macro_f1),
        }


def decision_offset(counts: NDArray[np.integer[Any]], *, strength: float = 1.0) -> NDArray[np.float64]:
    """Return what is added to calibrated logits before the largest is taken: (n_classes,), its mean 0.

    Parameters
    ----------
    counts : (n_classes,), training examples of each class; a class without any counts as one of half an example.
    strength : share of the log-frequencies that is taken off.

    References
    ----------
    Menon et al. 2021, Long-tail learning via logit adjustment, equation 9 (tau is `strength`): with calibrated
    probabilities and tau = 1 the decision is the best for the mean recall of the classes.

    Examples
    --------
    >>> decision_offset(np.array([90, 10])).round(2)
    array([-1.1,  1.1])
    """
    log_counts = np.log(np.maximum(np.asarray(counts, dtype=np.float64), 0.5))
    return np.asarray(-strength * (log_counts - log_counts.mean()))


def choose_decision(logits: NDArray[np.floating[Any]], counts: NDArray[np.integer[Any]]) -> DecisionRule:
    """Return the rule whose macro-F1 is the largest that these probabilities promise.

    Parameters
    ----------
    logits : (n_examples, n_classes), calibrated, of examples that the model had not seen (out of fold).
    counts : (n_classes,), training examples of each class.

    Notes
    -----
    The full adjustment is the best for the mean recall, and too much for F1, which also asks for precision: see the
    table in docs/experiments.md. As for the thresholds of labels (`choose_thresholds`), F1 is computed with the
    probabilities in place of the few rare examples' own answers. The weakest of equals is taken.
    """
    probabilities = special.softmax(logits.astype(np.float64), axis=1)
    n_classes = probabilities.shape[1]
    mass = probabilities.sum(axis=0)
    expected = {}
    for strength in STRENGTHS:
        said = (logits + decision_offset(counts, strength=strength)).argmax(axis=1)
        hits = np.bincount(said, weights=probabilities[np.arange(len(said)), said], minlength=n_classes)
        expected[strength] = float((2 * hits / (mass + np.bincount(said, minlength=n_classes))).mean())
    best = max(STRENGTHS, key=lambda s: (expected[s], -s))
    return DecisionRule(
        best, decision_offset(counts, strength=best), {f"{s:g}": value for s, value in expected.items()}
    )
