"""All figures of one split whose examples may have several labels, in the form that ``metrics.json`` holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graft.core.errors import DataError
from graft.core.types import UNKNOWN, Estimate, MultiLabelPredictions
from graft.evaluation import multi_label_metrics as metrics
from graft.evaluation.alignment import aligned, with_targets
from graft.evaluation.bootstrap import Draws
from graft.evaluation.calibration import Calibration, expected_calibration_error
from graft.evaluation.comparisons import PairedBootstrap, against_blind, holm, paired_bootstrap
from graft.evaluation.intervals import NoInterval
from graft.evaluation.metrics import mean_estimates
from graft.evaluation.permutation import is_blind, permutation_p_value, permuted_mean_average_precision

__all__ = ["HEADLINE", "MultiLabelComparison", "MultiLabelEvaluation", "evaluate_multi_label"]

HEADLINE = "mean_average_precision"
"""The figure that leads and that baselines are tested by: it weighs all labels alike, and needs no threshold."""


@dataclass(frozen=True)
class MultiLabelComparison:
    """A baseline's own figures and the paired comparison of the model with it.

    Parameters
    ----------
    figures : mean_average_precision, micro_f1, macro_f1 and log_loss of the baseline.
    paired : mean average precision of the model (A) against the baseline (B).
    adjusted_p_value : Holm's, over all baselines.
    log_loss_difference : the model's minus the baseline's; below zero the model is better.
    """

    figures: Mapping[str, Estimate | NoInterval]
    paired: PairedBootstrap
    adjusted_p_value: float
    log_loss_difference: Estimate | NoInterval

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        paired = self.paired.as_dict()
        paired["adjusted_p_value"] = self.adjusted_p_value
        paired["log_loss_difference"] = self.log_loss_difference.as_dict()
        return {**{name: figure.as_dict() for name, figure in self.figures.items()}, "paired": paired}


@dataclass(frozen=True)
class MultiLabelEvaluation:
    """What one set of predictions of label sets is worth.

    Parameters
    ----------
    split : the split that was judged.
    figures : mean_average_precision, micro_f1, macro_f1, exact_match and log_loss (mean over examples and labels).
    label_names : n_labels names.
    counts : (n_labels,), examples that have each label.
    thresholds : (n_labels,), from which on a label was given.
    average_precision : one for each label, None where no example has it.
    f1, precision, recall : one for each label.
    calibration : of all labels' probabilities together.
    baselines : by name.
    n_without_target : examples that were left out, as their labels are not known.
    """

    split: str
    figures: Mapping[str, Estimate | NoInterval]
    label_names: tuple[str, ...]
    counts: NDArray[np.int64]
    thresholds: NDArray[np.float64]
    average_precision: tuple[float | None, ...]
    f1: tuple[Estimate | NoInterval, ...]
    precision: tuple[Estimate | NoInterval, ...]
    recall: tuple[Estimate | NoInterval, ...]
    calibration: Calibration
    baselines: Mapping[str, MultiLabelComparison]
    n_without_target: int = 0

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form: strict JSON, where null stands for what could not be estimated."""
        return {
            self.split: {name: figure.as_dict() for name, figure in self.figures.items()},
            "headline": HEADLINE,
            "labels": {
                "names": list(self.label_names),
                "counts": self.counts.tolist(),
                "thresholds": self.thresholds.tolist(),
                "average_precision": list(self.average_precision),
                "f1": [e.as_dict() for e in self.f1],
                "precision": [e.as_dict() for e in self.precision],
                "recall": [e.as_dict() for e in self.recall],
            },
            "calibration": self.calibration.as_dict(),
            "baselines": {name: b.as_dict() for name, b in self.baselines.items()},
            "n_without_target": self.n_without_target,
        }


def evaluate_multi_label(
    predictions: MultiLabelPredictions,
    *,
    baselines: Mapping[str, MultiLabelPredictions] | None = None,
    n_draws: int = 2_000,
    seed: int = 0,
) -> MultiLabelEvaluation:
    """Judge `predictions` of label sets, alone and beside baselines on the same examples.

    Parameters
    ----------
    predictions : logits may be infinite (probability 0 or 1), not NaN. Examples whose labels are not known are left
        out and counted.
    baselines : by name; the same examples, in any order.
    n_draws : bootstrap draws, fewer where examples times labels are many.
    seed : of the bootstrap draws and the simulated calibration.

    Raises
    ------
    DataError
        When no example's labels are known, a logit is NaN, a target is neither 0 nor 1, or a baseline is of other
        examples.

    Examples
    --------
    >>> y = np.array([[1, 0], [0, 1], [1, 1], [0, 0]], np.uint8)
    >>> p = MultiLabelPredictions(list("abcd"), y, 4.0 * y - 2.0, ("cat", "dog"), "test")
    >>> evaluate_multi_label(p).as_dict()["test"]["exact_match"]["value"]
    1.0
    """
    judged = with_targets(_checked(predictions, "the predictions"))
    if not len(judged):
        raise DataError(
            f"none of {len(predictions)} examples of split {predictions.split!r} has known labels",
            expected="at least one example whose labels are known",
            fix="give a labelled split (Python: test=, command line: --test)",
        )
    others = {
        name: aligned(_checked(b, f"baseline {name!r}"), judged, name=name) for name, b in (baselines or {}).items()
    }
    own, *theirs = metrics.draw_figures([judged, *others.values()], n_draws=n_draws, seed=seed)
    losses = _losses(judged, others, seed=seed)
    precisions = metrics.average_precisions(judged)
    return MultiLabelEvaluation(
        split=judged.split or "test",
        figures={
            **{name: metrics.figure_of(own[name], judged, name=name) for name in metrics.RESAMPLED},
            "exact_match": metrics.exact_match(judged),
            "log_loss": losses["log_loss"],
        },
        label_names=judged.label_names,
        counts=metrics.label_counts(judged)[2],
        thresholds=judged.thresholds,
        average_precision=tuple(float(p) if np.isfinite(p) else None for p in precisions),
        f1=tuple(metrics.per_label_f1(judged)),
        precision=tuple(metrics.per_label_precision(judged)),
        recall=tuple(metrics.per_label_recall(judged)),
        calibration=expected_calibration_error(judged, seed=seed),
        baselines=_compare(judged, own, others, theirs, losses, n_draws=n_draws, seed=seed),
        n_without_target=len(predictions) - len(judged),
    )


def _losses(
    predictions: MultiLabelPredictions, baselines: Mapping[str, MultiLabelPredictions], *, seed: int
) -> dict[str, Estimate | NoInterval]:
    """Return the log-losses and their differences, from one set of bootstrap draws."""
    own = metrics.label_log_losses(predictions)
    values = {"log_loss": own}
    for name, baseline in baselines.items():
        other = metrics.label_log_losses(baseline)
        with np.errstate(invalid="ignore"):  # inf - inf, where both gave the truth probability 0
            values |= {f"log_loss of {name}": other, f"difference to {name}": own - other}
    return mean_estimates(values, seed=seed)


def _compare(
    predictions: MultiLabelPredictions,
    own: Mapping[str, Draws],
    baselines: Mapping[str, MultiLabelPredictions],
    theirs: list[dict[str, Draws]],
    losses: Mapping[str, Estimate | NoInterval],
    *,
    n_draws: int,
    seed: int,
) -> dict[str, MultiLabelComparison]:
    tests = [paired_bootstrap(own[HEADLINE], other[HEADLINE], metric=HEADLINE) for other in theirs]
    if any(map(is_blind, baselines.values())):
        permuted = permuted_mean_average_precision(predictions, n_draws=n_draws, seed=seed)
        p_value = permutation_p_value(own[HEADLINE].value, permuted)
        tests = [
            against_blind(test, p_value=p_value) if is_blind(b) else test
            for test, b in zip(tests, baselines.values(), strict=True)
        ]
    adjusted = holm([t.p_value for t in tests])
    return {
        name: MultiLabelComparison(
            figures={
                **{figure: metrics.figure_of(draws[figure], b, name=figure) for figure in metrics.RESAMPLED},
                "log_loss": losses[f"log_loss of {name}"],
            },
            paired=test,
            adjusted_p_value=p,
            log_loss_difference=losses[f"difference to {name}"],
        )
        for (name, b), draws, test, p in zip(baselines.items(), theirs, tests, adjusted, strict=True)
    }


def _checked(predictions: MultiLabelPredictions, what: str) -> MultiLabelPredictions:
    """Return `predictions` after refusing what no figure can be made of."""
    is_bad = np.isnan(predictions.logits).any(axis=1)
    if is_bad.any():
        first = predictions.ids[int(np.flatnonzero(is_bad)[0])]
        raise DataError(
            f"{what}: {int(is_bad.sum())} of {len(predictions)} examples have logits that are not numbers"
            f" (first: {first!r})",
            expected="log-odds; infinite ones are probabilities of 0 and 1",
            fix="look for examples or weights that hold NaN; compute in fp32 (Python: precision='fp32')",
        )
    is_set = ((predictions.targets == 0) | (predictions.targets == 1)).all(axis=1)
    is_odd = ~is_set & ~(predictions.targets == UNKNOWN).all(axis=1)
    if is_odd.any():
        first_odd = int(np.flatnonzero(is_odd)[0])
        raise DataError(
            f"{what}: targets {predictions.targets[first_odd].tolist()[:8]} of {predictions.ids[first_odd]!r}",
            expected=f"0 or 1 for each label, or {UNKNOWN} in the whole row where they are not known",
        )
    return predictions
