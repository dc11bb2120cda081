"""Can its confidence be believed: the reliability diagram, and sets of classes with a stated coverage."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from graft.report import figures
from graft.report import wording as w

__all__ = ["calibration_facts"]


def calibration_facts(metrics: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the bins as they are drawn, and the figures; None where calibration was not judged.

    Where there is a claim it is what is said: its test needs no bins. The bins then have neither test nor limit of
    their own, which could only contradict it.
    """
    calibration = metrics.get("calibration")
    if not calibration or not calibration.get("bins"):
        return None
    claim = next((claim for claim in metrics.get("claims") or () if claim["name"] == "calibrated"), None)
    return figures.reliability_figure(calibration) | {
        "claim": w.clipped(claim["sentence"], 600) if claim else "",
        "claim_p": w.p_value(claim["p_value"]) if claim and claim.get("p_value") is not None else "",
        "error": w.percent(calibration["expected_calibration_error"]),
        "null_median": w.percent(calibration["null_median"]),
        "null_95": w.percent(calibration["null_95"]),
        "p": w.p_value(calibration["p_value"]),
        "n_bins": calibration["n_bins"],
        "sets": _sets(metrics.get("conformal")),
    }


def _sets(found: Mapping[str, Any] | None) -> str:
    """Return the sentence on conformal prediction sets; empty where there were none."""
    measured = (found or {}).get("coverage_measured") or {}
    if not found or measured.get("value") is None:
        return ""
    return (
        f"Sets of classes that promise to hold the right one {w.percent(found['coverage'])} of the time held it"
        f" {w.percent(measured['value'])} of the time ({w.interval(measured)}), with {found['mean_size']:.1f} classes"
        " in the mean."
    )
