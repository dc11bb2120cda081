"""Whether a contest fits into the seconds that are left: what a step and a run cost, and who gets which share."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from torch import nn

from graft.methods.fine_tuning import FineTuned, fine_tune
from graft.methods.prepared import FineTuningMethod
from graft.methods.settings import FineTuning
from graft.methods.verdict import ALPHAS
from graft.methods.where import Where

__all__ = [
    "RunBudget", "RunCost", "affordable_folds", "fewest_steps", "measure_cost", "measuring_s", "n_planned_runs",
    "planned_run_s",
]  # fmt: skip

_FEWEST_STEPS = 50  # of a run that is cut short by a time limit; with fewer it is not worth its time
_STEPS = 4  # of which the first is not counted
_BATCHES = 2  # that the frozen part is measured on
_MEASURING = 0.1  # of the time left, after which no further step is measured
_TOO_MUCH = 0.5  # of the time left: a single step that would take so much is not tried


@dataclass(frozen=True)
class RunCost:
    """What this machine takes for a run.

    Parameters
    ----------
    step_s : seconds an optimizer step.
    frozen_s : seconds an example, once a run, for what the frozen part says of all its views; 0: nothing is cached.
    """

    step_s: float
    frozen_s: float = 0.0


def measure_cost(
    method: FineTuningMethod,
    network: nn.Module,
    *,
    n_rows: int,
    where: Where,
    n_steps: int = _STEPS,
    max_seconds: float | None = None,
    **common: Any,
) -> tuple[RunCost, FineTuned]:
    """Return what a run costs by a run of four steps, of which the first is left out; and that run.

    Parameters
    ----------
    n_rows : training examples; where the frozen part's output is cached, that of two batches of them is computed.
    where : with a folder, into which the step log and cached activations go.
    n_steps : at most so many; where there is but one, it is the measure.
    max_seconds : after these no further step is begun; one is always done. None: no bound.
    **common : what `fine_tune` takes.
    """
    assert where.folder is not None
    n = min(n_rows, _BATCHES * method.settings.batch_size) if getattr(method, "is_cached", False) else n_rows
    done = fine_tune(
        method, network, rows=np.arange(n), n_steps=n_steps, max_seconds=max_seconds, where=where, **common
    )
    step_s = 0.0
    if where.processes.is_main:
        lines = (where.folder / "steps.jsonl").read_text().splitlines()
        ends = [float(json.loads(line)["seconds"]) for line in lines]
        step_s = max(float(np.median(np.diff(ends))) if len(ends) > 1 else ends[0], 1e-4)
    return where.processes.from_main(RunCost(step_s, done.frozen_s / n)), done


def measuring_s(settings: FineTuning, cost: RunCost, *, n_train: int) -> float:
    """Return what `RunBudget.measure` takes itself."""
    return _STEPS * cost.step_s + min(n_train, _BATCHES * settings.batch_size) * cost.frozen_s


def planned_run_s(settings: FineTuning, cost: RunCost, *, n_train: int, n_valid: int = 0) -> float:
    """Return what one run on all training examples takes, its looks at held-out examples included.

    Parameters
    ----------
    n_valid : examples of the validation split; 0: a fifth of the training examples is held out.

    Notes
    -----
    A look takes a third of a step. The shares of the way to the fine-tuned weights are looked at with the whole
    network, whatever is cached for the run.
    """
    n_held_out = n_valid or 0.2 * n_train
    steps = settings.n_steps(n_train) * cost.step_s
    looks = (settings.evaluations + len(ALPHAS)) * n_held_out / settings.batch_size * cost.step_s / 3
    frozen = (n_train + n_valid + len(ALPHAS) * n_held_out) * cost.frozen_s
    return 1.1 * (steps + looks + frozen) + 1.0


def n_planned_runs(n_folds: int, *, soup: int = 1, has_valid: bool = False) -> int:
    """Return the runs of a contest: one a fold and `soup` on all examples; with a validation split only these.

    Examples
    --------
    >>> n_planned_runs(3), n_planned_runs(3, soup=2), n_planned_runs(1, soup=2, has_valid=True)
    (4, 5, 2)
    """
    return soup + (0 if has_valid else n_folds)


def affordable_folds(
    n_folds: int, *, run_s: float, seconds: float, soup: int = 1, has_valid: bool = False
) -> tuple[int, float]:
    """Return how many folds fit, at least 1, and the share of their runs' planned time that is there, at most 1.

    Parameters
    ----------
    run_s : of one run, see `planned_run_s`.
    seconds : that are left for all.

    Examples
    --------
    >>> affordable_folds(3, run_s=10.0, seconds=31.0)
    (2, 1.0)
    >>> affordable_folds(3, run_s=10.0, seconds=20.0, soup=3)
    (1, 0.5)
    """
    n = n_folds
    while n > 1 and n_planned_runs(n, soup=soup, has_valid=has_valid) * run_s > seconds:
        n -= 1
    needed = n_planned_runs(n, soup=soup, has_valid=has_valid) * run_s
    return n, max(0.0, min(1.0, seconds / needed))


def fewest_steps(n_planned: int, *, is_cut_short: bool, is_kept_anyway: bool) -> float:
    """Return with how many of the planned steps a run is still worth its time.

    Parameters
    ----------
    is_cut_short, is_kept_anyway : see `graft.methods.contest.hold_contest`.
    """
    if not is_cut_short:
        return n_planned
    return 1 if is_kept_anyway else min(_FEWEST_STEPS, n_planned / 4)


class RunBudget:
    """Seconds that are left, and what a run costs.

    Parameters
    ----------
    method : whose runs are reckoned.
    seconds_left : of the budget for all of them.
    n_train, n_valid : number of the training examples, and of those of the validation split, where that is the judge.
    soup : runs on all training examples.
    cost : what a run costs, where it is known; else `measure` finds it.
    """

    def __init__(
        self,
        method: FineTuningMethod,
        seconds_left: Callable[[], float],
        *,
        n_train: int,
        n_valid: int = 0,
        soup: int = 1,
        cost: RunCost | None = None,
    ) -> None:
        self._method, self._left, self._soup = method, seconds_left, soup
        self._n_train, self._n_valid = n_train, n_valid
        self.cost = cost or RunCost(0.0)

    def measure(self, network: nn.Module, *, where: Where, **common: Any) -> RunCost:
        """Return what a run costs, measured on real examples; what is written is removed.

        A run on as few examples as can be comes first: libraries are loaded in it. Whole steps follow until a tenth of
        the time left is used up, at least one. Where the few examples say, twice, that a single whole step would take
        more than half of the time left, none is tried, and what they say is the cost.
        """
        processes, n = where.processes, min(self._n_train, max(2, where.processes.n))
        with TemporaryDirectory() as name:
            folder = Path(name) if where.folder is None else where.folder / "measured"
            alone = replace(where, folder=folder, checkpoint_every_s=None, resume=False, console=None)
            try:
                self.cost = self._foretold(network, n, where=alone, **common)
                left = self._left()
                if self._whole_step_s() > _TOO_MUCH * left:  # without what the first run had to load
                    self.cost = self._foretold(network, n, where=alone.inside("again"), **common)
                    left = self._left()
                if self._whole_step_s() <= _TOO_MUCH * left:
                    self.cost, _ = measure_cost(
                        self._method,
                        network,
                        n_rows=self._n_train,
                        where=alone,
                        max_seconds=_MEASURING * left,
                        **common,
                    )
                processes.wait()
            finally:
                if processes.is_main:
                    shutil.rmtree(folder, ignore_errors=True)
        return self.cost

    def _foretold(self, network: nn.Module, n: int, **common: Any) -> RunCost:
        """Return the cost of whole steps as one step on `n` examples foretells it."""
        cost, _ = measure_cost(self._method, network, n_rows=n, n_steps=1, **common)
        return RunCost(cost.step_s * min(self._n_train, self._method.settings.batch_size) / n, cost.frozen_s)

    def _whole_step_s(self) -> float:
        """Return what measuring one whole step takes, the frozen part's pass before it included."""
        n_seen = min(self._n_train, _BATCHES * self._method.settings.batch_size)
        return self.cost.step_s + n_seen * self.cost.frozen_s

    def planned_run_s(self) -> float:
        """Return what one run on all training examples takes."""
        return planned_run_s(self._method.settings, self.cost, n_train=self._n_train, n_valid=self._n_valid)

    def planned_s(self, n_folds: int) -> float:
        """Return what the runs of `n_folds` and the last ones take."""
        return n_planned_runs(n_folds, soup=self._soup, has_valid=self._n_valid > 0) * self.planned_run_s()

    def affordable(self, n_folds: int) -> tuple[int, float]:
        """Return how many folds fit, at least 1, and the share of their planned time that is there, at most 1."""
        run_s, has_valid = self.planned_run_s(), self._n_valid > 0
        return affordable_folds(n_folds, run_s=run_s, seconds=self._left(), soup=self._soup, has_valid=has_valid)

    def share(self, n_left: int, *, n_now: int = 1) -> float:
        """Return the seconds for the loop of each of the next `n_now` of `n_left` equal runs."""
        own = self._left() * n_now / n_left
        overhead = 1.0 + 0.1 * own if n_left == n_now else 0.5 + 0.25 * own
        frozen = (self._n_train + self._n_valid) * self.cost.frozen_s  # before the loop of each
        return max(0.05, (own - overhead) / n_now - frozen)
