"""The learning rate as a function of how far the run has come, and of nothing else.

Progress, not the step, is the argument: a run that is bounded by time anneals just as one that is bounded by steps,
and a resumed run needs no state.
"""

from __future__ import annotations

import math
from typing import Final, Literal

__all__ = ["EXPONENTIAL_SPAN", "Schedule", "rate_factor"]

Schedule = Literal["cosine", "linear", "constant", "exponential"]
EXPONENTIAL_SPAN: Final = 1e4


def rate_factor(progress: float, *, schedule: Schedule, warmup_fraction: float) -> float:
    """Return what the highest learning rate is multiplied by, 0 to 1.

    Parameters
    ----------
    progress : share of the run that is done, 0 to 1; of a step take its middle, ``(step + 0.5) / n_steps``, so that
        neither the first nor the last step is without effect.
    schedule : ``"cosine"`` falls to 0 as half a cosine, ``"linear"`` in a line, ``"constant"`` not at all;
        ``"exponential"`` rises over the whole run, from a ten-thousandth, evenly in the logarithm: a range test.
    warmup_fraction : share of the run in which the factor rises from 0 to 1 in a line.

    References
    ----------
    Loshchilov and Hutter, SGDR, 2016, equation 5 (one period, lower rate 0).

    Examples
    --------
    >>> [round(rate_factor(p, schedule="cosine", warmup_fraction=0.2), 2) for p in (0.1, 0.2, 0.6, 1.0)]
    [0.5, 1.0, 0.5, 0.0]
    """
    progress = min(max(progress, 0.0), 1.0)
    if schedule == "exponential":
        return float(EXPONENTIAL_SPAN ** (progress - 1))
    if progress < warmup_fraction:
        return progress / warmup_fraction
    if schedule == "constant" or warmup_fraction >= 1:
        return 1.0
    left = (1 - progress) / (1 - warmup_fraction)
    return left if schedule == "linear" else 0.5 * (1 - math.cos(math.pi * left))
