"""What held-out examples say of a contender beside the probe: the share, the temperature, and the paired test."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graft.core.types import Predictions
from graft.evaluation.calibration import fit_temperature
from graft.evaluation.comparisons import mcnemar_exact, paired_log_loss
from graft.evaluation.intervals import NoInterval

__all__ = ["ALPHAS", "Verdict", "judge_contender", "mean_log_loss", "verdict_sentence"]

ALPHAS = (0.2, 0.4, 0.6, 0.8, 1.0)
_LEVEL = 0.9  # of the two-sided interval, so that being below zero is a one-sided test at 5 %


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
    """

    alpha: float
    temperature: float
    logits: NDArray[np.float32]
    is_better: bool
    figures: dict[str, Any]


def judge_contender(
    probe_logits: NDArray[np.float32],
    logits_by_alpha: NDArray[np.float32],
    targets: NDArray[np.int64],
    *,
    seed: int = 0,
    alphas: tuple[float, ...] = ALPHAS,
) -> Verdict:
    """Return which share of the way is best, and whether the contender beats the probe there.

    Parameters
    ----------
    probe_logits : (n, n_classes), calibrated.
    logits_by_alpha : (n_alphas, n, n_classes), not yet calibrated.
    targets : (n,), class numbers.

    Notes
    -----
    Choosing among five shares on the examples of the test flatters the contender a little: the shares' predictions
    are nearly the same, so by far less than five independent models would.
    """
    names = tuple(map(str, range(probe_logits.shape[1])))
    ids = [str(i) for i in range(len(targets))]
    tried = []
    for alpha, logits in zip(alphas, logits_by_alpha, strict=True):
        temperature = fit_temperature(logits, targets)
        calibrated = np.asarray(logits / temperature, dtype=np.float32)
        found = Predictions(ids, targets, calibrated, names, "held_out")
        tried.append((mean_log_loss(calibrated, targets), alpha, temperature, found))
    _, alpha, temperature, contender = min(tried, key=lambda row: (row[0], row[1]))
    probe = Predictions(ids, targets, np.asarray(probe_logits, dtype=np.float32), names, "held_out")
    loss = paired_log_loss(contender, probe, level=_LEVEL, seed=seed)
    accuracy = mcnemar_exact(contender.is_correct, probe.is_correct, level=_LEVEL)
    is_better = not isinstance(loss, NoInterval) and loss.high < 0 and accuracy.difference.high >= 0
    return Verdict(
        alpha=alpha,
        temperature=temperature,
        logits=contender.logits,
        is_better=bool(is_better),
        figures={
            "n": len(targets),
            "alpha": alpha,
            "log_loss_by_alpha": {f"{a:g}": row[0] for a, row in zip(alphas, tried, strict=True)},
            "probe": {
                "accuracy": float(probe.is_correct.mean()),
                "log_loss": mean_log_loss(probe.logits, targets),
            },
            "contender": {
                "accuracy": float(contender.is_correct.mean()),
                "log_loss": mean_log_loss(contender.logits, targets),
            },
            "log_loss_difference": loss.as_dict(),
            "accuracy_test": accuracy.as_dict(),
        },
    )


def mean_log_loss(logits: NDArray[np.float32], targets: NDArray[np.int64]) -> float:
    """Return the mean log-loss of logits (n, n_classes)."""
    z = logits.astype(np.float64)
    z = z - z.max(axis=1, keepdims=True)
    return float((np.log(np.exp(z).sum(axis=1)) - z[np.arange(len(z)), targets]).mean())


def verdict_sentence(name: str, facts: dict[str, Any]) -> str:
    """Return what a user is told of the verdict on a method.

    Parameters
    ----------
    facts : `Verdict.figures` with ``held_out``, ``is_better`` and ``seconds_evidence``.
    """
    both, n = (facts["probe"], facts["contender"]), facts["n"]
    word = "beats" if facts["is_better"] else "does not beat"
    return (
        f"{name} {word} the probe on {n:,} held-out examples ({facts['held_out']}): accuracy"
        f" {both[1]['accuracy']:.1%} against {both[0]['accuracy']:.1%}, log-loss {both[1]['log_loss']:.4f} against"
        f" {both[0]['log_loss']:.4f}; mixing weight {facts['alpha']:g}; {facts['seconds_evidence']:.0f} s"
    )
