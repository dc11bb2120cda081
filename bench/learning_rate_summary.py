"""What `bench/learning_rate.py` makes of its cells: regrets, costs and bars."""

from __future__ import annotations

from typing import Any

import numpy as np

from measure import Bar, table

__all__ = ["regret", "summary"]

ARMS = ("search", "prior", "range test")


def regret(found: dict[str, Any], arm: str, *, is_by_both: bool = False) -> float:
    """Return points that the grid's best rate is ahead: chosen on one half of test, scored on the other, both ways.

    Parameters
    ----------
    is_by_both : chosen by one run of each rate and scored by another, both ways round, so that a lucky run counts as
        little as lucky examples. A cell needs second runs for it.
    """
    names = ("right", "right_again") if is_by_both else ("right", "right")
    grids = [np.array([[c == "1" for c in text] for text in found["grid"][name]]) for name in names]
    owns = [np.array([c == "1" for c in found["arms"][arm][name]]) for name in names]
    half = np.random.default_rng(found["seed"]).permutation(grids[0].shape[1]) % 2 == 0
    gaps = []
    for chosen_on, scored_on in ((half, ~half), (~half, half)):
        for chosen_by, scored_by in ((0, 1), (1, 0)):
            best = int(grids[chosen_by][:, chosen_on].mean(axis=1).argmax())
            gaps.append(grids[scored_by][best, scored_on].mean() - owns[scored_by][scored_on].mean())
    return 100 * float(np.mean(gaps))


def grid_s(found: dict[str, Any]) -> float:
    """Return the seconds of the grid; where it is of an earlier run of the bench, as many runs as the arms' took."""
    runs = [arm["run_s"] for arm in found["arms"].values() if "run_s" in arm]
    return float(np.median(runs)) * len(found["grid"]["rates"]) if runs else float(found["grid"]["seconds"])


def summary(cells: list[dict[str, Any]]) -> tuple[dict[str, Any], list[Bar]]:
    """Return regrets and costs by arm, and the bars; print a line a cell."""
    off = [name.removeprefix("search ") for name in cells[0]["arms"] if name.startswith("search ")]
    names = [*ARMS, *(f"{what} {name}" for name in off for what in ("prior", "search"))]
    table(["task, seed", "probe", "grid's best", "accuracy", *(f"{a}: rate, regret" for a in ARMS), "cost"],
          [_row(found) for found in cells])  # fmt: skip
    regrets = {arm: [regret(c, arm) for c in cells if arm in c["arms"]] for arm in names}
    regrets = {arm: found for arm, found in regrets.items() if found}
    cost = [c["arms"]["search"]["seconds"] / grid_s(c) for c in cells]
    steps = [c["arms"]["search"]["n_steps"] / (len(c["grid"]["rates"]) * c["n_steps"]) for c in cells]
    figures = {
        arm: {"median": float(np.median(r)), "p90": float(np.quantile(r, 0.9)), "mean": float(np.mean(r)), "all": r}
        for arm, r in regrets.items()
    }
    away = [
        Bar(f"mean regret of the prior {name}, points; the search from there {figures[f'search {name}']['mean']:.2f}",
            figures[f"prior {name}"]["mean"], None)
        for name in off if f"search {name}" in figures
    ]  # fmt: skip
    bars = [
        Bar("median regret of the search, points", figures["search"]["median"], 0.5, False),
        Bar("90th percentile of its regret, points", figures["search"]["p90"], 2.0, False),
        Bar("its cost beside the grid's, median share of seconds", float(np.median(cost)), 0.15, False),
        Bar("mean regret less that of the prior, points", figures["search"]["mean"] - figures["prior"]["mean"], 0.0,
            False),
        Bar("mean regret less that of the range test, points",
            figures["search"]["mean"] - figures["range test"]["mean"], 0.0, False),
        *away,
    ]  # fmt: skip
    twice = [found for found in cells if "right_again" in found["grid"]]
    if len(twice) == len(cells):
        both = [regret(found, "search", is_by_both=True) for found in cells]
        figures["search, chosen by one run and scored by another"] = {"all": both, "mean": float(np.mean(both))}
        told = "chosen by one run, scored by another: regret of the search"
        bars += [
            Bar(f"{told}, median", float(np.median(both)), None), Bar(f"{told}, mean", float(np.mean(both)), None),
            Bar(f"{told}, 90th percentile", float(np.quantile(both, 0.9)), None),
        ]  # fmt: skip
    return {"arms": figures, "cost_seconds": cost, "cost_steps": steps}, bars


def _row(found: dict[str, Any]) -> list[str]:
    share = found["arms"]["search"]["seconds"] / grid_s(found)
    accuracy = [text.count("1") / len(text) for text in found["grid"]["right"]]
    best = int(np.argmax(accuracy))
    return [
        f"{found['task']} {found['seed']}", f"{found['grid']['probe']:.1%}", f"{found['grid']['rates'][best]:.1e}",
        f"{max(accuracy):.1%}", *(f"{found['arms'][a]['rate']:.1e} {regret(found, a):+.1f}" for a in ARMS),
        f"{share:.1%}",
    ]  # fmt: skip
