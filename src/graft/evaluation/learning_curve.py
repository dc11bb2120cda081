"""Would more labels help: a power law through errors at several sizes, and how far it may be trusted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from graft.core.errors import DataError
from graft.core.seeds import generator
from graft.core.types import Estimate
from graft.evaluation.claims import Claim, Strength, signed_points, span_points, unsigned_points

__all__ = ["MOST_TIMES", "LearningCurve", "fit_learning_curve", "judge_more_labels"]

MOST_TIMES: Final = 4.0
"""How many times the labels at hand a curve is extended to, at most."""

WORTH_HAVING: Final = 0.01  # a gain below 1 point is taken for none
_EXPONENTS = np.geomspace(0.08, 2.0, 18)
_FLOORS = np.linspace(0.0, 0.95, 14)  # share of the error at the largest size that more labels never take away
_LOG_PRIOR = -0.5 * (np.log(_EXPONENTS / 0.5) / 0.6) ** 2
_ROUGH = 0.03  # relative error of a power law as a description, at the largest size and again for each halving


@dataclass(frozen=True)
class LearningCurve:
    """Curves ``error = a n^-b + c`` that the observed errors allow.

    Parameters
    ----------
    sizes : (n_sizes,), training examples, ascending.
    errors : (n_sizes, n_draws), observed share of wrong answers.
    n_now : labels at hand.
    a, b, c : (n_samples,), of each curve.
    scatter : standard deviation of the error of one training set of one example; that of n is so much over root n.
    held_out : (n_samples,), factor by which the held-out examples are easier or harder than they should be.
    figure : what the accuracy is the share of, where that is not right answers; empty else.
    """

    sizes: NDArray[np.float64]
    errors: NDArray[np.float64]
    n_now: int
    a: NDArray[np.float64]
    b: NDArray[np.float64]
    c: NDArray[np.float64]
    scatter: float
    held_out: NDArray[np.float64]
    figure: str = ""

    def accuracy(self, n: float, *, level: float = 0.95, seed: int = 0) -> Estimate:
        """Return the accuracy of one model trained on `n` examples, with the band that it lies in.

        Raises
        ------
        DataError
            When `n` is more than four times the labels at hand.
        """
        self._refuse(n)
        rng = generator(seed, "curve", int(n))
        mean = self._curve(n) / self.held_out
        drawn = mean + rng.normal(size=mean.size) * self.scatter / np.sqrt(n)
        low, high = np.clip(np.quantile(1 - drawn, [(1 - level) / 2, (1 + level) / 2]), 0.0, 1.0)
        value = float(1 - np.median(self._curve(n)))
        return Estimate(value, min(float(low), value), max(float(high), value), int(n), _METHOD, level)

    def gain(self, n: float, *, level: float = 0.95) -> Estimate:
        """Return how much accuracy `n` labels would add to that of the labels at hand.

        Raises
        ------
        DataError
            When `n` is more than four times the labels at hand.
        """
        self._refuse(n)
        drawn = self._curve(self.n_now) - self._curve(n)
        low, value, high = np.quantile(drawn, [(1 - level) / 2, 0.5, (1 + level) / 2])
        return Estimate(float(value), float(low), float(high), int(n), _METHOD, level)

    def _curve(self, n: float) -> NDArray[np.float64]:
        return np.asarray(self.a * float(n) ** -self.b + self.c)

    def _refuse(self, n: float) -> None:
        if not 0 < n <= MOST_TIMES * self.n_now * (1 + 1e-9):
            raise DataError(
                f"the curve at {n:g} examples, from {self.n_now}",
                expected=f"at most {MOST_TIMES:g} times the labels at hand",
                fix="label some more, and ask again",
            )

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form: what was observed, and the band up to four times the labels."""
        ahead = [round(self.n_now * t) for t in (1, 1.41, 2, 2.83, 4)]
        inside = [int(s) for s in self.sizes]
        return {
            "n_now": self.n_now,
            "figure": self.figure,
            "observed": [
                {"n": int(s), "accuracy": float(1 - e.mean()), "low": float(1 - e.max()), "high": float(1 - e.min())}
                for s, e in zip(self.sizes, self.errors, strict=True)
            ],
            "curve": [{"at": n, **self.accuracy(n).as_dict()} for n in sorted({*inside, *ahead})],
            "twice": self.gain(2 * self.n_now).as_dict(),
            "four_times": self.gain(4 * self.n_now).as_dict(),
        }


_METHOD = "power law, bootstrap of the draws with sampled curves"


def fit_learning_curve(
    sizes: Sequence[int] | NDArray[Any],
    accuracies: NDArray[np.floating[Any]],
    *,
    n_now: int | None = None,
    n_held_out: int | None = None,
    figure: str = "",
    n_samples: int = 2_000,
    seed: int = 0,
) -> LearningCurve:
    """Return the power laws that accuracies at several training sizes allow.

    Parameters
    ----------
    sizes : (n_sizes,), training examples; at least five different ones.
    accuracies : (n_sizes, n_draws), on held-out examples, of models trained on different subsets; at least five draws.
        A draw is one column: its held-out examples are the same at all sizes.
    n_now : labels at hand; None: the largest size.
    n_held_out : held-out examples, where all draws share the same ones; None: each draw has its own, so that the
        bootstrap over draws holds their scatter.
    figure : what the accuracies are shares of, where that is not right answers.
    n_samples : curves to keep.

    Raises
    ------
    DataError
        When there are too few sizes or draws, or a value is not an accuracy.

    Notes
    -----
    Least squares through a handful of points fixes neither exponent nor floor, and the one best curve would hide that.
    So each bootstrap draw takes one curve of a grid of exponents and floors, with a chance that falls with its misfit;
    exponents are taken to lie around 0.5, as published curves do. No fit is believed closer than 3 %, and 3 % more
    with each halving of the size: near to chance, where few examples leave off, errors are no power law.

    References
    ----------
    Hestness et al. 2017, Deep learning scaling is predictable, empirically (the form, and its exponents).
    Viering and Loog 2021, The shape of learning curves: a review (how poorly such fits extrapolate).

    Examples
    --------
    >>> n = np.array([25, 50, 100, 200, 400])
    >>> truth = 1 - (0.9 * n**-0.5 + 0.02)
    >>> curve = fit_learning_curve(n, truth[:, None] + np.random.default_rng(0).normal(size=(5, 8)) * 0.01)
    >>> e = curve.accuracy(1600)
    >>> e.low < 1 - (0.9 / 40 + 0.02) < e.high
    True
    """
    size = np.asarray(sizes, dtype=np.float64)
    table = 1 - np.asarray(accuracies, dtype=np.float64)
    if table.ndim != 2 or len(size) != len(table) or len(np.unique(size)) < 5 or table.shape[1] < 5 or size.min() < 1:
        raise DataError(
            f"accuracies {table.shape} at {len(np.unique(size))} sizes",
            expected="(n_sizes, n_draws), at least five different sizes and five draws",
        )
    if not np.isfinite(table).all() or table.min() < -1e-9 or table.max() > 1 + 1e-9:
        raise DataError("accuracies that are not shares", expected="values from 0 to 1")
    order = np.argsort(size)
    size, table = size[order], table[order]
    n_draws = table.shape[1]
    rng = generator(seed, "learning curve", *map(int, size))
    mean = table.mean(axis=1)
    rows = rng.integers(0, n_draws, size=(n_samples, n_draws))
    drawn = table[:, rows].mean(axis=2).T  # (n_samples, n_sizes)
    drawn = mean + (drawn - mean) * np.sqrt(n_draws / (n_draws - 1))
    drawn = np.maximum(drawn, 1e-4)
    left = table - table.mean(axis=0) - (mean - mean.mean())[:, None]
    spread = (left**2).sum(axis=1) / (n_draws - 1)
    spread = (spread + spread.mean()) / 2  # five draws are few to tell sizes apart
    rough = _ROUGH * (1 + np.log2(size[-1] / size))
    error = spread / n_draws + (rough * np.maximum(mean, 0.005)) ** 2
    a, b, c = _sample_curves(size, drawn, 1 / error, rng)
    held_out = np.ones(n_samples)
    if n_held_out is not None:
        wrong = float(np.clip(mean[-1], 1 / n_held_out, 1 - 1 / n_held_out))
        held_out = np.maximum(0.1, 1 + rng.normal(size=n_samples) * np.sqrt((1 - wrong) / (wrong * n_held_out)))
    return LearningCurve(
        sizes=size,
        errors=table,
        n_now=int(size[-1]) if n_now is None else n_now,
        a=a,
        b=b,
        c=c,
        scatter=float(np.sqrt((spread * size).mean())),
        held_out=held_out,
        figure=figure,
    )


def _sample_curves(
    size: NDArray[np.float64], drawn: NDArray[np.float64], weight: NDArray[np.float64], rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return one curve for each row of `drawn`: a, b, c, each (n_samples,)."""
    x = size[None, :] ** -_EXPONENTS[:, None]  # (n_exponents, n_sizes)
    floor = _FLOORS[:, None] * drawn.min(axis=1)  # (n_floors, n_samples)
    scale = np.empty((len(_EXPONENTS), *floor.shape))
    misfit = np.empty_like(scale)
    for i, row in enumerate(x):
        rest = drawn[None] - floor[:, :, None]
        scale[i] = np.maximum((rest * row * weight).sum(axis=2) / (row**2 * weight).sum(), 0.0)
        misfit[i] = (weight * (rest - scale[i][:, :, None] * row) ** 2).sum(axis=2)
    chance = -0.5 * misfit + _LOG_PRIOR[:, None, None]
    flat = (chance + rng.gumbel(size=chance.shape)).reshape(-1, len(drawn))
    cell = flat.argmax(axis=0)
    i, j = np.unravel_index(cell, chance.shape[:2])
    k = np.arange(len(drawn))
    return scale[i, j, k], _EXPONENTS[i], floor[j, k]


def judge_more_labels(curve: LearningCurve) -> Claim:
    """Return whether twice the labels would help, and by how much."""
    question = "Would more labels help?"
    twice, most = curve.gain(2 * curve.n_now), curve.gain(MOST_TIMES * curve.n_now)
    facts = {"twice": twice, "four_times": most, "n_now": curve.n_now}
    test = "power law over resampled sizes"
    told = f"twice the labels: {signed_points(twice.value)}, {span_points(twice)}"
    told += f" ({curve.figure})" if curve.figure else ""
    further = f"four times: {signed_points(most.value)}, {span_points(most)}"
    n = curve.n_now
    strength: Strength
    if twice.low > WORTH_HAVING / 2 and twice.value >= WORTH_HAVING:
        strength = "strong" if twice.low > WORTH_HAVING else "moderate"
        return Claim("more_labels", question, "yes", strength, f"Yes: {told}; {further}.", facts, test, None, n)
    if twice.high < 2 * WORTH_HAVING:
        sentence = f"Hardly: {told}. More than {unsigned_points(twice.high)} is not to be expected."
        strength = "strong" if twice.high < WORTH_HAVING else "moderate"
        return Claim("more_labels", question, "no", strength, sentence, facts, test, None, n)
    return Claim("more_labels", question, "can't tell", "none", f"Perhaps: {told}; {further}.", facts, test, None, n)
