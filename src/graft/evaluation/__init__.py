"""What predictions are worth: figures with intervals, calibration, paired comparisons. NumPy and SciPy only."""

from __future__ import annotations

from graft.evaluation.baselines import frequency_baseline, majority_baseline
from graft.evaluation.bootstrap import bca_bootstrap
from graft.evaluation.calibration import Calibration, expected_calibration_error, fit_temperature
from graft.evaluation.comparisons import PairedBootstrap, PairedTest, holm, mcnemar_exact, paired_log_loss
from graft.evaluation.decision import DecisionRule, choose_decision, decision_offset
from graft.evaluation.evaluate import BaselineComparison, Evaluation, evaluate
from graft.evaluation.evaluate_multi_label import MultiLabelComparison, MultiLabelEvaluation, evaluate_multi_label
from graft.evaluation.imbalance import Imbalance, imbalance_of
from graft.evaluation.intervals import NoInterval, clopper_pearson, proportion, wilson
from graft.evaluation.metrics import (
    accuracy,
    balanced_accuracy,
    brier,
    confusion_matrix,
    log_loss,
    macro_f1,
    per_class_precision,
    per_class_recall,
    top_k,
)

__all__ = [
    "BaselineComparison",
    "Calibration",
    "DecisionRule",
    "Evaluation",
    "Imbalance",
    "MultiLabelComparison",
    "MultiLabelEvaluation",
    "NoInterval",
    "PairedBootstrap",
    "PairedTest",
    "accuracy",
    "balanced_accuracy",
    "bca_bootstrap",
    "brier",
    "choose_decision",
    "clopper_pearson",
    "confusion_matrix",
    "decision_offset",
    "evaluate",
    "evaluate_multi_label",
    "expected_calibration_error",
    "fit_temperature",
    "frequency_baseline",
    "holm",
    "imbalance_of",
    "log_loss",
    "macro_f1",
    "majority_baseline",
    "mcnemar_exact",
    "paired_log_loss",
    "per_class_precision",
    "per_class_recall",
    "proportion",
    "top_k",
    "wilson",
]
