"""Sets of classes that hold the right one as often as promised: split conformal prediction."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graft.core.errors import DataError
from graft.core.seeds import generator
from graft.core.types import Estimate, Predictions
from graft.evaluation.alignment import with_targets
from graft.evaluation.distributions import beta_quantile
from graft.evaluation.intervals import NoInterval, proportion

__all__ = ["ConformalSets", "conformal_quantile", "fit_conformal", "scores_to_keep", "sets_from_scores"]

_MOST_KEPT = 2_000


@dataclass(frozen=True)
class ConformalSets:
    """How large a set of classes must be so that it holds the right one as often as promised.

    Parameters
    ----------
    coverage : promised share of sets that hold the right class.
    threshold : classes with at least this probability are in the set, and the likeliest one; 0: all of them.
    n : examples that it was fitted to.
    """

    coverage: float
    threshold: float
    n: int

    def sets(self, predictions: Predictions) -> NDArray[np.bool_]:
        """Return which classes are in each example's set: (n_examples, n_classes).

        The likeliest class always is, whatever its probability: an empty set says nothing. That can only raise the
        share of sets that hold the right class.
        """
        p = predictions.probabilities
        is_in = np.asarray(p >= self.threshold)
        is_in[np.arange(len(p)), p.argmax(axis=1)] = True
        return is_in

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

    def realised(self, *, level: float = 0.9) -> tuple[float, float]:
        """Return between which shares the coverage of new examples lies, by the luck of the held-out ones.

        References
        ----------
        Vovk 2012, Conditional validity of inductive conformal predictors: given the held-out examples, coverage is
        Beta(k, n + 1 - k), k the rank of the quantile.

        Examples
        --------
        >>> [round(v, 3) for v in ConformalSets(0.9, 0.2, 100).realised()]
        [0.848, 0.945]
        """
        rank = math.ceil((self.n + 1) * self.coverage - 1e-9)
        if rank > self.n:
            return 1.0, 1.0
        ends = np.array([(1 - level) / 2, (1 + level) / 2])
        low, high = np.asarray(beta_quantile(ends, rank, self.n + 1 - rank)).tolist()
        return low, high

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
    return sets_from_scores(known.probabilities[np.arange(len(known)), known.targets], coverage=coverage)


def scores_to_keep(held_out: Predictions) -> NDArray[np.float64]:
    """Return what a saved model keeps, so that sets of any coverage can be made: held-out probabilities of the truth.

    Parameters
    ----------
    held_out : examples that the model was not fitted to, targets known.

    Returns
    -------
    NDArray
        (n_kept,), ascending, six digits, rounded down, which can only make sets larger; of more than 2,000 examples a
        random 2,000: a promise from fewer examples is as good, it scatters a little more.

    Examples
    --------
    >>> p = Predictions(["a", "b"], np.array([0, 1]), np.log([[0.9, 0.1], [0.25, 0.75]]), ("x", "y"))
    >>> scores_to_keep(p).tolist()
    [0.75, 0.9]
    """
    known = with_targets(held_out)
    own = known.probabilities[np.arange(len(known)), known.targets]
    if len(own) > _MOST_KEPT:
        own = own[generator(0, "held-out scores", len(own)).permutation(len(own))[:_MOST_KEPT]]
    return np.asarray(np.sort(np.floor(own * 1e6 + 1e-6) / 1e6))


def sets_from_scores(own: NDArray[np.floating[Any]], *, coverage: float = 0.9) -> ConformalSets:
    """Return sets of the coverage that is asked for, from held-out probabilities of the true class.

    Parameters
    ----------
    own : (n,), as `scores_to_keep` gives them.

    Raises
    ------
    DataError
        When there is none, or `coverage` is no share.
    """
    if not len(own):
        raise DataError("no held-out example with a known class", expected="at least one")
    quantile = conformal_quantile(1 - own, coverage=coverage)
    # The probability of the example that the quantile falls on, and not 1 less it: rounding must not shut it out.
    threshold = float(own[own <= 1 - quantile + 1e-12].max(initial=0.0)) if math.isfinite(quantile) else 0.0
    return ConformalSets(coverage, threshold, len(own))
