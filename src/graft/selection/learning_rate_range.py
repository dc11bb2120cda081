"""The range test: one run whose rate rises by four decades. Graft takes a ceiling from it, never the rate itself.

Smith, Cyclical Learning Rates for Training Neural Networks, 2017, section 3.3: https://arxiv.org/abs/1506.01186
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from graft.core.seeds import derive_seed
from graft.methods.fine_tuning import fine_tune
from graft.methods.prepared import FineTuningMethod
from graft.selection.trials import TrialBed, chance_loss
from graft.training.divergence import DivergedError
from graft.training.schedules import EXPONENTIAL_SPAN

__all__ = ["RangeTest", "range_test", "read_curve"]

_SMOOTHING = 0.9


@dataclass(frozen=True)
class RangeTest:
    """What a run with a rising rate showed.

    Parameters
    ----------
    ceiling : rate from which on the loss stayed above that of knowing nothing, or ceased to be finite; infinite where
        neither happened.
    suggestion : rate of the steepest fall, which such tests recommend; kept to be compared with.
    n_steps : that were done.
    """

    ceiling: float
    suggestion: float
    n_steps: int

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        ceiling = self.ceiling if math.isfinite(self.ceiling) else None
        return {"ceiling": ceiling, "suggestion": self.suggestion, "n_steps": self.n_steps}


def range_test(method: FineTuningMethod, bed: TrialBed, *, centre: float, n_steps: int) -> RangeTest:
    """Return the range test from a hundredth to a hundredfold of a rate, on the rows of the first split.

    Parameters
    ----------
    centre : in the middle of the range, for example the prior.
    """
    high = centre * math.sqrt(EXPONENTIAL_SPAN)
    settings = replace(method.settings, learning_rate=high, schedule="exponential", warmup_fraction=0.0)
    changed: Any = method
    if getattr(method, "is_cached", False):
        changed = replace(changed, is_cached=False)
    has_diverged = False
    with TemporaryDirectory() as name:
        where = replace(bed.where, folder=Path(name), checkpoint_every_s=None, resume=False, console=None)
        try:
            fine_tune(
                replace(changed, settings=settings),
                bed.network,
                head=bed.head,
                start=bed.starts[0],
                task=bed.task,
                examples=bed.examples,
                rows=bed.splits[0][0],
                n_steps=n_steps,
                refit=None,
                seed=derive_seed(bed.seed, "range test"),
                where=where,
            )
        except DivergedError:
            has_diverged = True
        lines: list[dict[str, Any]] = []
        if where.processes.is_main:
            text = (Path(name) / "steps.jsonl").read_text(encoding="utf-8")
            lines = [json.loads(line) for line in text.splitlines()]
    found = read_curve(
        [line["learning_rate"] for line in lines],
        [line["loss"] for line in lines],
        chance=chance_loss(bed.examples.targets),
        has_diverged=has_diverged,
        high=high,
    )
    return where.processes.from_main(found)


def read_curve(rates: list[float], losses: list[float], *, chance: float, has_diverged: bool, high: float) -> RangeTest:
    """Return ceiling and suggestion of a curve.

    Parameters
    ----------
    rates, losses : by step.
    chance : loss of knowing nothing.
    has_diverged : whether the next step's loss was not finite.
    high : the end of the range.

    Examples
    --------
    >>> rates = [10 ** (-5 + i / 10) for i in range(40)]
    >>> losses = [1.0 - i / 40 if i < 30 else 3.0 for i in range(40)]
    >>> read_curve(rates, losses, chance=2.3, has_diverged=False, high=0.1).ceiling > rates[30]
    True
    """
    if len(rates) < 2:
        return RangeTest(rates[0] if rates else high, rates[0] if rates else high, len(rates))
    smooth, value = np.empty(len(losses)), 0.0
    for i, loss in enumerate(losses):
        value = _SMOOTHING * value + (1 - _SMOOTHING) * min(loss, 1e6)
        smooth[i] = value / (1 - _SMOOTHING ** (i + 1))
    is_lost = smooth > chance
    is_lost = np.flip(np.cumprod(np.flip(is_lost))).astype(bool)  # and never came back
    ceiling = rates[int(np.argmax(is_lost))] if is_lost.any() else rates[-1] if has_diverged else math.inf
    end = int(np.argmax(is_lost)) if is_lost.any() else len(rates)
    slope = np.gradient(smooth[: max(2, end)], np.log(rates[: max(2, end)]))
    return RangeTest(float(ceiling), float(rates[int(np.argmin(slope))]), len(rates))
