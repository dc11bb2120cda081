"""What held-out examples say of a contender beside the probe: the share, the temperature, and the paired test."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graft.core.text import percent
from graft.core.types import MultiLabelPredictions, Predictions
from graft.evaluation.calibration import fit_temperature
from graft.evaluation.comparisons import log_losses_of, mcnemar_exact, paired_log_loss
from graft.evaluation.intervals import NoInterval
from graft.evaluation.multi_label_calibration import choose_thresholds, fit_prior_temperature, prior_log_odds, tempered

__all__ = ["ALPHAS", "Verdict", "judge_contender", "verdict_sentence"]

ALPHAS = (0.2, 0.4, 0.6, 0.8, 1.0)
_LEVEL = 0.9  # of the two-sided interval, so that being below zero is a one-sided test at 5 %
_ROUNDING = 1e-6  # nats: a smaller gain is none


@dataclass(frozen=True)
class Verdict:
    """What held-out examples say of the contender.

    Parameters
    ----------
    alpha : share of the way from the probe's weights to the fine-tuned ones that had the least log-loss.
    temperature : of the logits at that share.
    logits : (n_held_out, n_classes), at that share, divided by the temperature.
    is_better : whether the log-loss is below the probe's by a one-sided paired test at 5 %, and no such test finds the
        accuracy below the probe's: at a hundred examples accuracy itself is too lumpy to ask more of it.
    figures : JSON values: both models' accuracy and log-loss, the differences with their intervals, and McNemar's test.
        Where an example may have several labels, ``"score"`` says so, and accuracy is the share of exact label sets.
    thresholds : (n_classes,), probabilities from which on the contender gives a label; None: one class an example.
    is_right_of_all, losses_of_all : (n_held_out, 1 + n_alphas), of the probe and the contender at every share.
    """

    alpha: float
    temperature: float
    logits: NDArray[np.float32]
    is_better: bool
    figures: dict[str, Any]
    thresholds: NDArray[np.float64] | None = None
    is_right_of_all: NDArray[np.bool_] | None = None
    losses_of_all: NDArray[np.float32] | None = None


def judge_contender(
    probe_logits: NDArray[np.float32],
    logits_by_alpha: NDArray[np.float32],
    targets: NDArray[np.integer[Any]],
    *,
    seed: int = 0,
    alphas: tuple[float, ...] = ALPHAS,
    centre: NDArray[np.float64] | None = None,
    incumbent: tuple[str, NDArray[np.float32]] | None = None,
) -> Verdict:
    """Return which share of the way is best, and whether the contender beats the probe there.

    Parameters
    ----------
    probe_logits : (n, n_classes), calibrated.
    logits_by_alpha : (n_alphas, n, n_classes), not yet calibrated.
    targets : (n,), class numbers; or (n, n_classes), 0 or 1, for several labels an example.
    centre : (n_classes,), of several labels an example, what a temperature moves the logits towards, see `HeadFit`;
        None: the log-odds of their shares in `targets`.
    incumbent : name and calibrated logits (n, n_classes) of a contender that is ahead of the probe: the contender must
        be better than both.

    Notes
    -----
    Choosing among five shares on the examples of the test flatters the contender a little: the shares' predictions
    are nearly the same, so by far less than five independent models would.
    """
    makes = _label_sets if targets.ndim == 2 else _classes
    if targets.ndim == 2 and centre is None:
        centre = prior_log_odds(targets)
    tried = []
    for alpha, logits in zip(alphas, logits_by_alpha, strict=True):
        if centre is None:
            temperature = fit_temperature(logits, targets)
        else:
            temperature = fit_prior_temperature(logits, targets, centre=centre)
        calibrated = tempered(logits, temperature, centre=centre)
        loss = float(log_losses_of(found := makes(calibrated, targets)).mean())
        tried.append((loss, alpha, temperature, found))
    best_loss, alpha, temperature, contender = min(tried, key=lambda row: (row[0], row[1]))
    probe = makes(np.asarray(probe_logits, dtype=np.float32), targets)
    is_better, tests = _is_better(contender, probe, seed=seed)
    figures: dict[str, Any] = {}
    if incumbent is not None:
        name, logits = incumbent
        ahead = makes(np.asarray(logits, dtype=np.float32), targets)
        beats_it, against = _is_better(contender, ahead, seed=seed)
        is_better = is_better and beats_it
        figures = {"incumbent": {"method": name, **_scores(ahead), "is_beaten": beats_it, **against}}
    return Verdict(
        alpha=alpha,
        temperature=temperature,
        logits=np.asarray(contender.logits, dtype=np.float32),
        is_better=bool(is_better),
        figures={
            "n": len(targets),
            "alpha": alpha,
            "score": "exact label sets" if targets.ndim == 2 else "accuracy",
            "log_loss_by_alpha": {f"{a:g}": row[0] for a, row in zip(alphas, tried, strict=True)},
            "probe": _scores(probe),
            "contender": {"accuracy": float(contender.is_correct.mean()), "log_loss": best_loss},
            **tests,
            **figures,
        },
        is_right_of_all=np.stack([one.is_correct for one in (probe, *(row[3] for row in tried))], axis=1),
        losses_of_all=np.stack([log_losses_of(one) for one in (probe, *(row[3] for row in tried))], axis=1).astype(
            np.float32
        ),
        thresholds=contender.thresholds if isinstance(contender, MultiLabelPredictions) else None,
    )


def verdict_sentence(name: str, facts: dict[str, Any]) -> str:
    """Return what a user is told of the verdict on a method.

    Parameters
    ----------
    facts : `Verdict.figures` with ``held_out``, ``is_better`` and ``seconds_evidence``.
    """
    both, n = (facts["probe"], facts["contender"]), facts["n"]
    rival = "the probe"
    word = "beats" if facts["is_better"] else "does not beat"
    if ahead := facts.get("incumbent"):
        both = (ahead, facts["contender"])
        rival = str(ahead["method"])
    return (
        f"{name} {word} {rival} on {n:,} held-out examples ({facts['held_out']}): {facts['score']}"
        f" {percent(both[1]['accuracy'])} against {percent(both[0]['accuracy'])}, log-loss {both[1]['log_loss']:.4f}"
        f" against {both[0]['log_loss']:.4f}; mixing weight {facts['alpha']:g}; {facts['seconds_evidence']:.0f} s"
    )


def _is_better(contender: Any, rival: Any, *, seed: int) -> tuple[bool, dict[str, Any]]:
    """Return whether the contender is better, as `Verdict` has it, and both tests."""
    loss = paired_log_loss(contender, rival, level=_LEVEL, seed=seed)
    accuracy = mcnemar_exact(contender.is_correct, rival.is_correct, level=_LEVEL)
    has_gain = not isinstance(loss, NoInterval) and loss.high < -_ROUNDING
    tests = {"log_loss_difference": loss.as_dict(), "accuracy_test": accuracy.as_dict()}
    return bool(has_gain and accuracy.difference.high >= 0), tests


def _scores(found: Any) -> dict[str, float]:
    return {"accuracy": float(found.is_correct.mean()), "log_loss": float(log_losses_of(found).mean())}


def _classes(logits: NDArray[np.float32], targets: NDArray[Any]) -> Predictions:
    return Predictions(_ids(targets), targets, logits, _names(logits), "held_out")


def _label_sets(logits: NDArray[np.float32], targets: NDArray[Any]) -> MultiLabelPredictions:
    """Return predictions with the thresholds that the same examples choose: as flattering for one model as another."""
    sets = np.asarray(targets, dtype=np.uint8)
    plain = MultiLabelPredictions(_ids(targets), sets, logits, _names(logits), "held_out")
    return replace(plain, thresholds=choose_thresholds(plain.probabilities, sets))


def _ids(targets: NDArray[Any]) -> list[str]:
    return [str(i) for i in range(len(targets))]


def _names(logits: NDArray[np.float32]) -> tuple[str, ...]:
    return tuple(map(str, range(logits.shape[1])))
