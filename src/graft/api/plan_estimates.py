"""From what was measured on a few examples to what a run of `fit` will take: seconds, bytes, and whether it fits."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from graft.api.config import FitConfig
from graft.api.config_values import seconds_of
from graft.api.corruption_time import foreseen_s, reserved_s
from graft.api.plan_measures import MethodMeasure, PassMeasure
from graft.api.tuning import AUTO_BUDGET_S
from graft.backbones.pretrained import PretrainedModel
from graft.data.kinds import ExampleKind
from graft.methods.budget import affordable_folds, fewest_steps, measuring_s, n_planned_runs, planned_run_s
from graft.methods.prepared import FineTuningMethod
from graft.methods.settings import FineTuning

__all__ = ["Fit", "Job", "checkpoint_bytes", "state_bytes"]

_INDEX_BYTES = 48  # of the feature cache an example: its key and its perceptual hash
_KEPT_CHECKPOINTS = 2
_END_S = 5.0  # saving, reloading, baselines, evaluation and report, as `graft.api.tuning` reserves it


@dataclass(frozen=True)
class Fit:
    """Whether a method fits into the time it is given.

    Parameters
    ----------
    is_whole : with all its folds and steps.
    n_folds : that it is held against the head on; 0: it does not fit at all.
    share : of its planned steps.
    """

    is_whole: bool
    n_folds: int
    share: float

    @property
    def is_tried(self) -> bool:
        """Whether it runs at all, however shortened."""
        return self.n_folds > 0


@dataclass(frozen=True)
class Job:
    """The sizes of a run of `fit` and the speeds of this machine.

    Parameters
    ----------
    kind : of the examples.
    n_train, n_valid, n_test : examples; what `fit` will hold out for the test is in `n_test`.
    is_test_ours : the data has no test split.
    n_folds : of the contest between the head and a fine-tuned network.
    prepared_bytes : on disk, of an example that is ready for fine-tuning.
    start_s : from the command to the loaded model.
    decode_s : seconds an example in one process.
    n_workers : processes that read.
    head_s : of the solver.
    """

    config: FitConfig
    kind: ExampleKind
    n_train: int
    n_valid: int
    n_test: int
    is_test_ours: bool
    n_folds: int
    n_features: int
    prepared_bytes: int
    start_s: float
    decode_s: float
    n_workers: int
    head_s: float
    is_gpu: bool
    measured: PassMeasure

    @property
    def n_pass(self) -> int:
        """Examples that the frozen network sees, views included."""
        return self.n_all + (self.config.views - 1) * (self.n_train + (self.n_test if self.is_test_ours else 0))

    @property
    def n_all(self) -> int:
        """Examples of all splits."""
        return self.n_train + self.n_valid + self.n_test

    @property
    def n_runs(self) -> int:
        """Runs of a contest, the last on all examples included; with a validation split there is no other."""
        return n_planned_runs(self.n_folds, soup=self.config.soup, has_valid=self.n_valid > 0)

    def decoded_s(self, n: int) -> float:
        """Return the seconds to read and preprocess `n` examples by the worker processes."""
        return n * self.decode_s / max(1, min(self._n_workers(n), _n_cores()))

    @property
    def pass_s(self) -> float:
        """Seconds of the one pass over all examples, the engine's start included; nothing is taken from the cache.

        On a CPU decoding takes its share of the cores from the network; beside a GPU both go on at the same time.
        """
        n, forward, decode = self.n_pass, self.measured.forward_s, self.decode_s
        if not self._n_workers(n):
            return self.measured.engine_s + n * (forward + decode)
        alone = self.decoded_s(n)
        return self.measured.engine_s + max(alone, n * (forward if self.is_gpu else forward + decode / _n_cores()))

    @property
    def end_s(self) -> float:
        """Seconds from the end of fine-tuning to the report, without corruptions, as `graft.api.tuning` has them."""
        n_held_out = self.n_valid + self.n_test
        each = max(self.measured.forward_s, 0.002)
        return _END_S + 1.3 * n_held_out * each + self.measured.engine_s + 0.4 * self.head_s

    @property
    def example_s(self) -> float:
        """Seconds an example, read, preprocessed and passed, as in the pass over all of them."""
        return (self.pass_s - self.measured.engine_s) / max(1, self.n_pass)

    @property
    def reserved_s(self) -> float:
        """Seconds of a time limit that are left for corruptions."""
        return reserved_s(
            self.config, self.kind, n_test=self.n_test, example_s=self.measured.forward_s, limit_s=self.limit_s
        )

    def seconds(self, settings: FineTuning | None = None, measure: MethodMeasure | None = None) -> dict[str, float]:
        """Return the seconds of each part of `fit` and of all; without a method those of the head alone."""
        parts = {"start": self.start_s, "pass": self.pass_s, "head": self.head_s}
        if settings is not None and measure is not None:
            own = planned_run_s(settings, measure.cost, n_train=self.n_train, n_valid=self.n_valid)
            parts |= {"examples": self.decoded_s(self.n_train + self.n_valid), "contest": self.n_runs * own}
        parts["end"] = self.end_s
        own = sum(parts.values())
        worse = foreseen_s(
            self.config, self.kind, n_test=self.n_test, example_s=self.example_s, seconds=own,
            is_tuned=settings is not None,
        )  # fmt: skip
        left = float("inf") if self.limit_s is None else max(0.0, self.limit_s - own)
        parts["corruptions"] = min(worse, left)
        return {**parts, "total": sum(parts.values())}

    def fit(self, method: FineTuningMethod, measure: MethodMeasure) -> Fit:
        """Return how `fit` would decide on a method: as `graft.methods.contest.hold_contest` does."""
        limit_s = self.limit_s
        is_named = self.config.strategy != "auto" or method.name != "lp-ft"  # auto tries no other
        budget_s = AUTO_BUDGET_S
        if limit_s is not None:
            budget_s = limit_s - self.start_s - self.pass_s - self.head_s - self.end_s - self.reserved_s
            if not is_named:
                budget_s = min(budget_s, AUTO_BUDGET_S)
        budget_s -= self.decoded_s(self.n_train + self.n_valid)
        budget_s -= measuring_s(method.settings, measure.cost, n_train=self.n_train)
        run_s = planned_run_s(method.settings, measure.cost, n_train=self.n_train, n_valid=self.n_valid)
        has_valid = self.n_valid > 0
        wanted = 1 if has_valid else self.n_folds
        n, share = affordable_folds(wanted, run_s=run_s, seconds=budget_s, soup=self.config.soup, has_valid=has_valid)
        planned = method.settings.n_steps(self.n_train)
        fewest = fewest_steps(planned, is_cut_short=limit_s is not None, is_kept_anyway=is_named)
        if share * planned < fewest or (limit_s is not None and budget_s < 1):
            return Fit(False, 0, share)
        return Fit(share == 1 and n == wanted, n, share)

    @property
    def limit_s(self) -> float | None:
        """The time limit that was given."""
        return None if self.config.time_limit is None else seconds_of(self.config.time_limit)

    def disk(
        self, model: PretrainedModel, method: FineTuningMethod | None, measure: MethodMeasure | None
    ) -> dict[str, int]:
        """Return the bytes of each kind of file when there is most, and of all.

        Feature cache and model stay; prepared examples, activations and checkpoints go when the run ends.
        """
        found = {
            "features": self.n_pass * (4 * self.n_features + _INDEX_BYTES),
            "examples": 0,
            "activations": 0,
            "checkpoints": 0,
            "model": state_bytes(model),
        }
        if method is not None and measure is not None:
            n = self.n_train + self.n_valid
            found["examples"] = n * self.prepared_bytes
            found["activations"] = self.n_runs * n * measure.activation_bytes
            found["checkpoints"] = self.n_runs * _KEPT_CHECKPOINTS * checkpoint_bytes(method, model, measure)
            found["model"] += 4 * measure.n_trainable if method.name == "lora" else 0
        return {**found, "total": sum(found.values())}

    def _n_workers(self, n: int) -> int:
        return min(self.n_workers, n // (2 * self.config.batch_size))


def state_bytes(model: PretrainedModel) -> int:
    """Return the bytes of the network's weights and buffers with its new head."""
    return sum(tensor.numel() * tensor.element_size() for tensor in model.network.state_dict().values())


def checkpoint_bytes(method: FineTuningMethod, model: PretrainedModel, measure: MethodMeasure) -> int:
    """Return the bytes of one checkpoint: weights, the best weights, the optimizer's moments, average and start."""
    settings: Any = method.settings
    trainable = 4 * measure.n_trainable
    weights = trainable if measure.activation_bytes else state_bytes(model)
    if method.name == "lora":
        weights += trainable
    n_more = 1 + (2 if settings.optimizer == "adamw" else 1) + (settings.ema_decay is not None) + (settings.l2_sp > 0)
    return weights + n_more * trainable


def _n_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
