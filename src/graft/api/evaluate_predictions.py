"""`evaluate --predictions`: figures and claims on the predictions of any framework."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

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
    import numpy as np

    from graft.data.prediction_files import read_prediction_file
    from graft.evaluation import evaluate, find_slices, judge, majority_baseline
    from graft.evaluation.alignment import with_targets

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
    test = parts[chosen]
    train = parts.get("train")
    known = train if train is not None else with_targets(test)
    others = {
        "majority": majority_baseline(known.targets, test.ids, test.targets, label_names=test.label_names, split=chosen)
    }
    for name, path in (baselines or {}).items():
        said = read_prediction_file(path, label_names=test.label_names).predictions
        if chosen not in said:
            raise DataError(f"{path} has no rows of split {chosen!r}", expected="predictions of the same examples")
        others[name] = said[chosen]
    counts = None if train is None else np.bincount(train.targets[train.targets >= 0], minlength=len(test.label_names))
    evaluation = evaluate(test, baselines=others, class_counts=counts, seed=seed)
    held_out = next((parts[name] for name in _HELD_OUT if name in parts), None)
    columns = found.columns[chosen]
    claims = judge(
        test,
        train=train,
        valid=held_out,
        baselines=others,
        shift={name: p for name, p in parts.items() if name not in ("train", *_HELD_OUT, chosen)},
        slices={"class": [None if t < 0 else test.label_names[int(t)] for t in test.targets], **columns},
        evaluation=evaluation,
        has_probabilities=found.has_probabilities,
        seed=seed,
    )
    metrics = evaluation.as_dict()
    metrics["claims"] = [claim.as_dict() for claim in claims]
    keep = np.flatnonzero(test.targets >= 0)
    kept = {name: [values[int(i)] for i in keep] for name, values in columns.items()}
    metrics["slices"] = [part.as_dict() for part in find_slices(test.is_correct[keep], kept)[:20]]
    return metrics if found.has_probabilities else _of_answers(metrics, chosen)


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
