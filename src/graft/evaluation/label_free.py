"""How many are right of examples whose class or labels nobody knows, under assumption."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graft.core.decision import AnyPredictions
from graft.core.errors import DataError
from graft.core.seeds import generator
from graft.core.types import Estimate, MultiLabelPredictions, Predictions
from graft.evaluation.alignment import with_targets
from graft.evaluation.label_free_sets import LabelFreeExactMatch, exact_match_without_labels
from graft.evaluation.transport import transport_costs

__all__ = ["LabelFreeAccuracy", "accuracy_without_labels", "without_labels"]

_CHUNK_CELLS = 2_000_000


@dataclass(frozen=True)
class LabelFreeAccuracy:
    """An accuracy that nobody measured, under assumption.

    Parameters
    ----------
    threshold : average threshold confidence: the share of examples that are surer than the threshold below which, on
        labelled data, as many lie as were wrong.
    confidence : difference of confidences: accuracy on labelled data less the fall of the mean confidence.
    transport : as `confidence`, by what it costs to move the predictions to single classes in the shares of the
        labelled data, which tells a model that says one class of nearly all.
    transport_threshold : as `threshold`, by the same costs.
    both : mean of the two by transport, with an interval that holds both intervals.
    """

    threshold: Estimate
    confidence: Estimate
    transport: Estimate
    transport_threshold: Estimate
    both: Estimate

    @property
    def by_method(self) -> dict[str, Estimate]:
        """The estimates that `both` rests on and those beside it, by the methods' usual names."""
        return {
            "atc": self.threshold,
            "doc": self.confidence,
            "cot": self.transport,
            "cott": self.transport_threshold,
        }

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {name: found.as_dict() for name, found in {**self.by_method, "both": self.both}.items()}


def accuracy_without_labels(
    labelled: Predictions, unlabelled: Predictions, *, n_draws: int = 1_000, level: float = 0.95, seed: int = 0
) -> LabelFreeAccuracy:
    """Return the accuracy on examples whose classes nobody knows, from that on labelled ones.

    Parameters
    ----------
    labelled : held-out examples, targets known, from where the model is at home; calibrated probabilities do better.
    unlabelled : of the same model; targets are not looked at.
    n_draws : bootstrap draws, of both sets.

    Raises
    ------
    DataError
        When either set is empty.

    References
    ----------
    Garg et al. 2022, Leveraging unlabeled data to predict out-of-distribution performance (ATC, negative entropy).
    Guillory et al. 2021, Predicting with confidence on unseen distributions (DoC).
    Lu et al. 2023, Characterizing out-of-distribution error via optimal transport (COT, COTT).

    Notes
    -----
    All assume that confidence keeps its meaning on the new data, COT and COTT also that the classes have the shares
    that they have at home. Nothing in the data can prove that, and new classes or a model that is surely wrong break
    it. The interval holds what sampling does, not a broken assumption. Differences of means (DoC, COT) are right where
    probabilities stay calibrated; thresholds (ATC, COTT) often are where they do not; without transport both overlook
    a model that says one class of nearly all (docs/experiments.md). So the two by transport make the mean. What moving
    costs on labelled data is set off in COT, as DoC sets off the confidence.
    """
    known = with_targets(labelled)
    if not len(known) or not len(unlabelled):
        raise DataError(
            f"{len(known)} labelled and {len(unlabelled)} other examples to compare", expected="some of each"
        )
    right = known.is_correct
    sure, other_sure = known.probabilities.max(axis=1), unlabelled.probabilities.max(axis=1)
    shares = np.bincount(known.targets, minlength=len(known.label_names)) / len(known)
    rng = generator(seed, "label-free accuracy", len(known), len(unlabelled))
    n, m = len(known), len(unlabelled)
    point, atc = _thresholded(_negative_entropy(known), _negative_entropy(unlabelled), right, rng, n_draws=n_draws)
    threshold = _estimate(point, atc, m, "ATC", level)
    moved = [-transport_costs(part.probabilities, shares, seed=seed) for part in (known, unlabelled)]
    point, cott = _thresholded(moved[0], moved[1], right, rng, n_draws=n_draws)
    by_cost = _estimate(point, cott, m, "COTT", level)
    differences = []
    for name, at_home, there in (("DoC", sure, other_sure), ("COT", moved[0], moved[1])):
        gap = right - at_home
        value = float(gap.mean() + there.mean())
        drawn = np.clip(value + gap.std() / np.sqrt(n) * rng.normal(size=n_draws), 0.0, 1.0)
        # The other set's own answers are right or wrong by chance, even where the mean confidence is the very truth.
        differences.append(_estimate(value, rng.binomial(m, drawn) / m, m, name, level))
    confidence, transport = differences
    both = Estimate(
        (transport.value + by_cost.value) / 2,
        min(transport.low, by_cost.low),
        max(transport.high, by_cost.high),
        m,
        "mean of COT and COTT, bootstrap, under assumption",
        level,
    )
    return LabelFreeAccuracy(threshold, confidence, transport, by_cost, both)


def _thresholded(
    score: NDArray[np.float64],
    other: NDArray[np.float64],
    right: NDArray[np.bool_],
    rng: np.random.Generator,
    *,
    n_draws: int,
) -> tuple[float, NDArray[np.float64]]:
    """Return the share of `other` above the score below which as many labelled ones lie as are wrong, and draws."""
    n, m = len(score), len(other)
    ordered = np.sort(other)

    def above(thresholds: NDArray[np.float64]) -> NDArray[np.float64]:
        return 1 - np.searchsorted(ordered, thresholds, side="left") / m

    draws = np.empty(n_draws)
    step = max(1, _CHUNK_CELLS // n)
    for start in range(0, n_draws, step):
        rows = rng.integers(0, n, size=(min(step, n_draws - start), n))
        share = right[rows].mean(axis=1)
        drawn = np.sort(score[rows], axis=1)
        place = np.minimum(np.round((1 - share) * n).astype(np.int64), n - 1)
        draws[start : start + len(rows)] = above(np.where(share < 1, drawn[np.arange(len(rows)), place], -np.inf))
    # The other set's own draws: a share scatters as a binomial.
    n_wrong = int(n - right.sum())
    point = float(above(np.array([np.sort(score)[min(n_wrong, n - 1)]]))[0]) if n_wrong else 1.0
    return point, rng.binomial(m, draws) / m


def _estimate(value: float, draws: NDArray[np.float64], n: int, name: str, level: float) -> Estimate:
    low, high = np.clip(np.quantile(draws, [(1 - level) / 2, (1 + level) / 2]), 0.0, 1.0)
    value = float(np.clip(value, 0.0, 1.0))
    return Estimate(value, min(float(low), value), max(float(high), value), n, f"{name}, bootstrap", level)


def _negative_entropy(p: Predictions) -> NDArray[np.float64]:
    q = p.probabilities
    return np.asarray((q * np.log(np.maximum(q, 1e-300))).sum(axis=1))


def without_labels(
    labelled: AnyPredictions, unlabelled: AnyPredictions, *, seed: int = 0
) -> LabelFreeAccuracy | LabelFreeExactMatch:
    """Return how many are right of examples whose class or labels nobody knows, from labelled ones.

    Parameters
    ----------
    labelled, unlabelled : of the same model, both of one class an example, or both of label sets.

    Raises
    ------
    DataError
        When either is empty, or one is of classes and one of label sets.
    """
    if isinstance(labelled, MultiLabelPredictions) and isinstance(unlabelled, MultiLabelPredictions):
        return exact_match_without_labels(labelled, unlabelled, seed=seed)
    if isinstance(labelled, Predictions) and isinstance(unlabelled, Predictions):
        return accuracy_without_labels(labelled, unlabelled, seed=seed)
    raise DataError("predictions of one class an example and of label sets", expected="two of the same kind")
