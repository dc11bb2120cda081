"""Rules of the race over learning rates, replayed on kept trials: which rates go on, and when the prior is left.

The trials (`results/learning_rate_trials.jsonl`) are of six cells of `bench/learning_rate.py`: rates from a hundredth
to ten times the prior, 10 and 40 of 100 steps, two splits that each hold out two folds of five. The truth is the
grid of the same cells (`results/learning_rate_cells.jsonl`), read between its rates. Each rule starts at the prior, at
ten times and at a tenth of it; printed is the mean gain over the prior in points, of twelve cases (cells, splits).

    python bench/learning_rate_replay.py
"""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np

from measure import BENCH, table

FACTORS = (0.01, 0.0333, 0.1, 0.3333, 1.0, 3.0, 10.0)
SHORT, LONG = 0.1**-0.75, 0.4**-0.75
CHANCE = {"trec": math.log(6)}


def near(factor: float) -> float:
    """Return the factor that was tried next to one."""
    return min(FACTORS, key=lambda other: abs(math.log(other / factor)))


def accuracy(grid: dict[str, Any], rate: float) -> float:
    """Return the grid's test accuracy, between its rates on a line."""
    reached = [text.count("1") / len(text) for text in grid["right"]]
    return float(np.interp(math.log(rate), np.log(grid["rates"]), reached))


def chosen(cell: dict[str, Any], start: float, repeat: int, *, is_by_loss: bool, clear: float) -> float:
    """Return the factor that a race from `start` times the prior ends at."""
    trials = {(t["factor"], t["n_steps"]): np.array(t["losses"]) for t in cell["trials"] if t["repeat"] == repeat}
    field = [near(start * f) for f in (0.1, 1 / 3, 1, 3, 10) if 0.005 < start * f < 20]
    own, chance = near(start), CHANCE.get(cell["task"], math.log(10))

    def key(factor: float) -> tuple[bool, bool, float]:
        loss = float(trials[factor, 10].mean())
        is_lost = loss >= 0.99 * chance
        return factor != own, not is_by_loss and is_lost, loss if is_by_loss or is_lost else -factor

    kept = sorted(field, key=key)[:3]
    foreseen = {f: trials[f, 40] + (LONG - 1) / (SHORT - LONG) * (trials[f, 40] - trials[f, 10]) for f in kept}
    best = min(kept, key=lambda f: (float(foreseen[f].mean()), f))
    gap = foreseen[own] - foreseen[best]
    is_clear = best != own and gap.mean() > clear * gap.std(ddof=1) / math.sqrt(len(gap))
    return best if is_clear else own


def main() -> None:
    read = [
        [json.loads(line) for line in (BENCH / "results" / name).read_text(encoding="utf-8").splitlines()]
        for name in ("learning_rate_trials.jsonl", "learning_rate_cells.jsonl")
    ]
    grids = {(cell["task"], cell["seed"]): cell["grid"] for cell in read[1]}
    rows = []
    for is_by_loss in (True, False):
        for clear in (0.0, 1.0, 1.645, 2.0, 3.0):
            row: list[Any] = ["least loss" if is_by_loss else "largest not lost", clear]
            for start in (1.0, 10.0, 0.1):
                gains = []
                for cell in read[0]:
                    grid, prior = grids[cell["task"], cell["seed"]], cell["prior"]
                    for repeat in (0, 1):
                        factor = chosen(cell, start, repeat, is_by_loss=is_by_loss, clear=clear)
                        gains.append(100 * (accuracy(grid, prior * factor) - accuracy(grid, prior)))
                row.append(f"{np.mean(gains):+.2f}")
            rows.append(row)
    table(["who goes on", "standard errors", "from the prior", "from 10 x", "from a tenth"], rows)


if __name__ == "__main__":
    main()
