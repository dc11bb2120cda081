"""`evaluate --predictions`: figures and claims on the predictions of any framework."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from graft.core.decision import AnyPredictions
from graft.core.errors import DataError, UsageError

__all__ = ["evaluate_predictions"]

_HELD_OUT = ("valid", "out_of_fold")


def evaluate_predictions(
    file: str | Path,
    *,
    baselines: Mapping[str, str | Path] | None = None,
    split: str | None = None,
    seed: int = 0,
    say: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """Return the figures of a file of predictions in the form of ``metrics.json``, with claims.

    Parameters
    ----------
    file : see `graft.data.prediction_files.read_prediction_file`. Of its splits, ``train`` serves the question of
        overfitting, ``valid`` (or ``out_of_fold``) that of sets of classes; every other one is judged as a shift.
    baselines : files of other models' predictions of the same test examples, by name.
    split : the split that is judged; None: ``test``, or the only one.
    seed : of bootstrap and simulation.
    say : told what is remarkable.

    Raises
    ------
    DataError
        When a file does not have the form, or no example of the split has a target.
    UsageError
        When there is no such split.
    """
    from graft.data.prediction_files import read_prediction_file

    found = read_prediction_file(file)
    for note in found.notes:
        say(note)
    parts = found.predictions
    chosen = split or ("test" if "test" in parts else next(iter(parts)) if len(parts) == 1 else None)
    if chosen is None or chosen not in parts:
        raise UsageError(
            f"no split {chosen or 'test'!r} in {file}; it has {', '.join(parts)}",
            expected="rows of the split that is judged",
            fix="--split NAME (Python: split='NAME')",
        )
    others = _baselines(parts, chosen)
    for name, path in (baselines or {}).items():
        said = read_prediction_file(path, label_names=parts[chosen].label_names).predictions
        if chosen not in said:
            raise DataError(f"{path} has no rows of split {chosen!r}", expected="predictions of the same examples")
        if type(said[chosen]) is not type(parts[chosen]):
            raise DataError(f"{path}: one of the two files holds sets of labels", expected=f"the form of {file}")
        others[name] = said[chosen]
    metrics = _figures(parts, chosen, others, found.columns[chosen], found.has_probabilities, seed=seed)
    return metrics if found.has_probabilities else _of_answers(metrics, chosen)


def _baselines(parts: Mapping[str, AnyPredictions], chosen: str) -> dict[str, Any]:
    """Return the baseline that knows the labels' shares alone, of ``train`` or else of the judged examples."""
    from graft.core.types import MultiLabelPredictions
    from graft.evaluation import frequency_baseline, majority_baseline
    from graft.evaluation.alignment import with_targets

    test = parts[chosen]
    known = parts["train"] if "train" in parts else with_targets(test)
    baseline, name = (
        (frequency_baseline, "prior") if isinstance(test, MultiLabelPredictions) else (majority_baseline, "majority")
    )
    return {name: baseline(known.targets, test.ids, test.targets, label_names=test.label_names, split=chosen)}


def _figures(
    parts: Mapping[str, Any],
    chosen: str,
    others: Mapping[str, Any],
    columns: Mapping[str, list[Any]],
    has_probabilities: bool,
    *,
    seed: int,
) -> dict[str, Any]:
    """Return the figures of a split, with claims and the kinds of example that fail."""
    import numpy as np

    from graft.core.types import MultiLabelPredictions
    from graft.evaluation import evaluate, evaluate_multi_label, find_slices, judge
    from graft.evaluation.slices import truth_columns

    test, train = parts[chosen], parts.get("train")
    evaluation: Any
    if isinstance(test, MultiLabelPredictions):
        is_known = test.is_known
        evaluation = evaluate_multi_label(test, baselines=others, seed=seed)
    else:
        is_known = test.targets >= 0
        counts = None
        if train is not None:
            counts = np.bincount(train.targets[train.targets >= 0], minlength=len(test.label_names))
        evaluation = evaluate(test, baselines=others, class_counts=counts, seed=seed)
    claims = judge(
        test,
        train=train,
        valid=next((parts[name] for name in _HELD_OUT if name in parts), None),
        baselines=others,
        shift={name: p for name, p in parts.items() if name not in ("train", *_HELD_OUT, chosen)},
        slices={**truth_columns(test), **columns},
        evaluation=evaluation,
        has_probabilities=has_probabilities,
        seed=seed,
    )
    metrics: dict[str, Any] = evaluation.as_dict()
    metrics["claims"] = [claim.as_dict() for claim in claims]
    keep = np.flatnonzero(is_known)
    kept = {name: [values[int(i)] for i in keep] for name, values in columns.items()}
    metrics["slices"] = [part.as_dict() for part in find_slices(test.is_correct[keep], kept)[:20]]
    return metrics


def _of_answers(metrics: dict[str, Any], split: str) -> dict[str, Any]:
    """Return the figures without those that want probabilities."""
    wanted = {"accuracy", "balanced_accuracy", "macro_f1"}
    metrics[split] = {name: figure for name, figure in metrics[split].items() if name in wanted}
    metrics.pop("calibration")
    for claim in metrics["claims"]:
        claim["evidence"].pop("log_loss_difference", None)
    for baseline in metrics["baselines"].values():
        baseline.pop("log_loss", None)
        baseline["paired"].pop("log_loss_difference", None)
    return metrics
