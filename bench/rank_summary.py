"""What `bench/rank.py` makes of its cells: regrets, rank correlations, cost, ties, and the weights of the score."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from measure import Bar, table

__all__ = ["Cell", "joined", "orders_of", "regret", "summary"]

Cell = tuple[dict[str, Any], dict[str, Any], dict[str, Any] | None]  # truth, ranking, ranking with a final
WEIGHTS = (0.0, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3)  # of a decade of parameters, in loss shares


def orders_of(cell: Cell) -> dict[str, dict[str, float]]:
    """Return by way of ranking what each network gets, larger is better.

    Graft's is its place in the ranking as it was told; all others are computed from all training examples.
    """
    networks, ranking = cell[0]["networks"], cell[1]
    places = {row["name"]: -float(place) for place, row in enumerate(ranking["standings"])}
    return {
        "graft": {name: places.get(name, -float(len(networks))) for name in networks},
        "size": {name: float(one["n_parameters"]) for name, one in networks.items()},
        "LogME": {name: _number(one["all"]["log_evidence"]) for name, one in networks.items()},
        "H-score": {name: _number(one["all"]["h_score"]) for name, one in networks.items()},
        "head's log-loss": {name: -one["all"]["loss_share"] for name, one in networks.items()},
        "neighbours' log-loss": {name: -one["all"]["knn_loss_share"] for name, one in networks.items()},
    }


def joined(truths: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return one truth of several runs: the right answers are lists, seconds are those of the fastest run.

    Whatever else the machine does makes a run slower, never faster.
    """
    networks = {}
    for name, one in truths[0]["networks"].items():
        own = [found["networks"][name] for found in truths]
        seconds = min(float(run["seconds"]) for run in own)
        networks[name] = {**one, "right": [run["right"] for run in own], "seconds": seconds}
    return {**truths[0], "networks": networks}


def accuracies(cell: Cell, rows: Any = slice(None), runs: Any = slice(None)) -> dict[str, float]:
    """Return test accuracy after fine-tuning by network, on some test examples and of some runs."""
    return {name: float(_rights(one)[runs][:, rows].mean()) for name, one in cell[0]["networks"].items()}


def regret(cell: Cell, picked: str) -> float:
    """Return points that the best network is ahead: chosen on one half of test, scored on the other, both ways.

    Where there are several runs it is chosen by every second one and scored by the others: neither lucky examples nor a
    lucky run count for it.
    """
    n_runs, n = _rights(next(iter(cell[0]["networks"].values()))).shape
    half = np.random.default_rng(cell[0]["size"]).permutation(n) % 2 == 0
    run = np.arange(n_runs) % 2 == 0
    gaps = []
    for chosen_on, scored_on in ((half, ~half), (~half, half)):
        for chosen_by, scored_by in ((run, ~run), (~run, run)) if n_runs > 1 else ((run, run),):
            first, second = accuracies(cell, chosen_on, chosen_by), accuracies(cell, scored_on, scored_by)
            gaps.append(second[max(first, key=first.__getitem__)] - second[picked])
    return 100 * float(np.mean(gaps))


def tau(scores: dict[str, float], truth: dict[str, float], names: Sequence[str]) -> float:
    """Return the weighted Kendall tau (Vigna 2015; hyperbolic weights, so that the top counts most)."""
    from scipy.stats import weightedtau

    return float(weightedtau([scores[name] for name in names], [truth[name] for name in names])[0])


def tied_with_best(cell: Cell) -> list[str]:
    """Return the networks that a paired test at 5 % does not tell from the best of the truth, which is first.

    The test is over test examples, of the share of the runs that are right; that the runs differ, too, is left out, so
    ties are more than are counted here.
    """
    right = {name: _rights(one).mean(axis=0) for name, one in cell[0]["networks"].items()}
    order = sorted(right, key=lambda name: -right[name].mean())
    found = [order[0]]
    for name in order[1:]:
        gap = right[order[0]] - right[name]
        if gap.mean() <= 1.96 * gap.std(ddof=1) / np.sqrt(len(gap)):
            found.append(name)
    return found


def summary(cells: Sequence[Cell]) -> tuple[dict[str, Any], list[Bar]]:
    """Return all figures, printed as tables on the way, and the bars."""
    ways = list(orders_of(cells[0]))
    rows, by_way = [], {way: {"regret": [], "tau": [], "tau_trained": []} for way in ways}
    shares, in_tie, n_tied, finals = [], [], [], list[tuple[float, dict[str, Any], float]]()
    for cell in cells:
        truth, ranking, final = cell
        networks, reached = truth["networks"], accuracies(cell)
        trained = [name for name in networks if "random" not in name]
        orders = orders_of(cell)
        for way, scores in orders.items():
            picked = max(scores, key=lambda name: scores[name])
            by_way[way]["regret"].append(regret(cell, picked))
            by_way[way]["tau"].append(tau(scores, reached, list(networks)))
            by_way[way]["tau_trained"].append(tau(scores, reached, trained))
        tied, best = tied_with_best(cell), max(reached, key=lambda name: reached[name])
        shares.append(ranking["seconds"] / sum(one["seconds"] for one in networks.values()))
        in_tie.append(ranking["best"] in tied)
        n_tied.append(len(tied))
        if final is not None:
            finals.append((regret(cell, final["best"]), final, sum(one["seconds"] for one in networks.values())))
        rows.append(
            [f"{truth['data']}, {truth['n_train']}", f"{best} {reached[best]:.1%}",
             f"{ranking['best']} {reached[ranking['best']]:.1%}", f"{by_way['graft']['regret'][-1]:+.1f}",
             f"{len(tied)} of {len(networks)}", *(f"{by_way[w]['tau'][-1]:.2f}" for w in ("graft", "size", "LogME")),
             f"{shares[-1]:.1%}"]
        )  # fmt: skip
    table(["data, examples", "best after LP-FT", "Graft's first", "regret", "not told from best", "tau: Graft", "size",
           "LogME", "cost"], rows)  # fmt: skip
    print()
    means = {way: {key: float(np.mean(values)) for key, values in found.items()} for way, found in by_way.items()}
    table(
        ["ordered by", "mean regret", "largest", "mean tau", "without random weights"],
        [[way, f"{means[way]['regret']:.2f}", f"{max(by_way[way]['regret']):.1f}", f"{means[way]['tau']:.3f}",
          f"{means[way]['tau_trained']:.3f}"] for way in ways],
    )  # fmt: skip
    overall = sum(c[1]["seconds"] for c in cells) / sum(
        one["seconds"] for c in cells for one in c[0]["networks"].values()
    )
    print(f"\n  the first is among those that can't be told from the best in {sum(in_tie)} of {len(cells)} cells; these"
          f" are {np.mean(n_tied):.1f} networks in the mean")  # fmt: skip
    if finals:
        held = [one for _, one, _ in finals if one["final"] is not None]
        turned = sum(one["final"]["is_turned"] for one in held)
        share = sum(one["seconds"] for _, one, _ in finals) / sum(seconds for _, _, seconds in finals)
        means["graft, with a final"] = {"regret": float(np.mean([gap for gap, _, _ in finals])), "cost": share}
        print(f"  with a final in {len(held)} of {len(finals)} cells, which turned {turned}: mean regret"
              f" {means['graft, with a final']['regret']:.2f}, cost {share:.1%}")  # fmt: skip
    left_out = leave_one_out(cells)
    bars = [
        Bar("mean regret of the first, points", means["graft"]["regret"], 0.5, False),
        Bar("weighted tau less that of the size", means["graft"]["tau"] - means["size"]["tau"], 0.0),
        Bar("the same without random weights", means["graft"]["tau_trained"] - means["size"]["tau_trained"], None),
        Bar("weighted tau less that of LogME", means["graft"]["tau"] - means["LogME"]["tau"], 0.0),
        Bar("cost beside fine-tuning all, seconds of all cells", overall, 0.1, False),
        Bar("the same, largest of a cell", max(shares), None),
    ]
    figures = {"cells": len(cells), "means": means, "by_cell": by_way, "cost": shares, "weights": left_out,
               "first_is_tied_with_best": in_tie, "n_tied_with_best": n_tied}  # fmt: skip
    return figures, bars


def leave_one_out(cells: Sequence[Cell]) -> dict[str, Any]:
    """Return what weights of size and neighbours come to, chosen on all data sets but one and scored on that.

    A score is (1 - k) of the head's and k of the neighbours' share of chance, less w a decade of parameters; of all
    training examples, so it differs a bit from a ranking that ends early for some.
    """
    grid = [(w, k) for w in WEIGHTS for k in (0.0, 0.25, 0.5, 0.75, 1.0)]
    found = {pair: [_scored(cell, *pair) for cell in cells] for pair in grid}
    names = sorted({cell[0]["data"] for cell in cells})
    chosen, regrets, taus = {}, [], []
    for name in names:
        inside = [i for i, cell in enumerate(cells) if cell[0]["data"] == name]
        outside = [i for i in range(len(cells)) if i not in inside]
        if not outside:
            continue
        best = max(grid, key=lambda pair: np.mean([found[pair][i][1] - found[pair][i][0] / 10 for i in outside]))
        chosen[name] = best
        regrets += [found[best][i][0] for i in inside]
        taus += [found[best][i][1] for i in inside]
    rows = []
    for w in WEIGHTS:
        rows.append([w, *(f"{np.mean([found[w, k][i][0] for i in range(len(cells))]):.2f},"
                          f" {np.mean([found[w, k][i][1] for i in range(len(cells))]):.3f}"
                          for k in (0.0, 0.25, 0.5, 0.75, 1.0))])  # fmt: skip
    print("\n  mean regret, mean tau by weight of a decade of parameters and share of the neighbours:")
    table(["weight", "0", "0.25", "0.5", "0.75", "1"], rows)
    if regrets:
        print(f"  chosen without the data set itself: {chosen}; regret {np.mean(regrets):.2f}, tau {np.mean(taus):.3f}")
    return {
        "chosen": {name: list(pair) for name, pair in chosen.items()},
        "regret": float(np.mean(regrets)) if regrets else None,
        "tau": float(np.mean(taus)) if taus else None,
    }


def _scored(cell: Cell, weight: float, share: float) -> tuple[float, float]:
    """Return regret and tau of a cell under a score of these weights."""
    networks = cell[0]["networks"]
    scores = {
        name: weight * float(np.log10(one["n_parameters"]))
        - (1 - share) * one["all"]["loss_share"]
        - share * one["all"]["knn_loss_share"]
        for name, one in networks.items()
    }
    return regret(cell, max(scores, key=lambda n: scores[n])), tau(scores, accuracies(cell), list(networks))


def _rights(one: dict[str, Any]) -> np.ndarray:
    """Return whether the answers are right, (n_runs, n_test)."""
    return np.stack([np.frombuffer(text.encode(), np.uint8) == ord("1") for text in one["right"]])


def _number(value: float | None) -> float:
    return -1e9 if value is None else float(value)
