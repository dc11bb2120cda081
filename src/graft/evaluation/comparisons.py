"""Two models on the same examples: is one better, by how much, and what could have been seen at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import optimize

from graft.core.errors import DataError
from graft.core.types import Estimate, MultiLabelPredictions, Predictions
from graft.evaluation.bootstrap import Draws
from graft.evaluation.distributions import (
    beta_quantile,
    binomial_at_least,
    binomial_at_most,
    binomial_quantile,
    binomial_shares,
    normal_quantile,
)
from graft.evaluation.intervals import NoInterval, wilson
from graft.evaluation.metrics import log_losses, mean_estimates
from graft.evaluation.multi_label_metrics import label_log_losses

__all__ = [
    "PairedBootstrap",
    "PairedTest",
    "against_blind",
    "holm",
    "log_losses_of",
    "mcnemar_exact",
    "paired_bootstrap",
    "paired_difference",
    "paired_log_loss",
    "smallest_detectable",
]

ALPHA = 0.05
POWER = 0.8


@dataclass(frozen=True)
class PairedTest:
    """Accuracy of model A against model B on the same examples.

    Parameters
    ----------
    only_a, only_b : examples that only A, only B has right (McNemar's b and c).
    n : all examples.
    p_value : of the exact two-sided McNemar test.
    difference : accuracy of A minus that of B, with its interval, which holds zero where the test rejects nothing.
    smallest_detectable : the smallest difference that a test of this size, with models that differ about as often as
        these, would find 4 times in 5; None where it would find none.
    """

    only_a: int
    only_b: int
    n: int
    p_value: float
    difference: Estimate
    smallest_detectable: float | None

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "test": "mcnemar-exact",
            "only_model_right": self.only_a,
            "only_baseline_right": self.only_b,
            "n": self.n,
            "p_value": self.p_value,
            "accuracy_difference": self.difference.as_dict(),
            "smallest_detectable_difference": self.smallest_detectable,
            "power": POWER,
        }


@dataclass(frozen=True)
class PairedBootstrap:
    """A figure of model A less that of model B on the same examples.

    Parameters
    ----------
    metric : name of the figure.
    difference : A minus B, with its interval.
    p_value : two-sided, of no difference, from the same bootstrap draws as the interval; against a baseline that says
        the same of every example, of knowing nothing (see `graft.evaluation.permutation`).
    smallest_detectable : the smallest difference that such a test, with as much scatter as here, finds 4 times in 5.
    n : examples.
    test : how the p-value was obtained.
    """

    metric: str
    difference: Estimate | NoInterval
    p_value: float
    smallest_detectable: float | None
    n: int
    test: str = "paired-bootstrap"

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "test": self.test,
            "metric": self.metric,
            "n": self.n,
            "p_value": self.p_value,
            "difference": self.difference.as_dict(),
            "smallest_detectable_difference": self.smallest_detectable,
            "power": POWER,
        }


def paired_bootstrap(a: Draws, b: Draws, *, metric: str, level: float = 0.95) -> PairedBootstrap:
    """Return the test of two models' figures, bootstrapped with the same draws (see `draw_together`).

    Examples
    --------
    >>> from graft.evaluation.bootstrap import draw_together
    >>> x = np.random.default_rng(0).normal(size=(100, 2)) + [1.0, 0.0]
    >>> a, b = draw_together(lambda w: w @ x / 100, 100)
    >>> paired_bootstrap(a, b, metric="mean").p_value < 0.01
    True
    """
    difference = a.minus(b)
    finite = difference.draws[np.isfinite(difference.draws)]
    reach = float(normal_quantile(POWER) - normal_quantile(ALPHA / 2))
    smallest = reach * float(finite.std()) if finite.size and finite.std() > 0 else None
    return PairedBootstrap(metric, difference.interval(level), difference.p_value(), smallest, difference.n)


def against_blind(test: PairedBootstrap, *, p_value: float) -> PairedBootstrap:
    """Return the same difference with the p-value of knowing nothing, by permutation of the truth."""
    return replace(test, p_value=p_value, test="permutation")


def mcnemar_exact(correct_a: NDArray[np.bool_], correct_b: NDArray[np.bool_], *, level: float = 0.95) -> PairedTest:
    """Return the exact McNemar test of two models on the same examples, in the same order.

    Parameters
    ----------
    correct_a, correct_b : (n_examples,), whether A and B are right.
    level : of the interval of the difference.

    Raises
    ------
    DataError
        When the two differ in length, or are empty.

    References
    ----------
    McNemar 1947, Note on the sampling error of the difference between correlated proportions; exact form: binomial
    with p = 1/2 over the examples that exactly one of the two has right.

    Examples
    --------
    >>> a, b = np.ones(20, bool), np.arange(20) >= 6
    >>> round(mcnemar_exact(a, b).p_value, 3)
    0.031
    """
    a, b = np.asarray(correct_a, dtype=bool), np.asarray(correct_b, dtype=bool)
    if a.shape != b.shape or a.ndim != 1 or not a.size:
        raise DataError(f"answers of shape {a.shape} and {b.shape}", expected="the same, not empty, examples for both")
    only_a, only_b, n = int((a & ~b).sum()), int((b & ~a).sum()), a.size
    fewer, either = min(only_a, only_b), only_a + only_b
    p_value = min(1.0, 2 * float(binomial_at_most(fewer, either, 0.5))) if either else 1.0
    difference = paired_difference(int((a & b).sum()), only_a, only_b, n, level=level)
    if p_value > 1 - level and not difference.low <= 0 <= difference.high:
        difference = _as_wide_as_the_test(difference, only_a, only_b)
    return PairedTest(only_a, only_b, n, p_value, difference, smallest_detectable(n, either / n))


def _as_wide_as_the_test(difference: Estimate, only_a: int, only_b: int) -> Estimate:
    """Return the interval drawn out to where the exact test, turned around, ends: so the two never contradict.

    Given the number of disagreements, only A's share of them has Clopper and Pearson's interval, which holds one half
    wherever the test rejects nothing.
    """
    either, tail = only_a + only_b, (1 - difference.level) / 2
    low = float(beta_quantile(np.array(tail), only_a, only_b + 1)) if only_a else 0.0
    high = float(beta_quantile(np.array(1 - tail), only_a + 1, only_b)) if only_b else 1.0
    ends = [either / difference.n * (2 * share - 1) for share in (low, high)]
    return replace(
        difference,
        low=min(difference.low, ends[0]),
        high=max(difference.high, ends[1]),
        method="newcombe-paired, widened to the exact test",
    )


def paired_difference(both: int, only_a: int, only_b: int, n: int, *, level: float = 0.95) -> Estimate:
    """Return the accuracy of A minus that of B on the same `n` examples, with Newcombe's paired score interval.

    References
    ----------
    Newcombe 1998, Improved confidence intervals for the difference between binomial proportions based on paired data,
    method 10.
    """
    neither = n - both - only_a - only_b
    a, b = wilson(both + only_a, n, level=level), wilson(both + only_b, n, level=level)
    margins = (both + only_a) * (only_b + neither) * (both + only_b) * (only_a + neither)
    association = float(both * neither - only_a * only_b)
    if association > 0:
        association = max(association - n / 2, 0.0)
    phi = association / float(np.sqrt(float(margins))) if margins else 0.0
    value = (only_a - only_b) / n

    def reach(x: float, y: float) -> float:
        return float(np.sqrt(max(0.0, x * x - 2 * phi * x * y + y * y)))

    low = value - reach(a.value - a.low, b.high - b.value)
    high = value + reach(a.high - a.value, b.value - b.low)
    return Estimate(value, max(-1.0, low), min(1.0, high), n, "newcombe-paired", level)


def smallest_detectable(n: int, disagreement: float) -> float | None:
    """Return the smallest accuracy difference that McNemar's exact test finds with 80 % power at the 5 % level.

    Parameters
    ----------
    n : examples.
    disagreement : share of the examples that exactly one of the two models has right; a larger difference than this
        is taken to come with as much disagreement as it needs.

    Returns
    -------
    float | None
        A fraction; None where even a difference of 1 would be missed (fewer than 6 examples).

    References
    ----------
    Connor 1987, Sample size for testing differences in proportions for the paired-sample design; here with exact
    binomial probabilities instead of his normal ones.
    """

    def lacking(difference: float) -> float:
        return _power(n, max(disagreement, difference), difference) - POWER

    if lacking(1.0) < 0:
        return None
    # The exact power is a saw-tooth in the difference; its teeth are far below the accuracy that is shown.
    return float(optimize.brentq(lacking, 1e-9, 1.0, xtol=1e-5))


def _power(n: int, disagreement: float, difference: float) -> float:
    """Return the probability of p <= ALPHA, the number of disagreements being random as well."""
    least, most = (int(binomial_quantile(share, n, disagreement)) for share in (1e-9, 1 - 1e-9))
    m = np.arange(least, most + 1)
    critical = binomial_quantile(ALPHA / 2, m, 0.5)
    critical = np.where(binomial_at_most(critical, m, 0.5) > ALPHA / 2, critical - 1, critical)
    share = min(1.0, (disagreement + difference) / (2 * disagreement))
    rejects = binomial_at_most(critical, m, share) + binomial_at_least(m - critical, m, share)
    return float(binomial_shares(m, n, disagreement) @ np.where(critical >= 0, rejects, 0.0))


def holm(p_values: Sequence[float]) -> list[float]:
    """Return the p-values adjusted for their number, in the order given.

    References
    ----------
    Holm 1979, A simple sequentially rejective multiple test procedure.

    Examples
    --------
    >>> [round(p, 6) for p in holm([0.01, 0.04, 0.03])]
    [0.03, 0.06, 0.06]
    """
    p = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p, kind="stable")
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(p[order] * np.arange(p.size, 0, -1)))
    return [float(a) for a in adjusted]


def log_losses_of(predictions: Predictions | MultiLabelPredictions) -> NDArray[np.float64]:
    """Return the log-loss of each example, in nats: (n_examples,); of label sets the mean over labels."""
    if isinstance(predictions, MultiLabelPredictions):
        return label_log_losses(predictions)
    return log_losses(predictions)


def paired_log_loss(
    a: Predictions | MultiLabelPredictions,
    b: Predictions | MultiLabelPredictions,
    *,
    level: float = 0.95,
    seed: int = 0,
) -> Estimate | NoInterval:
    """Return the log-loss of `a` minus that of `b` on the same examples in the same order: below zero, `a` is better.

    Raises
    ------
    DataError
        When the examples differ.
    """
    if list(a.ids) != list(b.ids):
        raise DataError("the two sets of predictions are of different examples", expected="the same ids in one order")
    with np.errstate(invalid="ignore"):  # inf - inf, where both gave a true class probability 0
        return mean_estimates({"": log_losses_of(a) - log_losses_of(b)}, level=level, seed=seed)[""]
