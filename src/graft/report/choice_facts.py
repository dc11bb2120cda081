"""Sentences on the choice that was made: which strategy and head, from how many, on what evidence, and at what cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from graft.report import wording as w
from graft.report.phases import phase_name, shown_seconds

__all__ = ["cost", "selection", "strategy"]


def strategy(metrics: Mapping[str, Any]) -> str | None:
    """Return which strategy won on held-out examples, by how much, and what the contest cost."""
    found = metrics.get("strategy") or {}
    if "contender" not in found:
        return None
    name = w.plain(found.get("method", "fine-tuning"))
    if not found.get("n"):
        return f"The network stayed frozen: {w.plain(found.get('why', ''))}."
    n, place = w.count(found["n"]), w.plain(found["held_out"])
    gap = found["contender"]["accuracy"] - found["probe"]["accuracy"]
    loss = found["log_loss_difference"]
    span = w.interval(loss, share=False) if loss.get("low") is not None else "–"
    side = "above" if gap > 0 else "below"
    way = "lower" if loss["value"] < 0 else "higher"
    score = f"{w.points(abs(gap))} {side} the probe" if gap else "level with the probe"
    if found.get("score", "accuracy") != "accuracy":
        score += f" in {w.plain(found['score'])}"
    evidence = (
        f"on {n} held-out examples ({place}) {name} was {score} ({w.percent(found['contender']['accuracy'])} against"
        f" {w.percent(found['probe']['accuracy'])}), its log-loss {w.decimal(abs(loss['value']))} {way}"
        f" ({100 * loss['level']:.0f}{w.THIN}% interval of the difference {span})"
    )
    if found["kept"] == "head":
        text = f"The frozen network with the new head was kept: {evidence}; that is no proof of a gain."
    elif found.get("is_better"):
        text = f"{name} was kept: {evidence}."
        text = text[0].upper() + text[1:]
    else:
        text = f"{name} was asked for, and is no proven gain: {evidence}."
        text = text[0].upper() + text[1:]
    took = f" The contest took {w.duration(found['seconds'])}."
    if found["kept"] != "head":
        share = found["alpha"]
        took += f" The weights lie {100 * share:.0f}{w.THIN}% of the way from the probe's to the fine-tuned ones."
    return (text + took).replace(" -", " −")


def selection(leaderboard: Sequence[Mapping[str, Any]]) -> str | None:
    """Return which heads were chosen from, by what, and how near the chosen one is to the best."""
    chosen = next((row for row in leaderboard if row.get("is_chosen")), None)
    if chosen is None:
        return None
    scalings = {row["scaling"] for row in leaderboard}
    penalties = {row["penalty"] for row in leaderboard}
    text = (
        f"One of {len(leaderboard)} candidates ({_plural(len(scalings), 'scaling')},"
        f" {_plural(len(penalties), 'penalty')}), by log-loss on training examples held out in turn;"
        " the test split had no say."
    )
    best = min(leaderboard, key=lambda row: row["log_loss"])
    if best["log_loss"] < chosen["log_loss"]:
        is_near = chosen["log_loss"] <= best["log_loss"] + 1.001 * best["standard_error"]
        near = ", within one standard error" if is_near else ""
        text += f" The best scored {w.decimal(best['log_loss'])}, the chosen one {w.decimal(chosen['log_loss'])}{near}."
    return text


def _plural(number: int, noun: str) -> str:
    if number == 1:
        return f"1 {noun}"
    return f"{number} {noun[:-1]}ies" if noun.endswith("y") else f"{number} {noun}s"


def cost(metrics: Mapping[str, Any]) -> str | None:
    """Return the time of the run, and what most of it went into; None where it is not known."""
    seconds = shown_seconds(metrics.get("seconds") or {})
    total = (metrics.get("seconds") or {}).get("total", sum(seconds.values()))
    if not seconds or total <= 0:
        return None
    slowest = max(seconds, key=lambda k: seconds[k])
    share = f"{100 * seconds[slowest] / total:.0f}{w.THIN}%"
    return f"{w.duration(total)} in all; {share} of it went into {phase_name(slowest)}."
