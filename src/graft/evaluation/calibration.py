"""Whether confidences can be taken at face value, and the one number that mends them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special

from graft.core.errors import DataError
from graft.core.seeds import generator
from graft.core.types import Estimate, MultiLabelPredictions, Predictions
from graft.evaluation.intervals import NoInterval, proportion

__all__ = ["Calibration", "ReliabilityBin", "expected_calibration_error", "fit_temperature"]

_CHUNK_CELLS = 1_000_000
_MOST_CELLS = 200_000_000


@dataclass(frozen=True)
class ReliabilityBin:
    """The examples whose confidence lies in [`low`, `high`).

    Parameters
    ----------
    low, high : edges of the bin, fractions; the last bin holds 1 as well.
    n : examples in the bin, at least 1.
    confidence : their mean confidence.
    accuracy : their share of right answers, with its interval.
    null_low, null_high : where 95 % of perfectly calibrated models would have that share.
    """

    low: float
    high: float
    n: int
    confidence: float
    accuracy: Estimate | NoInterval
    null_low: float
    null_high: float

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "low": self.low,
            "high": self.high,
            "n": self.n,
            "confidence": self.confidence,
            "accuracy": self.accuracy.as_dict(),
            "null_low": self.null_low,
            "null_high": self.null_high,
        }


@dataclass(frozen=True)
class Calibration:
    """Expected calibration error beside what a perfectly calibrated model would show.

    Parameters
    ----------
    error : mean over examples of |accuracy - confidence| of their bin, a fraction.
    null_median, null_95 : 50 % and 95 % quantile of the error of a perfectly calibrated model with these confidences.
    p_value : share of such models with an error at least as large.
    gap : mean confidence minus accuracy; positive means over-confident.
    n : examples.
    n_bins : equal-width bins from 0 to 1.
    bins : the bins that hold examples.
    method : whose confidence was judged, and how.
    """

    error: float
    null_median: float
    null_95: float
    p_value: float
    gap: float
    n: int
    n_bins: int
    bins: tuple[ReliabilityBin, ...]
    method: str

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "expected_calibration_error": self.error,
            "null_median": self.null_median,
            "null_95": self.null_95,
            "p_value": self.p_value,
            "confidence_minus_accuracy": self.gap,
            "n": self.n,
            "n_bins": self.n_bins,
            "method": self.method,
            "bins": [b.as_dict() for b in self.bins],
        }


def expected_calibration_error(
    predictions: Predictions | MultiLabelPredictions, *, n_bins: int = 15, n_draws: int = 2_000, seed: int = 0
) -> Calibration:
    """Return the calibration error of the predicted class, or of all labels together, beside its null distribution.

    Even a perfect model shows an error above zero, as the shares in the bins scatter: with 15 bins about 0.08 at 100
    examples. So the figure alone says nothing. Here `n_draws` perfectly calibrated models are simulated: each example
    is right with a probability equal to its confidence. Where an example may have several labels, each of its labels
    counts as one, with the probability that the example has it; the simulation takes them as independent, given the
    probabilities.

    Parameters
    ----------
    predictions : of examples whose targets are known.
    n_bins : equal-width bins from 0 to 1.
    n_draws : simulated models; fewer, at least 200, above 100,000 examples times labels.

    Raises
    ------
    DataError
        When there is no example.

    References
    ----------
    Guo et al. 2017, On calibration of modern neural networks, equation 3 (the error).
    Vaicenavicius et al. 2019, Evaluating model calibration in classification, section 5.1 (the null by resampling).
    """
    if len(predictions) == 0:
        raise DataError("no predictions to judge the calibration of", expected="at least one example with a target")
    if isinstance(predictions, MultiLabelPredictions):
        confidence, is_correct = predictions.probabilities.ravel(), predictions.targets.ravel() == 1
        whose = "probability of each label, all labels together"
    else:
        confidence = np.take_along_axis(predictions.probabilities, predictions.predicted[:, None], axis=1)[:, 0]
        is_correct = predictions.is_correct
        whose = "top-label confidence"
    n = confidence.size
    n_draws = min(n_draws, max(200, _MOST_CELLS // n))
    order = np.argsort(confidence, kind="stable")
    confidence, is_correct = confidence[order], is_correct[order]
    bin_of = np.minimum((confidence * n_bins).astype(np.int64), n_bins - 1)  # ascending
    filled, starts = np.unique(bin_of, return_index=True)
    sizes = np.diff(np.append(starts, n))
    mean_confidence = np.add.reduceat(confidence, starts) / sizes
    hits = np.add.reduceat(is_correct.astype(np.float64), starts)

    rng = generator(seed, "calibration-null", n)
    step = max(1, _CHUNK_CELLS // n)
    null_shares = np.concatenate(
        [
            np.add.reduceat((rng.random((min(step, n_draws - s), n)) < confidence).astype(np.float64), starts, axis=1)
            / sizes
            for s in range(0, n_draws, step)
        ]
    )

    def error_of(shares: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(np.abs(shares - mean_confidence) @ sizes / n)

    error = float(error_of(hits / sizes))
    null = error_of(null_shares)
    # Errors that are equal but for rounding count as equal, else the p-value would depend on the order of sums.
    p_value = (1 + int((null >= error - 1e-12).sum())) / (1 + n_draws)
    null_low, null_high = np.quantile(null_shares, [0.025, 0.975], axis=0)
    bins = tuple(
        ReliabilityBin(
            low=int(b) / n_bins,
            high=(int(b) + 1) / n_bins,
            n=int(sizes[i]),
            confidence=float(mean_confidence[i]),
            accuracy=proportion(int(hits[i]), int(sizes[i])),
            null_low=float(null_low[i]),
            null_high=float(null_high[i]),
        )
        for i, b in enumerate(filled)
    )
    return Calibration(
        error=error,
        null_median=float(np.quantile(null, 0.5)),
        null_95=float(np.quantile(null, 0.95)),
        p_value=p_value,
        gap=float(confidence.mean() - is_correct.mean()),
        n=n,
        n_bins=n_bins,
        bins=bins,
        method=f"{whose}, equal-width bins, null simulated with the same confidences",
    )


def fit_temperature(logits: NDArray[np.floating[Any]], targets: NDArray[np.integer[Any]]) -> float:
    """Return the temperature T by which `logits` are to be divided so that their log-loss is least.

    Parameters
    ----------
    logits : (n_examples, n_classes), of examples that the model was not fitted to; finite.
    targets : (n_examples,), class indices; -1 where not known, which does not count.

    Returns
    -------
    float
        Between 0.001 and 1000; above 1 where the model was over-confident. 1 where the logits say nothing.

    Raises
    ------
    DataError
        When there is no example with a target, or a logit is not finite.

    References
    ----------
    Guo et al. 2017, On calibration of modern neural networks, section 4.2.

    Notes
    -----
    The loss is convex in 1/T; the root of its derivative is found by bisection with secant steps. One more example's
    weight is spread evenly over all classes of all examples: without it T would be 0 where every answer is right, and
    a model that was right 50 times of 50 would claim to be right always.

    Examples
    --------
    >>> z = np.log([[0.9, 0.1]] * 10)
    >>> 1 < fit_temperature(z, np.array([0] * 7 + [1] * 3)) < 4
    True
    """
    has_target = np.asarray(targets) >= 0
    z = np.asarray(logits, dtype=np.float64)[has_target]
    known = np.asarray(targets)[has_target]
    if not known.size or not np.isfinite(z).all():
        raise DataError(
            f"{known.size} examples with targets to fit a temperature to, {int((~np.isfinite(z)).sum())} bad logits",
            expected="at least one example, and finite logits",
        )
    n = known.size
    z = z - z.mean(axis=1, keepdims=True)
    if np.abs(z).max() == 0:
        return 1.0
    smoothing = 1 / (n + 1)
    # With centred logits the evenly spread part of the targets has expectation 0.
    wanted = (1 - smoothing) * z[np.arange(n), known].sum()

    def slope(log_inverse: float) -> float:
        return float((special.softmax(np.exp(log_inverse) * z, axis=1) * z).sum() - wanted)

    widest = float(np.log(1_000.0))
    if slope(-widest) >= 0:  # right answers have no higher logits than wrong ones
        return 1_000.0
    if slope(widest) <= 0:
        return 0.001
    return float(np.exp(-optimize.brentq(slope, -widest, widest, xtol=1e-10)))
