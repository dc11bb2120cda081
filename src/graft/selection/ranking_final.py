"""The last word on the first two of a ranking that features can't tell apart: a short fine-tuning run of each."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from graft.methods.prepared import FineTuningMethod
from graft.selection.trials import Trial, TrialBed, TrialResult, run_trial

__all__ = ["FINAL_SHARE", "ShortFinal", "hold_final"]

FINAL_SHARE: Final = 0.25  # of a whole run's steps
_FEWEST_STEPS: Final = 10
_CLEAR: Final = 1.645  # standard errors: a one-sided test at 5 %


@dataclass(frozen=True)
class ShortFinal:
    """What short runs of two models say on the same held-out examples.

    Parameters
    ----------
    first, second : names, in the order of the ranking.
    log_losses, accuracies : of both, after the short run.
    difference : held-out log-loss of the first less that of the second; above 0 the second is better.
    standard_error : of it, example by example.
    n : held-out examples.
    n_steps : of each run.
    seconds : of both, with what had to be done before the runs.
    """

    first: str
    second: str
    log_losses: tuple[float, float]
    accuracies: tuple[float, float]
    difference: float
    standard_error: float
    n: int
    n_steps: int
    seconds: float

    @property
    def is_turned(self) -> bool:
        """Whether the second is clearly ahead, and so goes first."""
        return self.difference > _CLEAR * self.standard_error

    @property
    def told(self) -> str:
        """What came of it, in words."""
        after = f"after {self.n_steps} steps of fine-tuning it is clearly ahead"
        if self.is_turned:
            return f"{self.second} goes before {self.first}: {after}"
        if self.difference < -_CLEAR * self.standard_error:
            return f"{self.first} stays before {self.second}: {after}"
        return f"{self.n_steps} steps of fine-tuning can't tell {self.first} and {self.second} apart either"

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "first": self.first,
            "second": self.second,
            "log_losses": list(self.log_losses),
            "accuracies": list(self.accuracies),
            "difference": self.difference,
            "standard_error": self.standard_error,
            "n": self.n,
            "n_steps": self.n_steps,
            "seconds": round(self.seconds, 3),
            "is_turned": self.is_turned,
        }


def hold_final(
    beds: Iterator[tuple[str, FineTuningMethod, TrialBed]],
    *,
    share: float = FINAL_SHARE,
    seconds_left: Callable[[], float] | None = None,
    expected_s: float = 0.0,
) -> ShortFinal | None:
    """Return the final of two models; None where there is no time for both.

    Parameters
    ----------
    beds : name, method and bed of the first, then of the second, of the same examples and splits; the second is asked
        for when the first has run, so that no two networks need be in memory.
    share : of the planned steps; each run has the full shape, warm-up and annealing.
    seconds_left : of the budget. The second is begun only if it can end in time, by what the first took; a run that
        would take longer than there is time for is broken off, and the final with it. None: no bound.
    expected_s : seconds that one of the two is expected to take; without twice as many left nothing is begun.
    """
    results: list[tuple[str, TrialResult, int]] = []
    began, took = time.monotonic(), expected_s
    while len(results) < 2:
        n_left = 2 - len(results)
        if seconds_left is not None and seconds_left() < n_left * took:
            return None
        started = time.monotonic()
        name, method, bed = next(beds)
        planned = method.settings.n_steps(bed.n_train)
        n_steps = min(planned, max(_FEWEST_STEPS, round(share * planned)))
        most = None if seconds_left is None else seconds_left() / n_left
        if most is not None and most <= 0:
            return None
        result = run_trial(bed, Trial(name, method, n_steps, 0, max_seconds=most))
        if result.is_cut:
            return None
        results.append((name, result, n_steps))
        del bed
        took = time.monotonic() - started
    (first, one, n_steps), (second, other, _) = results
    difference = one.losses.astype(np.float64) - other.losses
    n = len(difference)
    return ShortFinal(
        first=first,
        second=second,
        log_losses=(one.loss, other.loss),
        accuracies=(float(one.is_right.mean()), float(other.is_right.mean())),
        difference=float(difference.mean()),
        standard_error=float(difference.std(ddof=1) / np.sqrt(n)) if n > 1 else float("inf"),
        n=n,
        n_steps=n_steps,
        seconds=time.monotonic() - began,
    )
