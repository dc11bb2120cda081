"""What raced before the contest: rates, or methods with distortions and rates, on one leaderboard."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from graft.report import figures
from graft.report import wording as w

__all__ = ["corrected_sentence", "race_facts", "rate_sentence", "taken_name"]


def race_facts(race: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return figure, table and sentences of a race; None without one.

    Parameters
    ----------
    race : as `RateSearch.as_dict` or `StrategyRace.as_dict` gives it, with ``"kind"``: rate or all.
    """
    if not race or not race.get("standings"):
        return None
    taken = taken_name(race)
    rows = [
        {
            "name": w.clipped(row["name"], 80),
            "rate": f"{row['learning_rate']:.2g}",
            "n_steps": w.count(row["n_steps"]),
            "log_loss": "came apart" if row["has_diverged"] else w.decimal(row["log_loss"]),
            "standard_error": w.decimal(row["standard_error"]) if row["standard_error"] else "–",
            "accuracy": w.percent(row["accuracy"]),
            "is_chosen": row["name"] == taken,
            "numbers": [
                row["learning_rate"],
                row["n_steps"],
                row["log_loss"],
                row["standard_error"],
                row["accuracy"],
            ],
        }
        for row in race["standings"]
    ]
    told = _reasons(race)
    return {
        "is_rate": race["kind"] == "rate",
        "figure": _figure(race) if race["kind"] == "rate" else None,
        "rows": rows,
        "n": len(rows),
        "n_steps": w.count(race["n_steps"]),
        "rate": f"{race['learning_rate']:.2g}" if "learning_rate" in race else "",
        "prior": f"{race['prior']:.2g}" if "prior" in race else "",
        "why": [w.clipped(text, 300) for text in told],
        "corrected": corrected_sentence(race),
        "is_short": race.get("ended_by") == "time",
    }


def rate_sentence(strategy: Mapping[str, Any] | None) -> str | None:
    """Return where the learning rate of the contender comes from; None where nothing was fine-tuned."""
    if not strategy or "settings" not in strategy or strategy.get("strategy") == "head":
        return None
    if race := strategy.get("race"):
        told = _reasons(race)
        text = f"{len(race['standings'])} candidates raced in short runs, {w.count(race['n_steps'])} steps: "
        text += "; ".join(w.plain(why) for why in told) + "."
        if "prior" in race:
            text = f"{race['learning_rate']:.2g} was taken, {race['prior']:.2g} is the prior. {text}"
        return f"{text} {corrected_sentence(race)}".strip()
    if strategy["settings"]["settings"].get("learning_rate") is not None:
        return None
    return "The prior of the architecture was taken; --race rate lets rates race, under a --time-limit if it has room."


def corrected_sentence(race: Mapping[str, Any]) -> str:
    """Return what the leader's accuracy is worth once it is corrected for having been chosen; empty without it."""
    selection = race.get("selection")
    if not selection:
        return ""
    leader = race["standings"][0]
    is_taken = taken_name(race) == leader["name"]
    which = "" if is_taken else f" ({leader['learning_rate']:.2g}, which is not taken)"
    corrected = selection["corrected"]
    value, span = f"corrected for the choice {w.percent(corrected['value'])}", w.interval(corrected)
    told = (
        f"The leader of {selection['n_candidates']}{which} was right on {w.percent(selection['plain'])} of the held-out"
        " examples it was chosen by; "
    )
    if corrected["value"] >= selection["plain"]:
        return f"{told}the choice did not flatter it ({value}, {span})."
    return f"{told}{value} ({span})."


def taken_name(race: Mapping[str, Any]) -> str:
    """Return the name of the contestant whose rate is taken; between two rates, and of strategies, the leader's."""
    rate = race.get("learning_rate")
    exact = (
        row["name"] for row in race["standings"] if rate is not None and abs(row["learning_rate"] / rate - 1) < 1e-6
    )
    return str(next(exact, race["standings"][0]["name"]))


def _reasons(race: Mapping[str, Any]) -> list[str]:
    """Return why, and what speaks against trusting it."""
    told = [race["why"]] if isinstance(race["why"], str) else list(race["why"])
    return [*told, *race.get("doubts", ())]


def _figure(race: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return log-loss over rate, one line a rung."""
    last = max(row["rung"] for row in race["standings"])
    taken = taken_name(race)
    rows = []
    for row in race["standings"]:
        for rung, loss in enumerate(row["log_losses"]):
            if loss >= 50:
                continue
            rows.append(
                {
                    "scaling": "the last runs" if rung == last else f"runs of rung {rung + 1}",
                    "penalty": row["learning_rate"],
                    "log_loss": loss,
                    "standard_error": row["standard_error"] if rung == row["rung"] else 0.0,
                    "is_chosen": rung == row["rung"] and row["name"] == taken,
                }
            )
    return figures.selection_figure(rows)
