"""Standings of a race: what each contestant's short runs foretell of a whole one, and who leads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from graft.selection.trials import Key, TrialResult

__all__ = ["LENGTH_POWER", "Standing", "foreseen_losses", "runs_of", "standings_of"]

LENGTH_POWER: Final = 0.75
"""Losses of one contestant over runs of a share s are taken for a + b / s to this power: short runs that start at the
probe favour small rates and small changes, whole runs do not (docs/experiments.md, "The best rate of a short run")."""


@dataclass(frozen=True)
class Standing:
    """How a contestant stands at the end.

    Parameters
    ----------
    name : of the contestant.
    learning_rate : the highest.
    rung : number of the last rung that it ran, from 0.
    n_steps : of each of its runs there.
    log_loss, accuracy : mean over the held-out examples of that rung.
    foreseen : log-loss of a whole run, where two lengths tell; else `log_loss`.
    log_loss_difference, standard_error : of foreseen losses to the leader of the same rung, example by example.
    log_losses : by rung.
    seconds : of all its runs.
    has_diverged : whether a run came apart.
    """

    name: str
    learning_rate: float
    rung: int
    n_steps: int
    log_loss: float
    accuracy: float
    foreseen: float
    log_loss_difference: float
    standard_error: float
    log_losses: tuple[float, ...]
    seconds: float
    has_diverged: bool = False

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {**self.__dict__, "log_losses": list(self.log_losses)}


def standings_of(
    names: Sequence[str], found: Mapping[Key, TrialResult], planned: Mapping[str, int]
) -> tuple[Standing, ...]:
    """Return the lines of a leaderboard; equal losses stay in the order of `names`."""
    runs = {name: runs_of(name, found) for name in names}
    foreseen = {name: foreseen_losses(runs[name], planned[name]) for name in names}
    lengths = sorted({n_steps for by_length in runs.values() for n_steps in by_length})
    furthest = {name: max(runs[name]) for name in names}
    order = sorted(names, key=lambda name: (-furthest[name], float(foreseen[name].mean())))
    lines = []
    for name in order:
        n_steps = furthest[name]
        first = next(other for other in order if n_steps in runs[other] and furthest[other] == n_steps)
        own = runs[name][n_steps]
        is_paired = len(foreseen[name]) == len(foreseen[first])
        difference = foreseen[name] - foreseen[first] if is_paired else np.zeros(1)
        n, everything = len(difference), [result for some in runs[name].values() for result in some]
        lines.append(
            Standing(
                name=name,
                learning_rate=own[0].learning_rate,
                rung=lengths.index(n_steps),
                n_steps=n_steps,
                log_loss=_loss(own),
                accuracy=float(np.concatenate([result.is_right for result in own]).mean()),
                foreseen=float(foreseen[name].mean()),
                log_loss_difference=float(difference.mean()),
                standard_error=float(difference.std(ddof=1) / np.sqrt(n)) if n > 1 else 0.0,
                log_losses=tuple(_loss(runs[name][length]) for length in sorted(runs[name])),
                seconds=sum(result.seconds for result in everything),
                has_diverged=any(result.has_diverged for result in everything),
            )
        )
    return tuple(lines)


def runs_of(name: str, found: Mapping[Key, TrialResult]) -> dict[int, list[TrialResult]]:
    """Return a contestant's results by steps, each in the order of the repeats."""
    runs: dict[int, list[TrialResult]] = {}
    for key in sorted(key for key in found if key[0] == name):
        runs.setdefault(key[1], []).append(found[key])
    return runs


def foreseen_losses(runs: Mapping[int, list[TrialResult]], planned: int) -> NDArray[np.float64]:
    """Return the losses of a whole run, by held-out example, as the two longest runs on the same examples tell."""
    last, *earlier = sorted(runs, reverse=True)
    losses = _losses(runs[last])
    if not earlier or last >= planned or len(runs[earlier[0]]) != len(runs[last]):
        return losses
    if any(result.has_diverged for result in (*runs[last], *runs[earlier[0]])):  # a marker's loss foretells nothing
        return losses
    short, long = ((n_steps / planned) ** -LENGTH_POWER for n_steps in (earlier[0], last))
    return losses + (long - 1) / (short - long) * (losses - _losses(runs[earlier[0]]))


def _losses(results: Sequence[TrialResult]) -> NDArray[np.float64]:
    return np.concatenate([result.losses for result in results]).astype(np.float64)


def _loss(results: Sequence[TrialResult]) -> float:
    return float(np.mean([result.loss for result in results]))
