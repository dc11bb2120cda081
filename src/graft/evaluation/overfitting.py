"""Does the model overfit: better on what it was trained on, at the price of new examples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy import special

from graft.core.seeds import generator
from graft.core.text import THIN, percent
from graft.core.types import Estimate, MultiLabelPredictions, Predictions
from graft.evaluation.calibration import fit_temperature
from graft.evaluation.claims import ALPHA, Claim, Strength, strength_of_bound, strength_of_p, unsigned_points
from graft.evaluation.comparisons import log_losses_of, mcnemar_exact
from graft.evaluation.distributions import fisher_exact, normal_above, normal_quantile
from graft.evaluation.multi_label_calibration import fit_prior_temperature, prior_log_odds, tempered
from graft.evaluation.multi_label_metrics import label_log_losses
from graft.evaluation.shift import unpaired_difference
from graft.evaluation.smooth_calibration import SmoothCalibration, smooth_calibration_error

__all__ = ["judge_loss_history", "judge_overfitting"]

AnyPredictions = Predictions | MultiLabelPredictions
QUESTION: Final = "Does it overfit?"
_STRICT = 0.01  # level of the tests of harm: an accusation wants more than one time in twenty
_HARM = 0.05  # share of the held-out loss that over-confidence must cost to be called harm
_CLOSE = 0.15  # a gap in accuracy that could still be larger is ruled out weakly
_FEWEST = 20  # held-out examples
_FLOOR = 30.0  # nats: what a probability of 0 for the truth counts in these means


def judge_overfitting(
    train: AnyPredictions,
    held_out: AnyPredictions,
    *,
    baselines: Mapping[str, AnyPredictions] | None = None,
    has_signal: bool | None = None,
    calibration: SmoothCalibration | None = None,
    seed: int = 0,
) -> Claim:
    """Return whether the model fits its training examples at the price of new ones.

    Parameters
    ----------
    train : the final model's predictions of the examples that it was trained on; targets known. With any number of
        labels an example right is what was given exactly its own.
    held_out : its predictions of examples that it had not seen; targets known.
    baselines : predictions of the same examples as `held_out`, in the same order, by name.
    has_signal : whether it was shown to do better than a guess on `held_out`; None: it is tested here.
    calibration : of `held_out`, where it is known; None: it is computed where it is wanted.
    seed : of the split in halves, and of the calibration's null.

    Notes
    -----
    A gap between training and held-out examples alone is no fault: a good probe on many features has all its training
    examples right. Two things must come together. First, a gap in log-loss or accuracy above its noise floor. Second,
    harm on the held-out examples: the model is so sure of itself that dividing its logits by one temperature, fitted on
    one half and measured on the other, saves more than 5 % of the log-loss; or its log-loss is above that of a simpler
    baseline. Both at the 1 % level.

    Where there is a gap and no proof of harm, the answer is that it memorises. 'No' is said of the harm alone, and only
    where little of it can have been missed, new examples are answered better than by a guess, and their confidence was
    not found to be too high; else it can't be told.
    """
    own, seen = np.minimum(log_losses_of(held_out), _FLOOR), np.minimum(log_losses_of(train), _FLOOR)
    n, right, right_seen = len(held_out), int(held_out.is_correct.sum()), int(train.is_correct.sum())
    gap = unpaired_difference(right_seen, len(train), right, n)
    loss_gap = float(own.mean() - seen.mean())
    loss_error = float(np.sqrt(own.var() / max(1, n - 1) + seen.var() / max(1, len(train) - 1)))
    floor = -float(normal_quantile(_STRICT)) * loss_error
    p_gap = min(_one_sided(loss_gap, loss_error), fisher_exact(_table(right_seen, train, right, held_out)))
    saved = _saved_by_temperature(held_out, own, seed=seed)
    worse = _worse_than(own, baselines or {})
    evidence: dict[str, Any] = {
        "train_accuracy": right_seen / len(train),
        "held_out_accuracy": right / n,
        "accuracy_gap": gap,
        "log_loss_gap": loss_gap,
        "log_loss_gap_noise_floor": floor,
        "log_loss_saved_by_temperature": saved,
        "worse_than": {name: {"log_loss_difference": d, "p_value": p} for name, (d, p) in worse.items()},
    }
    on_both = f"{percent(right_seen / len(train))} of its training examples are right and {percent(right / n)} of new"
    on_both += " ones by all of their labels" if isinstance(held_out, MultiLabelPredictions) else " ones"
    share = saved.value / max(float(own.mean()), 1e-12)
    p_saved = _one_sided(saved.value, (saved.high - saved.value) / 1.96)
    p_worse = min([1.0, *(p * len(worse) for _, p in worse.values())])
    is_sure = p_saved <= _STRICT and share >= _HARM
    strength: Strength
    has_gap, has_harm = p_gap <= _STRICT, is_sure or p_worse <= _STRICT
    p_value = max(p_gap, min(p_saved if share >= _HARM else 1.0, p_worse))
    if has_gap and has_harm:
        costs = []
        if is_sure:
            costs.append(
                f"it is so sure of its answers on new ones that {100 * share:.0f}{THIN}% of its log-loss comes of that"
                " alone"
            )
        costs += [
            f"its log-loss is above that of {name}" for name, (_, p) in worse.items() if p * len(worse) <= _STRICT
        ]
        sentence = f"Yes: {on_both}; {' and '.join(costs)}."
        return Claim("overfits", QUESTION, "yes", strength_of_p(p_value), sentence, evidence, _TEST, p_value, n)
    if n < _FEWEST:
        sentence = f"Can't tell: {n} held-out examples are too few."
        return Claim("overfits", QUESTION, "can't tell", "none", sentence, evidence, _TEST, p_value, n, _FEWEST * 5 - n)
    if not has_gap:
        sentence = (
            f"No: training and new examples fare alike, {unsigned_points(gap.value)} apart, which is within noise."
        )
        strength = "moderate" if gap.high < _CLOSE else "weak"
        return Claim("overfits", QUESTION, "no", strength, sentence, evidence, _TEST, p_value, n)
    if has_signal is None:
        has_signal = _beats_a_guess(held_out)
    if calibration is None:
        calibration = smooth_calibration_error(held_out, seed=seed)
    # Of labels the mean says whether too many are expected, not whether it is too sure of them.
    is_too_sure = calibration.is_off and (calibration.gap > 0 or isinstance(held_out, MultiLabelPredictions))
    evidence |= {"has_signal": has_signal, "is_too_sure_of_new_ones": is_too_sure}
    strength = strength_of_bound(saved.high / max(float(own.mean()), 1e-12), 4 * _HARM)
    start = f"It memorises: {on_both}"
    if has_signal and not is_too_sure and strength != "none":
        # Of all harm only that to its confidence was looked for: no strong 'no' rests on that.
        strength = "moderate" if strength == "strong" else strength
        if right_seen * n <= right * len(train):
            sentence = f"No: {on_both}; it is only surer of those that it was trained on."
        else:
            sentence = (
                f"It memorises, and no harm shows: {on_both}, but of new ones it is no surer than its share of right"
                " answers allows."
            )
        return Claim("overfits", QUESTION, "no", strength, sentence, evidence, _TEST, p_value, n)
    if not has_signal:
        why = "which is not shown to be better than a guess. What it learned may hold for its training examples alone"
    elif is_too_sure:
        why = "and it claims more on new ones than it holds. Whether memorising is what costs that can't be told"
    else:
        why = f"whether that harms new ones can't be told from {n:,} of them"
    sentence = f"{start}, {why}."
    return Claim("overfits", QUESTION, "can't tell", "none", sentence, evidence, _TEST, p_value, n, 3 * n)


_TEST = "gap of train and held-out with harm (temperature on halves, paired log-loss), one-sided"


def _beats_a_guess(held_out: AnyPredictions) -> bool:
    """Return whether more is right than by giving all examples their most frequent class, or set of labels."""
    _, number, counts = np.unique(held_out.targets, axis=0, return_inverse=True, return_counts=True)
    test = mcnemar_exact(held_out.is_correct, number.ravel() == counts.argmax())
    return test.difference.value > 0 and test.p_value <= ALPHA


def _table(right_a: int, a: AnyPredictions, right_b: int, b: AnyPredictions) -> NDArray[np.int64]:
    return np.array([[right_a, len(a) - right_a], [right_b, len(b) - right_b]])


def _one_sided(value: float, error: float) -> float:
    if not error > 0:
        return 1.0 if value <= 0 else 0.0
    return float(normal_above(value / error))


def _saved_by_temperature(p: AnyPredictions, own: NDArray[np.float64], *, seed: int) -> Estimate:
    """Return the log-loss that a temperature above 1 saves, fitted on half of the examples, measured on the rest."""
    n = len(p)
    if n < _FEWEST:
        return Estimate(0.0, -float("inf"), float("inf"), n, "too few examples")
    half = generator(seed, "halves", n).permutation(n) % 2
    saved = np.zeros(n)
    for k in (0, 1):
        rows = np.flatnonzero(half == k)
        cooled = _cooled(p, np.flatnonzero(half != k), rows)
        if cooled is not None:
            saved[rows] = own[rows] - cooled
    value, error = float(saved.mean()), float(saved.std(ddof=1) / np.sqrt(n))
    return Estimate(value, value - 1.96 * error, value + 1.96 * error, n, "cross-fitted halves, normal")


def _cooled(p: AnyPredictions, fitted: NDArray[np.int64], rows: NDArray[np.int64]) -> NDArray[np.float64] | None:
    """Return the log-losses of `rows` at the temperature that suits `fitted`; None where that is not above 1."""
    if isinstance(p, MultiLabelPredictions):
        z = np.clip(p.logits.astype(np.float64), -_FLOOR, _FLOOR)
        centre = prior_log_odds(p.targets[fitted])
        temperature = fit_prior_temperature(z[fitted], p.targets[fitted], centre=centre)
        cool = replace(p, logits=tempered(z, temperature, centre=centre))
        return label_log_losses(cool)[rows] if temperature > 1 else None
    z = np.maximum(p.log_probabilities, -_FLOOR)
    temperature = fit_temperature(z[fitted], p.targets[fitted])
    if temperature <= 1:
        return None
    return np.asarray(-special.log_softmax(z[rows] / temperature, axis=1)[np.arange(rows.size), p.targets[rows]])


def _worse_than(own: NDArray[np.float64], baselines: Mapping[str, AnyPredictions]) -> dict[str, tuple[float, float]]:
    """Return by baseline how far the model's log-loss lies above it, and the one-sided p-value."""
    found = {}
    for name, other in baselines.items():
        d = own - np.minimum(log_losses_of(other), _FLOOR)
        error = float(d.std(ddof=1) / np.sqrt(d.size)) if d.size > 1 else 0.0
        found[name] = (float(d.mean()), _one_sided(float(d.mean()), error))
    return found


def judge_loss_history(history: Sequence[Mapping[str, Any]], *, n: int) -> Claim | None:
    """Return whether the held-out loss rose while training went on, said apart from what the metric did.

    Parameters
    ----------
    history : looks at the held-out examples while training, each with ``step``, ``log_loss`` and, where known,
        ``accuracy``. Fewer than four looks: None is returned.
    n : held-out examples behind each look.

    Notes
    -----
    The rise is from the least loss to the last. It is called one where it is at least 5 % of the least, and the losses
    after the least rise with the steps (Kendall's test, one-sided at 5 %, or at least four looks all above it). The
    metric holds where its last value is no lower than the interval at the least loss allows.
    """
    looks = [line for line in history if np.isfinite(line.get("log_loss", np.nan))]
    if len(looks) < 4:
        return None
    losses = np.array([line["log_loss"] for line in looks], dtype=np.float64)
    best = int(losses.argmin())
    rise = float(losses[-1] - losses[best]) / max(float(losses[best]), 1e-12)
    after = losses[best:]
    p_value = 1.0
    if after.size >= 4:
        from scipy import stats  # dear to import, and only fine-tuning has a history

        found = stats.kendalltau(np.arange(after.size), after, alternative="greater")
        p_value = float(found.pvalue) if np.isfinite(found.pvalue) else 1.0
    question = "Did more training make it worse?"
    evidence: dict[str, Any] = {
        "least_log_loss": float(losses[best]),
        "last_log_loss": float(losses[-1]),
        "step_of_least": looks[best].get("step"),
        "last_step": looks[-1].get("step"),
    }
    metric = ""
    if "accuracy" in looks[-1] and "accuracy" in looks[best]:
        then, now = float(looks[best]["accuracy"]), float(looks[-1]["accuracy"])
        evidence |= {"accuracy_at_least": then, "last_accuracy": now}
        noise = 1.96 * float(np.sqrt(max(then * (1 - then), 1 / n) / n))
        metric = f" while accuracy {'held' if now >= then - noise else 'fell'} ({percent(then)} to {percent(now)})"
    test = "rise after the least held-out loss, Kendall"
    if rise >= 0.05 and p_value <= 0.05:
        sentence = (
            f"Yes: the held-out loss rose by {100 * rise:.0f}{THIN}% after step {evidence['step_of_least']}{metric}: it"
            " grew surer, not better."
        )
        return Claim("loss_rises", question, "yes", strength_of_p(p_value), sentence, evidence, test, p_value, n)
    if rise >= 0.05:
        sentence = (
            f"Can't tell: the held-out loss ended {100 * rise:.0f}{THIN}% above its least{metric}, without a clear"
            " trend."
        )
        return Claim("loss_rises", question, "can't tell", "none", sentence, evidence, test, p_value, n)
    sentence = f"No: the held-out loss ended within {100 * rise:.0f}{THIN}% of its least{metric}."
    return Claim("loss_rises", question, "no", "moderate", sentence, evidence, test, p_value, n)
