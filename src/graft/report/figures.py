"""Geometry of the figures: where dots, lines and ticks stand, as percent of the plot. Drawn by the templates."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from graft.report import wording as w

__all__ = ["Axis", "curve_figure", "dot_rows", "reliability_figure", "selection_figure", "share_axis"]

_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


@dataclass(frozen=True)
class Axis:
    """A range of values on 0 to 100 % of the plot.

    Parameters
    ----------
    low, high : the values at both ends; their logarithms to base 10 where `is_log`.
    ticks : positions in percent and labels.
    """

    low: float
    high: float
    ticks: tuple[tuple[float, str], ...]
    is_log: bool = False

    def at(self, value: float) -> float:
        """Return the place of `value` in percent, rounded to 0.01, kept inside the plot."""
        return _place(math.log10(value) if self.is_log else value, self.low, self.high)


def _place(value: float, low: float, high: float) -> float:
    share = 50.0 if high <= low else 100 * (value - low) / (high - low)
    return round(min(100.0, max(0.0, share)), 2)


def _steps(low: float, high: float, *, most: int) -> list[float]:
    """Return round values that span `low` to `high` in at most about `most` steps."""
    raw = max(high - low, 1e-9) / most
    size = 10 ** math.floor(math.log10(raw))
    step = next(size * m for m in (1, 2, 2.5, 5, 10) if size * m >= raw * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(i * step, 10) for i in range(first, last + 1)]


def _linear_axis(low: float, high: float, *, most: int = 5, percent: bool = False) -> Axis:
    steps = _steps(low, high, most=most)
    if len(steps) < 2:
        steps = [steps[0], steps[0] + 1]

    def label(value: float) -> str:
        return f"{100 * value:g}" if percent else f"{value:g}"

    ticks = tuple((_place(s, steps[0], steps[-1]), label(s)) for s in steps)
    return Axis(steps[0], steps[-1], ticks)


def _log_axis(low: float, high: float) -> Axis:
    """Return decades for a wide range, 1-2-5 steps for a narrow one."""
    a, b = math.log10(low), math.log10(high)
    pad = max(0.03 * (b - a), 0.02)
    a, b = a - pad, b + pad
    decades = range(math.ceil(a), math.floor(b) + 1)
    if len(decades) >= 3:
        every = math.ceil(len(decades) / 7)
        values = [(float(d), f"10{str(d).translate(_SUPERSCRIPT)}") for d in decades if d % every == 0]
    else:
        within = (1, 2, 3, 5, 7) if b - a < 1 else (1, 2, 5)
        mantissas = [m * 10.0**d for d in range(math.floor(a), math.ceil(b) + 1) for m in within]
        values = [(math.log10(v), f"{v:g}") for v in mantissas if a <= math.log10(v) <= b]
    return Axis(a, b, tuple((_place(v, a, b), text) for v, text in values), is_log=True)


def share_axis(estimates: Sequence[Mapping[str, Any]]) -> Axis:
    """Return an axis in percent that holds all values and intervals, at least 20 points wide, within 0 to 100."""
    ends = [e[k] for e in estimates for k in ("value", "low", "high") if e.get(k) is not None] or [0.0, 1.0]
    low, high = min(ends), max(ends)
    if high - low < 0.2:
        low, high = max(0.0, high - 0.2), min(1.0, max(high, 0.2))
    return _linear_axis(low, high, percent=True)


def dot_rows(rows: Sequence[tuple[str, Mapping[str, Any]]], axis: Axis) -> list[dict[str, Any]]:
    """Return for each named estimate where its dot and its interval stand."""
    found = []
    for name, e in rows:
        low, high, value = e.get("low"), e.get("high"), e.get("value")
        found.append(
            {
                "name": name,
                "n": e["n"],
                "number": value,
                "value": w.percent(value),
                "interval": w.interval(e),
                "note": "" if low is not None else e["method"],
                "x": None if value is None else axis.at(value),
                "low": None if low is None else axis.at(low),
                "high": None if high is None else axis.at(high),
            }
        )
    return found


def curve_figure(curve: Mapping[str, Any]) -> dict[str, Any]:
    """Return the learning curve: observed dots with their spread, the fitted line with its band, and where we stand.

    Parameters
    ----------
    curve : with ``n_now``, ``observed`` (n, accuracy, low, high) and ``curve`` (at, value, low, high).
    """
    fitted = [row for row in curve["curve"] if row.get("value") is not None and row.get("low") is not None]
    ends = [e for row in fitted for e in (row["low"], row["high"])]
    ends += [e for row in curve["observed"] for e in (row["low"], row["high"])]
    sizes = [row["at"] for row in fitted] + [row["n"] for row in curve["observed"]]
    x, y = _log_axis(min(sizes), max(sizes)), _linear_axis(min(ends), max(ends), percent=True)
    now = curve["n_now"]

    def line(rows: Sequence[Mapping[str, Any]]) -> str:
        return " ".join(f"{x.at(r['at'])},{round(100 - y.at(r['value']), 2)}" for r in rows)

    upper = [f"{x.at(r['at'])},{round(100 - y.at(r['high']), 2)}" for r in fitted]
    lower = [f"{x.at(r['at'])},{round(100 - y.at(r['low']), 2)}" for r in reversed(fitted)]
    return {
        "x": x,
        "y": y,
        "band": " ".join(upper + lower),
        "inside": line([r for r in fitted if r["at"] <= now]),
        "ahead": line([r for r in fitted if r["at"] >= now]),
        "now": x.at(now),
        "points": [
            {"x": x.at(r["n"]), "y": y.at(r["accuracy"]), "low": y.at(r["low"]), "high": y.at(r["high"])}
            for r in curve["observed"]
        ],
    }


def reliability_figure(calibration: Mapping[str, Any]) -> dict[str, Any]:
    """Return bins with their null band, dot and whisker, and the share of examples in each."""
    axis = _linear_axis(0.0, 1.0, percent=True)
    largest = max(b["n"] for b in calibration["bins"])
    bins = [
        {
            "left": axis.at(b["low"]),
            "width": round(100 * (b["high"] - b["low"]), 2),
            "null_low": axis.at(b["null_low"]),
            "null_high": axis.at(b["null_high"]),
            "x": axis.at(b["confidence"]),
            "y": axis.at(b["accuracy"]["value"]),
            "low": axis.at(b["accuracy"]["low"]),
            "high": axis.at(b["accuracy"]["high"]),
            "bar": round(100 * b["n"] / largest, 2),
            "is_outside": not b["null_low"] <= b["accuracy"]["value"] <= b["null_high"],
            "confidence_text": f"{w.percent(b['low'], unit=False)} to {w.percent(b['high'])}",
            "mean_text": w.percent(b["confidence"]),
            "accuracy_text": w.percent(b["accuracy"]["value"]),
            "null_text": f"{w.percent(b['null_low'], unit=False)} to {w.percent(b['null_high'])}",
            "n": b["n"],
        }
        for b in calibration["bins"]
    ]
    return {"axis": axis, "bins": bins}


def selection_figure(leaderboard: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """Return one line of log-loss over penalty for each scaling, or None where there is nothing to draw.

    The curve's axis is logarithmic where the largest log-loss is more than three times the least.
    """
    rows = [r for r in leaderboard if math.isfinite(r["log_loss"]) and r["log_loss"] > 0 and r["penalty"] > 0]
    if len({r["penalty"] for r in rows}) < 2:
        return None
    x = _log_axis(min(r["penalty"] for r in rows), max(r["penalty"] for r in rows))
    low = min(max(r["log_loss"] - r["standard_error"], 0.5 * r["log_loss"]) for r in rows)
    high = max(r["log_loss"] + r["standard_error"] for r in rows)
    y = _log_axis(low, high) if high > 3 * low else _linear_axis(low, high)
    chosen_scaling = next((r["scaling"] for r in rows if r.get("is_chosen")), None)
    lines = []
    for scaling in dict.fromkeys(r["scaling"] for r in rows):
        own = sorted((r for r in rows if r["scaling"] == scaling), key=lambda r: r["penalty"])
        lines.append(
            {
                "name": w.plain(scaling),
                "is_chosen": scaling == chosen_scaling,
                "points": [
                    {
                        "x": x.at(r["penalty"]),
                        "y": y.at(r["log_loss"]),
                        "low": y.at(max(r["log_loss"] - r["standard_error"], 0.5 * r["log_loss"])),
                        "high": y.at(r["log_loss"] + r["standard_error"]),
                        "is_chosen": bool(r.get("is_chosen")),
                    }
                    for r in own
                ],
            }
        )
    lines.sort(key=lambda line: line["is_chosen"])  # the chosen one is drawn last, on top
    chosen = next((p for line in lines for p in line["points"] if p["is_chosen"]), None)
    return {"x": x, "y": y, "lines": lines, "chosen": chosen}
