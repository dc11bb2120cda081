"""Calibration without bins: the smooth calibration error beside what a perfect model shows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from graft.core.errors import DataError
from graft.core.seeds import generator
from graft.core.text import percent
from graft.core.types import MultiLabelPredictions, Predictions
from graft.evaluation.claims import Claim, more_to_halve, strength_of_bound, strength_of_p, unsigned_points

__all__ = ["SmoothCalibration", "judge_calibration", "smooth_calibration_error"]

_CALLED_OFF = 0.04  # level of the test: a little below 5 %, as that is promised of a perfect model
WORTH_SAYING: Final = 0.05  # the null's 95 % quantile below which a test is fine enough to say 'calibrated'
_N_PLACES = 100
_SCALES = np.geomspace(0.005, 1.0, 24)
_CHUNK_CELLS = 1_000_000
_MOST_CELLS = 100_000_000


@dataclass(frozen=True)
class SmoothCalibration:
    """The smooth calibration error and its null.

    Parameters
    ----------
    error : smECE, a fraction.
    null_median, null_95 : quantiles of the error of perfectly calibrated models with these confidences.
    p_value : share of such models with an error at least as large.
    gap : mean confidence minus share of right answers; above zero the model claims more than it holds.
    n : examples, or examples times labels.
    """

    error: float
    null_median: float
    null_95: float
    p_value: float
    gap: float
    n: int

    @property
    def is_off(self) -> bool:
        """Whether a perfect model would hardly show an error as large: so many as 4 in 100 are called off."""
        return self.p_value <= _CALLED_OFF

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "smooth_calibration_error": self.error,
            "null_median": self.null_median,
            "null_95": self.null_95,
            "p_value": self.p_value,
            "confidence_minus_accuracy": self.gap,
            "n": self.n,
        }


def smooth_calibration_error(
    predictions: Predictions | MultiLabelPredictions, *, n_draws: int = 1_000, seed: int = 0
) -> SmoothCalibration:
    """Return the smooth calibration error of the predicted class, or of all labels together, with its null.

    Parameters
    ----------
    predictions : of examples whose targets are known.
    n_draws : simulated perfect models; fewer, at least 200, above 100,000 examples times labels.

    Raises
    ------
    DataError
        When there is no example.

    References
    ----------
    Błasiok and Nakkiran 2023, Smooth ECE: principled reliability diagrams via kernel smoothing, definition 3: residuals
    smoothed by a reflected Gaussian of the one width that equals the error itself.

    Notes
    -----
    The residuals are gathered in 100 places from 0 to 1, and the width is interpolated between 24; both errors are far
    below the null's scatter, which is computed in the same way.
    """
    if len(predictions) == 0:
        raise DataError("no predictions to judge the calibration of", expected="at least one example with a target")
    if isinstance(predictions, MultiLabelPredictions):
        confidence, is_right = predictions.probabilities.ravel(), predictions.targets.ravel() == 1
    else:
        confidence = np.take_along_axis(predictions.probabilities, predictions.predicted[:, None], axis=1)[:, 0]
        is_right = predictions.is_correct
    n = confidence.size
    order = np.argsort(confidence, kind="stable")
    confidence, right = confidence[order], is_right[order].astype(np.float64)
    place = np.minimum((confidence * _N_PLACES).astype(np.int64), _N_PLACES - 1)
    filled, starts = np.unique(place, return_index=True)
    stated = np.add.reduceat(confidence, starts)
    kernels = [_kernel(scale)[:, filled] for scale in _SCALES]

    def errors(hits: NDArray[np.float64]) -> NDArray[np.float64]:
        residual = (hits - stated) / n
        smoothed = np.stack([np.abs(residual @ k.T).sum(axis=1) for k in kernels], axis=1)
        return _crossing(smoothed)

    n_draws = min(n_draws, max(200, _MOST_CELLS // n))
    rng = generator(seed, "smooth-calibration-null", n)
    step = max(1, _CHUNK_CELLS // n)
    null = np.concatenate(
        [
            errors(
                np.add.reduceat((rng.random((min(step, n_draws - s), n)) < confidence).astype(np.float64), starts, 1)
            )
            for s in range(0, n_draws, step)
        ]
    )
    error = float(errors(np.add.reduceat(right, starts)[None, :])[0])
    p_value = (1 + int((null >= error - 1e-12).sum())) / (1 + null.size)
    return SmoothCalibration(
        error=error,
        null_median=float(np.quantile(null, 0.5)),
        null_95=float(np.quantile(null, 0.95)),
        p_value=p_value,
        gap=float(confidence.mean() - right.mean()),
        n=n,
    )


def _kernel(scale: float) -> NDArray[np.float64]:
    """Return the Gaussian reflected at 0 and 1: (n_places, n_places), each column sums to one."""
    at = (np.arange(_N_PLACES) + 0.5) / _N_PLACES
    images = np.concatenate([[2 * k + at, 2 * k - at] for k in (-2, -1, 0, 1, 2)])
    weight = np.exp(-0.5 * ((at[None, :, None] - images[:, None, :]) / scale) ** 2).sum(axis=0)
    return np.asarray(weight / weight.sum(axis=0))


def _crossing(smoothed: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return where the error, which falls with the width, equals the width: (n_draws,)."""
    above = smoothed - _SCALES
    first = np.argmax(above <= 0, axis=1)
    rows = np.arange(len(smoothed))
    left = np.maximum(first - 1, 0)
    high, low = above[rows, left], above[rows, first]
    share = np.where((first > 0) & (high > low), high / np.maximum(high - low, 1e-300), 0.0)
    at = _SCALES[left] + share * (_SCALES[first] - _SCALES[left])
    return np.asarray(np.where(first > 0, at, smoothed[:, 0]))


def judge_calibration(calibration: SmoothCalibration, *, is_multi_label: bool = False, noun: str = "examples") -> Claim:
    """Return whether the model's probabilities can be taken at face value.

    Notes
    -----
    One test at 4 %: so often a perfect model is called off. 'Yes' asks for more than a test that found nothing: it must
    have been fine enough to find an error of 5 points.
    """
    question = "Can its probabilities be taken at face value?"
    c, facts = calibration, calibration.as_dict()
    limit = f"a perfect model shows up to {percent(c.null_95)} on so many {noun}"
    test = "smooth calibration error against simulated perfect models"
    if c.is_off:
        if is_multi_label:
            way = "expects more labels than there are" if c.gap > 0 else "expects fewer labels than there are"
        else:
            way = "claims more than it holds" if c.gap > 0 else "is right more often than it says"
        sentence = (
            f"No: they are off by {percent(c.error)}, where {limit}. It {way}, by {unsigned_points(c.gap)} on average."
        )
        return Claim("calibrated", question, "no", strength_of_p(c.p_value), sentence, facts, test, c.p_value, c.n)
    if c.null_95 <= WORTH_SAYING:
        strength = strength_of_bound(c.null_95, WORTH_SAYING * 1.001)
        sentence = f"Yes, as far as {c.n:,} {noun} tell: they are off by {percent(c.error)}, and {limit}."
        return Claim("calibrated", question, "yes", strength, sentence, facts, test, c.p_value, c.n)
    n_more = more_to_halve(c.n, now=c.null_95, wanted=WORTH_SAYING)
    sentence = f"No sign that they mislead, but this test is coarse: off by {percent(c.error)}, and {limit}."
    if n_more is not None:
        sentence += f" About {n_more:,} more test examples would tell."
    return Claim("calibrated", question, "can't tell", "none", sentence, facts, test, c.p_value, c.n, n_more)
