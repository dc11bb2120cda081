"""Whether a contest fits into the seconds that are left: what a step and a run cost, and who gets which share."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from torch import nn

from graft.methods.fine_tuning import Where, fine_tune
from graft.methods.prepared import FineTuningMethod
from graft.methods.verdict import ALPHAS

__all__ = ["RunBudget"]


class RunBudget:
    """Seconds that are left, and what a run costs.

    Parameters
    ----------
    method : whose runs are reckoned.
    seconds_left : of the budget for all of them.
    n_train : number of the training examples.
    """

    def __init__(self, method: FineTuningMethod, seconds_left: Callable[[], float], *, n_train: int) -> None:
        self._method, self._left, self._n_train = method, seconds_left, n_train
        self._step_s = 0.0

    def measure(self, network: nn.Module, *, where: Where, **common: Any) -> float:
        """Return the seconds of a step: the second half of four, on real examples."""
        alone = replace(where, folder=None, resume=False, console=None)
        method: Any = self._method
        if getattr(method, "is_cached", False):
            method = replace(method, is_cached=False)
        seconds = []
        for n_steps in (1, 3):
            began = time.perf_counter()
            fine_tune(method, network, rows=np.arange(self._n_train), n_steps=n_steps, where=alone, **common)
            seconds.append(time.perf_counter() - began)
        self._step_s = float(where.processes.from_main(max((seconds[1] - seconds[0]) / 2, 1e-4)))
        return self._step_s

    def planned_run_s(self) -> float:
        """Return what one run on all training examples takes, its looks at held-out examples included."""
        settings = self._method.settings
        steps = settings.n_steps(self._n_train) * self._step_s
        looks = (settings.evaluations + len(ALPHAS)) * 0.2 * self._n_train / settings.batch_size * self._step_s / 3
        return 1.1 * (steps + looks) + 1.0

    def planned_s(self, n_folds: int, *, has_valid: bool = False) -> float:
        """Return what `n_folds` runs and the last one take."""
        return (n_folds + (0 if has_valid else 1)) * self.planned_run_s()

    def affordable(self, splits: list[Any], *, has_valid: bool) -> tuple[list[Any], float]:
        """Return the splits that fit, and the share of their planned time that is there.

        Parameters
        ----------
        has_valid : a validation split is the judge: there is no last run besides.
        """
        n = len(splits)
        while n > 1 and self.planned_s(n, has_valid=has_valid) > self._left():
            n -= 1
        return splits[:n], min(1.0, self._left() / self.planned_s(n, has_valid=has_valid))

    def share(self, n_runs_left: int, soup: int) -> float:
        """Return the seconds for the loop of the next of `n_runs_left` equal runs."""
        own = self._left() / n_runs_left
        overhead = 1.0 + 0.1 * own if n_runs_left == 1 else 0.5 + 0.25 * own
        return max(0.05, (own - overhead) / soup)
