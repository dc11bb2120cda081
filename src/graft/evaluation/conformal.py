"""Sets of classes that hold the right one as often as promised: split conformal prediction."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graft.core.errors import DataError
from graft.core.types import Estimate, Predictions
from graft.evaluation.alignment import with_targets
from graft.evaluation.intervals import NoInterval, proportion

__all__ = ["ConformalSets", "conformal_quantile", "fit_conformal"]


@dataclass(frozen=True)
class ConformalSets:
    """How large a set of classes must be so that it holds the right one as often as promised.

    Parameters
    ----------
    coverage : promised share of sets that hold the right class.
    threshold : classes with at least this probability are in the set; 0: all of them.
    n : examples that it was fitted to.
    """

    coverage: float
    threshold: float
    n: int

    def sets(self, predictions: Predictions) -> NDArray[np.bool_]:
        """Return which classes are in each example's set: (n_examples, n_classes). A set may be empty, never random."""
        return np.asarray(predictions.probabilities >= self.threshold)

    def measured(self, predictions: Predictions) -> dict[str, Any]:
        """Return the share of sets that hold the right class, with its interval, and the sizes of the sets."""
        known = with_targets(predictions)
        sets = self.sets(known)
        hits = int(sets[np.arange(len(known)), known.targets].sum()) if len(known) else 0
        sizes = sets.sum(axis=1)
        share: Estimate | NoInterval = proportion(hits, len(known))
        return {
            "coverage": share,
            "mean_size": float(sizes.mean()) if len(known) else None,
            "share_of_one": float((sizes == 1).mean()) if len(known) else None,
        }

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {"coverage": self.coverage, "threshold": self.threshold, "n": self.n}


def conformal_quantile(scores: NDArray[np.floating[Any]], *, coverage: float = 0.9) -> float:
    """Return the score that a new example's stays at or below with a chance of at least `coverage`.

    Parameters
    ----------
    scores : (n,), of examples that the model was not fitted to; larger is stranger.
    coverage : between 0 and 1.

    Returns
    -------
    float
        The ceil((n + 1) coverage)-th smallest score; infinite where there are too few examples to promise so much.

    Raises
    ------
    DataError
        When `coverage` is no share, or a score is NaN.

    References
    ----------
    Vovk, Gammerman and Shafer 2005, Algorithmic learning in a random world; Angelopoulos and Bates 2021, A gentle
    introduction to conformal prediction, section 1.

    Examples
    --------
    >>> conformal_quantile(np.arange(1.0, 20.0), coverage=0.9), conformal_quantile(np.arange(5.0), coverage=0.9)
    (18.0, inf)
    """
    values = np.sort(np.asarray(scores, dtype=np.float64))
    if not 0 < coverage < 1 or np.isnan(values).any():
        raise DataError(f"coverage {coverage} of {values.size} scores", expected="0 < coverage < 1, no NaN")
    rank = math.ceil((values.size + 1) * coverage - 1e-9)
    return float(values[rank - 1]) if rank <= values.size else float("inf")


def fit_conformal(held_out: Predictions, *, coverage: float = 0.9) -> ConformalSets:
    """Return sets that hold the right class of a new example with a chance of at least `coverage`.

    Parameters
    ----------
    held_out : examples that the model was neither fitted to nor chosen by, targets known.

    Raises
    ------
    DataError
        When no example has a target, or `coverage` is no share.

    Notes
    -----
    The promise is over new examples *and* held-out ones together, for examples drawn alike; with n held-out examples
    the coverage itself scatters by about root(coverage (1 - coverage) / n). The score is 1 less the probability of the
    true class (Sadinle, Lei and Wasserman 2019): the smallest sets on average. From out-of-fold predictions, whose
    models differ a little from the final one, it is nearly the same (Barber et al. 2021).
    """
    known = with_targets(held_out)
    if not len(known):
        raise DataError("no held-out example with a known class", expected="at least one")
    own = known.probabilities[np.arange(len(known)), known.targets]
    quantile = conformal_quantile(1 - own, coverage=coverage)
    # The probability of the example that the quantile falls on, and not 1 less it: rounding must not shut it out.
    threshold = float(own[own <= 1 - quantile + 1e-12].max(initial=0.0)) if math.isfinite(quantile) else 0.0
    return ConformalSets(coverage, threshold, len(known))
