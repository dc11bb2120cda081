"""What predictions are worth: figures with intervals, calibration, paired comparisons. NumPy and SciPy only."""

from __future__ import annotations

from graft.evaluation.baselines import frequency_baseline, majority_baseline
from graft.evaluation.bootstrap import bca_bootstrap
from graft.evaluation.calibration import Calibration, expected_calibration_error, fit_temperature
from graft.evaluation.claims import Claim
from graft.evaluation.comparisons import PairedBootstrap, PairedTest, holm, mcnemar_exact, paired_log_loss
from graft.evaluation.conformal import ConformalSets, conformal_quantile, fit_conformal
from graft.evaluation.decision import DecisionRule, choose_decision, decision_offset
from graft.evaluation.evaluate import BaselineComparison, Evaluation, evaluate
from graft.evaluation.evaluate_multi_label import MultiLabelComparison, MultiLabelEvaluation, evaluate_multi_label
from graft.evaluation.imbalance import Imbalance, imbalance_of
from graft.evaluation.intervals import NoInterval, clopper_pearson, proportion, wilson
from graft.evaluation.judge import Candidates, judge
from graft.evaluation.label_free import accuracy_without_labels, without_labels
from graft.evaluation.label_free_sets import exact_match_without_labels
from graft.evaluation.labelling import next_to_label
from graft.evaluation.learning_curve import LearningCurve, fit_learning_curve
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
from graft.evaluation.selection_bias import SelectionBias, selection_bias
from graft.evaluation.shift import unpaired_difference
from graft.evaluation.similarity import compare_features, linear_cka, neighbour_overlap
from graft.evaluation.slices import Slice, benjamini_hochberg, find_slices
from graft.evaluation.smooth_calibration import SmoothCalibration, smooth_calibration_error

__all__ = [
    "BaselineComparison",
    "Calibration",
    "Candidates",
    "Claim",
    "ConformalSets",
    "DecisionRule",
    "Evaluation",
    "Imbalance",
    "LearningCurve",
    "MultiLabelComparison",
    "MultiLabelEvaluation",
    "NoInterval",
    "PairedBootstrap",
    "PairedTest",
    "SelectionBias",
    "Slice",
    "SmoothCalibration",
    "accuracy",
    "accuracy_without_labels",
    "balanced_accuracy",
    "bca_bootstrap",
    "benjamini_hochberg",
    "brier",
    "choose_decision",
    "clopper_pearson",
    "compare_features",
    "conformal_quantile",
    "confusion_matrix",
    "decision_offset",
    "evaluate",
    "evaluate_multi_label",
    "exact_match_without_labels",
    "expected_calibration_error",
    "find_slices",
    "fit_conformal",
    "fit_learning_curve",
    "fit_temperature",
    "frequency_baseline",
    "holm",
    "imbalance_of",
    "judge",
    "linear_cka",
    "log_loss",
    "macro_f1",
    "majority_baseline",
    "mcnemar_exact",
    "neighbour_overlap",
    "next_to_label",
    "paired_log_loss",
    "per_class_precision",
    "per_class_recall",
    "proportion",
    "selection_bias",
    "smooth_calibration_error",
    "top_k",
    "unpaired_difference",
    "wilson",
    "without_labels",
]
