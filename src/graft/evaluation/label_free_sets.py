"""The share of exact sets of labels on examples whose labels nobody knows, under assumption."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graft.core.errors import DataError
from graft.core.seeds import generator
from graft.core.types import Estimate, MultiLabelPredictions
from graft.evaluation.alignment import with_targets

__all__ = ["LabelFreeExactMatch", "exact_match_without_labels", "set_confidence"]


@dataclass(frozen=True)
class LabelFreeExactMatch:
    """A share of exact sets that nobody measured, under assumption.

    Parameters
    ----------
    confidence : difference of confidences (DoC): the share at home less the fall of the mean confidence.
    """

    confidence: Estimate

    @property
    def both(self) -> Estimate:
        """The estimate to go by, as `graft.evaluation.shift.LabelFreeAccuracy` calls it."""
        return self.confidence

    @property
    def by_method(self) -> dict[str, Estimate]:
        """The estimate, by the method's usual name."""
        return {"doc": self.confidence}

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {name: found.as_dict() for name, found in {**self.by_method, "both": self.both}.items()}


def set_confidence(predictions: MultiLabelPredictions) -> NDArray[np.float64]:
    """Return the chance that each set that was said is the true one, labels taken for independent: (n_examples,).

    Examples
    --------
    >>> unknown = np.full((1, 2), 255, np.uint8)
    >>> p = MultiLabelPredictions(["a"], unknown, np.log([[9.0, 0.25]]), ("x", "y"))
    >>> set_confidence(p).round(2)
    array([0.72])
    """
    p = predictions.probabilities
    return np.asarray(np.where(predictions.predicted == 1, p, 1 - p).prod(axis=1))


def exact_match_without_labels(
    labelled: MultiLabelPredictions,
    unlabelled: MultiLabelPredictions,
    *,
    n_draws: int = 1_000,
    level: float = 0.95,
    seed: int = 0,
) -> LabelFreeExactMatch:
    """Return the share of exact sets on examples whose labels nobody knows, from that on labelled ones.

    Parameters
    ----------
    labelled : held-out examples from where the model is at home, labels known.
    unlabelled : of the same model; targets are not looked at.
    n_draws : bootstrap draws, of both sets.

    Raises
    ------
    DataError
        When either set is empty.

    References
    ----------
    Guillory et al. 2021, Predicting with confidence on unseen distributions (DoC); here of whole sets.

    Notes
    -----
    It assumes that confidence keeps its meaning on the new data. Labels that come together make the product of their
    probabilities too small, at home as there; the difference cancels that.
    """
    known = with_targets(labelled)
    if not len(known) or not len(unlabelled):
        raise DataError(
            f"{len(known)} labelled and {len(unlabelled)} other examples to compare", expected="some of each"
        )
    gap = known.is_correct - set_confidence(known)
    value = float(gap.mean() + set_confidence(unlabelled).mean())
    rng = generator(seed, "label-free exact match", len(known), len(unlabelled))
    drawn = np.clip(value + gap.std() / np.sqrt(len(known)) * rng.normal(size=n_draws), 0.0, 1.0)
    shares = rng.binomial(len(unlabelled), drawn) / len(unlabelled)
    low, high = np.quantile(shares, [(1 - level) / 2, (1 + level) / 2])
    value = float(np.clip(value, 0.0, 1.0))
    method = "DoC of sets, bootstrap, under assumption"
    found = Estimate(value, min(float(low), value), max(float(high), value), len(unlabelled), method, level)
    return LabelFreeExactMatch(found)
