"""The verdict on anybody's model: from predictions alone to a list of claims, each with its evidence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graft.core.text import percent
from graft.core.types import MultiLabelPredictions, Predictions
from graft.evaluation.alignment import aligned, with_targets
from graft.evaluation.claims import Claim, not_judged
from graft.evaluation.conformal import fit_conformal
from graft.evaluation.evaluate import Evaluation, evaluate
from graft.evaluation.evaluate_multi_label import MultiLabelEvaluation, evaluate_multi_label
from graft.evaluation.learning_curve import LearningCurve, judge_more_labels
from graft.evaluation.overfitting import judge_loss_history, judge_overfitting
from graft.evaluation.selection_bias import judge_selection, selection_bias
from graft.evaluation.shift import judge_shift
from graft.evaluation.signal import judge_signal
from graft.evaluation.similarity import FeatureChange, judge_features
from graft.evaluation.slices import find_slices, judge_slices
from graft.evaluation.smooth_calibration import judge_calibration, smooth_calibration_error

__all__ = ["Candidates", "judge"]


@dataclass(frozen=True)
class Candidates:
    """What all that was tried said of the examples that the choice was made by.

    Parameters
    ----------
    is_right : (n_examples, n_candidates), whether the out-of-fold answer was right.
    losses : (n_examples, n_candidates), out-of-fold log-losses, where the choice was made by them; None: it was made by
        the share of right answers.
    """

    is_right: NDArray[np.bool_]
    losses: NDArray[np.floating[Any]] | None = None


def judge(
    predictions: Predictions | MultiLabelPredictions,
    *,
    train: Predictions | MultiLabelPredictions | None = None,
    valid: Predictions | MultiLabelPredictions | None = None,
    baselines: Mapping[str, Any] | None = None,
    shift: Mapping[str, Predictions] | Mapping[str, MultiLabelPredictions] | None = None,
    candidates: Candidates | None = None,
    curve: LearningCurve | None = None,
    features: FeatureChange | None = None,
    is_frozen: bool = False,
    slices: Mapping[str, Sequence[Any] | NDArray[Any]] | None = None,
    history: Sequence[Mapping[str, Any]] = (),
    evaluation: Evaluation | MultiLabelEvaluation | None = None,
    has_probabilities: bool = True,
    seed: int = 0,
) -> list[Claim]:
    """Return what can be said of a model, claim by claim. What is not given is not spoken of.

    Parameters
    ----------
    predictions : of test examples that had no part in training or choice. Examples without a target are left out.
    train : of the examples that the model was trained on, by the final model.
    valid : of held-out examples other than the test's, for estimates on data without labels; None: the test's serve.
    baselines : predictions of the same test examples by name; ``"majority"`` and ``"prior"`` count as knowing nothing.
    shift : predictions of other data by name, with targets or without.
    candidates : all that was tried, for how far the choice flatters.
    curve : of accuracy over training sizes, see `fit_learning_curve`.
    features : before and after training, see `compare_features`; with `is_frozen` the network was not trained.
    slices : by name, one value for each test example: metadata, or clusters of features.
    history : looks at held-out examples while training: ``step``, ``log_loss``, ``accuracy``.
    evaluation : of the same predictions and baselines, where it was made already.
    has_probabilities : False: only the answers are known, and nothing is said that wants probabilities.

    Raises
    ------
    DataError
        As `evaluate`.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> y = rng.integers(0, 3, 300)
    >>> p = Predictions([str(i) for i in range(300)], y, 3 * np.eye(3)[y] + rng.normal(size=(300, 3)), ("a", "b", "c"))
    >>> from graft.evaluation import majority_baseline
    >>> b = majority_baseline(y, p.ids, y, label_names=p.label_names)
    >>> [(c.name, c.answer) for c in judge(p, baselines={"majority": b})]
    [('signal', 'yes'), ('calibrated', 'no')]
    """
    if isinstance(predictions, MultiLabelPredictions):
        return _of_label_sets(
            predictions,
            baselines or {},
            evaluation,
            train=train if isinstance(train, MultiLabelPredictions) else None,
            valid=valid,
            shift=shift or {},
            curve=curve,
            slices=slices,
            has_probabilities=has_probabilities,
            seed=seed,
        )
    judged = with_targets(predictions)
    others = {name: aligned(b, judged, name=name) for name, b in (baselines or {}).items()}
    if evaluation is None:
        evaluation = evaluate(predictions, baselines=others, seed=seed)
    claims = judge_signal(evaluation.baselines)
    calibration = smooth_calibration_error(judged, seed=seed) if has_probabilities else None
    if isinstance(train, Predictions) and calibration is not None:
        signal = next((claim.answer == "yes" for claim in claims if claim.name == "signal"), None)
        overfits = judge_overfitting(
            with_targets(train), judged, baselines=others, has_signal=signal, calibration=calibration, seed=seed
        )
        claims.append(overfits)
    if history and (risen := judge_loss_history(history, n=len(judged))) is not None:
        claims.append(risen)
    if candidates is not None and candidates.is_right.shape[1] > 1:
        by = None if candidates.losses is None else -np.minimum(candidates.losses, 50.0)
        claims.append(judge_selection(selection_bias(candidates.is_right.astype(float), criterion=by, seed=seed)))
    if calibration is not None:
        claims.append(judge_calibration(calibration))
    claims += _of_other_data(shift or {}, judged, valid, has_probabilities=has_probabilities, seed=seed)
    if curve is not None:
        claims.append(judge_more_labels(curve))
    if features is not None or is_frozen:
        claims += judge_features(features)
    if slices is not None:
        keep = np.flatnonzero(predictions.targets >= 0)
        columns = {name: [values[int(i)] for i in keep] for name, values in slices.items()}
        claims.append(judge_slices(find_slices(judged.is_correct, columns), n=len(judged)))
    if isinstance(valid, Predictions) and has_probabilities and len(with_targets(valid)):
        claims.append(_of_sets(valid, judged))
    return claims


def _of_other_data(
    shift: Mapping[str, Predictions] | Mapping[str, MultiLabelPredictions],
    judged: Predictions | MultiLabelPredictions,
    valid: Predictions | MultiLabelPredictions | None,
    *,
    has_probabilities: bool,
    seed: int,
) -> list[Claim]:
    """Return what is lost on each other data."""
    claims = []
    for name, other in shift.items():
        if has_probabilities or len(with_targets(other)):
            claims.append(judge_shift(name, other, judged, labelled=valid, seed=seed)[0])
        else:
            why = "an estimate without labels wants probabilities"
            claims.append(not_judged(f"shift:{name}", f"Does it lose on {name}?", why=why, n=len(other)))
    return claims


def _of_sets(valid: Predictions, judged: Predictions) -> Claim:
    """Return whether sets of classes fitted on `valid` hold the right one as often as they promise."""
    fitted = fit_conformal(valid, coverage=0.9)
    found = fitted.measured(judged)
    share = found["coverage"]
    question = "Do sets of likely classes hold the right one 90 times in 100?"
    facts = fitted.as_dict() | {
        "measured": share,
        "mean_size": found["mean_size"],
        "share_of_one": found["share_of_one"],
    }
    # The promise itself scatters with the examples it was fitted to.
    slack = 2 * float(np.sqrt(0.09 / fitted.n))
    told = f"{percent(share.value)} do, with {found['mean_size']:.1f} classes in the mean"
    if share.high < 0.9 - slack:
        return Claim("sets_cover", question, "no", "moderate", f"No: {told}.", facts, "split conformal", None, share.n)
    if share.low <= 0.9 + slack and share.high - share.low > 0.15:
        return Claim(
            "sets_cover",
            question,
            "can't tell",
            "none",
            f"Too few examples to tell: {told}.",
            facts,
            "split conformal",
            None,
            share.n,
        )
    return Claim("sets_cover", question, "yes", "moderate", f"Yes: {told}.", facts, "split conformal", None, share.n)


def _of_label_sets(
    predictions: MultiLabelPredictions,
    baselines: Mapping[str, Any],
    evaluation: Evaluation | MultiLabelEvaluation | None,
    *,
    train: MultiLabelPredictions | None,
    valid: Predictions | MultiLabelPredictions | None,
    shift: Mapping[str, Predictions] | Mapping[str, MultiLabelPredictions],
    curve: LearningCurve | None,
    slices: Mapping[str, Sequence[Any] | NDArray[Any]] | None,
    has_probabilities: bool,
    seed: int,
) -> list[Claim]:
    """Return the claims that make sense where an example may have several labels, and which are not judged."""
    judged = with_targets(predictions)
    if evaluation is None:
        evaluation = evaluate_multi_label(predictions, baselines=baselines, seed=seed)
    claims = judge_signal(evaluation.baselines)
    calibration = smooth_calibration_error(judged, seed=seed) if has_probabilities else None
    if calibration is not None:
        claims.append(judge_calibration(calibration, is_multi_label=True, noun="pairs of example and label"))
    if train is None and calibration is not None:
        why = "its answers on its training examples are not known"
        claims.append(not_judged("overfits", "Does it overfit?", why=why, n=len(judged)))
    elif train is not None and calibration is not None:
        signal = next((claim.answer == "yes" for claim in claims if claim.name == "signal"), None)
        others = {name: aligned(b, judged, name=name) for name, b in baselines.items()}
        overfits = judge_overfitting(
            with_targets(train), judged, baselines=others, has_signal=signal, calibration=calibration, seed=seed
        )
        claims.append(overfits)
    claims += _of_other_data(shift, judged, valid, has_probabilities=has_probabilities, seed=seed)
    if curve is not None:
        claims.append(judge_more_labels(curve))
    if slices is not None:
        keep = np.flatnonzero(predictions.is_known)
        known = {name: [values[int(i)] for i in keep] for name, values in slices.items()}
        found = find_slices(judged.is_correct, known)
        claims.append(judge_slices(found, n=len(judged), is_multi_label=True))
    return claims
