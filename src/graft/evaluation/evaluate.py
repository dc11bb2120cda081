"""All figures of one split: estimates, confusion, calibration, baselines; the form that ``metrics.json`` holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graft.core.errors import DataError
from graft.core.types import Estimate, Predictions
from graft.evaluation import metrics
from graft.evaluation.alignment import aligned, with_targets
from graft.evaluation.calibration import Calibration, expected_calibration_error
from graft.evaluation.comparisons import (
    PairedBootstrap,
    PairedTest,
    against_blind,
    holm,
    mcnemar_exact,
    paired_bootstrap,
)
from graft.evaluation.imbalance import Imbalance, imbalance_of
from graft.evaluation.intervals import NoInterval
from graft.evaluation.permutation import is_blind, permutation_p_value, permuted_macro_f1

__all__ = ["BaselineComparison", "Evaluation", "evaluate"]


@dataclass(frozen=True)
class BaselineComparison:
    """A baseline's own figures and the paired comparison of the model with it.

    Parameters
    ----------
    figures : accuracy and log_loss of the baseline, and macro_f1 where that leads.
    paired : the model (A) against the baseline (B), in the figure that leads.
    adjusted_p_value : Holm's, over all baselines.
    log_loss_difference : the model's minus the baseline's; below zero the model is better.
    accuracy_test : the exact test of the accuracy, where another figure leads.
    """

    figures: Mapping[str, Estimate | NoInterval]
    paired: PairedTest | PairedBootstrap
    adjusted_p_value: float
    log_loss_difference: Estimate | NoInterval
    accuracy_test: PairedTest | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        paired = self.paired.as_dict()
        paired["adjusted_p_value"] = self.adjusted_p_value
        paired["log_loss_difference"] = self.log_loss_difference.as_dict()
        found = {**{name: figure.as_dict() for name, figure in self.figures.items()}, "paired": paired}
        return found | ({} if self.accuracy_test is None else {"accuracy_test": self.accuracy_test.as_dict()})


@dataclass(frozen=True)
class Evaluation:
    """What one set of predictions is worth.

    Parameters
    ----------
    split : the split that was judged.
    figures : accuracy, balanced_accuracy, macro_f1, log_loss, brier, and top_k where there are three classes or more.
    label_names : n_classes names.
    confusion : (n_classes, n_classes) counts, rows true, columns predicted.
    recall, precision : one for each class.
    calibration : of the most probable class.
    baselines : by name.
    imbalance : how unequal the classes are; says which figure leads.
    n_without_target : examples that were left out, as their true class is not known.
    """

    split: str
    figures: Mapping[str, Estimate | NoInterval]
    label_names: tuple[str, ...]
    confusion: NDArray[np.int64]
    recall: tuple[Estimate | NoInterval, ...]
    precision: tuple[Estimate | NoInterval, ...]
    calibration: Calibration
    baselines: Mapping[str, BaselineComparison]
    imbalance: Imbalance
    n_without_target: int = 0

    @property
    def accuracy(self) -> Estimate | NoInterval:
        """Share of right answers."""
        return self.figures["accuracy"]

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form: strict JSON, where null stands for what could not be estimated."""
        return {
            self.split: {name: figure.as_dict() for name, figure in self.figures.items()},
            "headline": self.imbalance.headline,
            "imbalance": self.imbalance.as_dict(),
            "confusion": {
                "labels": list(self.label_names),
                "counts": self.confusion.tolist(),
                "recall": [r.as_dict() for r in self.recall],
                "precision": [p.as_dict() for p in self.precision],
            },
            "calibration": self.calibration.as_dict(),
            "baselines": {name: b.as_dict() for name, b in self.baselines.items()},
            "n_without_target": self.n_without_target,
        }


def evaluate(
    predictions: Predictions,
    *,
    baselines: Mapping[str, Predictions] | None = None,
    class_counts: NDArray[np.integer[Any]] | None = None,
    seed: int = 0,
) -> Evaluation:
    """Judge `predictions`, alone and beside baselines on the same examples.

    Where the classes are unequal (`graft.evaluation.imbalance`), macro-F1 leads, and baselines are tested by it.

    Parameters
    ----------
    predictions : logits may be -inf (probability 0), not NaN. Examples with target -1 are left out and counted.
    baselines : by name; the same examples, in any order.
    class_counts : (n_classes,), training examples of each class; None: the judged examples stand for them.
    seed : of the bootstrap draws and the simulated calibration.

    Raises
    ------
    DataError
        When no example has a target, a logit is NaN, a target is no class, or a baseline is of other examples.

    Examples
    --------
    >>> p = Predictions(["a", "b"], np.array([0, 1]), np.eye(2), ("cat", "dog"), "test")
    >>> evaluate(p).as_dict()["test"]["accuracy"]["value"]
    1.0
    """
    judged = with_targets(_checked(predictions, "the predictions"))
    if not len(judged):
        raise DataError(
            f"none of {len(predictions)} examples of split {predictions.split!r} has a target",
            expected="at least one example whose true class is known",
            fix="give a labelled split (Python: test=, command line: --test)",
        )
    others = {
        name: aligned(_checked(b, f"baseline {name!r}"), judged, name=name) for name, b in (baselines or {}).items()
    }
    means = _means(judged, others, seed=seed)
    figures: dict[str, Estimate | NoInterval] = {
        "accuracy": metrics.accuracy(judged),
        "balanced_accuracy": metrics.balanced_accuracy(judged, seed=seed),
        "macro_f1": metrics.macro_f1(judged, seed=seed),
        "log_loss": means["log_loss"],
        "brier": means["brier"],
    }
    counts = np.bincount(judged.targets, minlength=len(judged.label_names)) if class_counts is None else class_counts
    imbalance = imbalance_of(counts, judged.label_names)
    if imbalance.is_imbalanced:
        figures = {name: figures[name] for name in ("macro_f1", *(name for name in figures if name != "macro_f1"))}
    k = metrics.default_k(len(judged.label_names))
    if k is not None:
        figures[f"top_{k}"] = metrics.top_k(judged, k)
    return Evaluation(
        split=judged.split or "test",
        figures=figures,
        label_names=judged.label_names,
        confusion=metrics.confusion_matrix(judged),
        recall=tuple(metrics.per_class_recall(judged)),
        precision=tuple(metrics.per_class_precision(judged)),
        calibration=expected_calibration_error(judged, seed=seed),
        baselines=_compare(judged, others, means, headline=imbalance.headline, seed=seed),
        imbalance=imbalance,
        n_without_target=len(predictions) - len(judged),
    )


def _means(
    predictions: Predictions, baselines: Mapping[str, Predictions], *, seed: int
) -> dict[str, Estimate | NoInterval]:
    """Return all figures that are means over examples, from one set of bootstrap draws."""
    own = metrics.log_losses(predictions)
    values = {"log_loss": own, "brier": metrics.brier_scores(predictions)}
    for name, baseline in baselines.items():
        theirs = metrics.log_losses(baseline)
        with np.errstate(invalid="ignore"):  # inf - inf, where both gave a true class probability 0
            values |= {f"log_loss of {name}": theirs, f"difference to {name}": own - theirs}
    return metrics.mean_estimates(values, seed=seed)


def _compare(
    predictions: Predictions,
    baselines: Mapping[str, Predictions],
    means: Mapping[str, Estimate | NoInterval],
    *,
    headline: str,
    seed: int,
) -> dict[str, BaselineComparison]:
    accuracy_tests = {name: mcnemar_exact(predictions.is_correct, b.is_correct) for name, b in baselines.items()}
    tests: Mapping[str, PairedTest | PairedBootstrap] = accuracy_tests
    is_by_macro_f1 = headline == "macro_f1" and bool(baselines)
    if is_by_macro_f1:
        own, *theirs = metrics.draw_macro_f1([predictions, *baselines.values()], seed=seed)
        found = {
            name: paired_bootstrap(own, other, metric=headline) for name, other in zip(baselines, theirs, strict=True)
        }
        if any(map(is_blind, baselines.values())):
            p_value = permutation_p_value(own.value, permuted_macro_f1(predictions, seed=seed))
            found |= {name: against_blind(found[name], p_value=p_value) for name, b in baselines.items() if is_blind(b)}
        tests = found
    adjusted = holm([t.p_value for t in tests.values()])
    return {
        name: BaselineComparison(
            figures={
                "accuracy": metrics.accuracy(b),
                **({"macro_f1": metrics.macro_f1(b, seed=seed)} if is_by_macro_f1 else {}),
                "log_loss": means[f"log_loss of {name}"],
            },
            paired=tests[name],
            adjusted_p_value=p,
            log_loss_difference=means[f"difference to {name}"],
            accuracy_test=accuracy_tests[name] if is_by_macro_f1 else None,
        )
        for (name, b), p in zip(baselines.items(), adjusted, strict=True)
    }


def _checked(predictions: Predictions, what: str) -> Predictions:
    """Return `predictions` after refusing what no figure can be made of."""
    logits, n_classes = predictions.logits, len(predictions.label_names)
    is_bad = np.isnan(logits).any(axis=1) | np.isposinf(logits).any(axis=1) | np.isneginf(logits).all(axis=1)
    if is_bad.any():
        first = predictions.ids[int(np.flatnonzero(is_bad)[0])]
        raise DataError(
            f"{what}: {int(is_bad.sum())} of {len(predictions)} examples have logits that are not numbers"
            f" (first: {first!r})",
            expected="finite logits, or log-probabilities, where -inf is probability 0",
            fix="look for examples or weights that hold NaN; compute in fp32 (Python: precision='fp32')",
        )
    is_odd = (predictions.targets < -1) | (predictions.targets >= n_classes)
    if is_odd.any():
        first_odd = int(np.flatnonzero(is_odd)[0])
        raise DataError(
            f"{what}: target {int(predictions.targets[first_odd])} of {predictions.ids[first_odd]!r}",
            expected=f"a class index from 0 to {n_classes - 1}, or -1 where it is not known",
        )
    return predictions
