"""Which of several pretrained models: a subsample for all, more examples for those that may still be best."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from graft.core.seeds import generator
from graft.selection.ranking_evidence import PairedLoss, compare_pairs, tied_with
from graft.selection.ranking_signals import Signals, measure_signals

__all__ = ["Candidate", "Standing", "first_rows", "rank_candidates", "score_of", "size_bonus"]

FIRST_EXAMPLES: Final = 200
FIRST_A_CLASS: Final = 10
_GROWTH: Final = 3
_A_DECADE: Final = 0.05  # of loss share that ten times the parameters are worth (docs/decisions/023)


@dataclass(frozen=True)
class Candidate:
    """A pretrained model that is to be ranked.

    Parameters
    ----------
    name : what it is called.
    n_parameters : without a head.
    embed : features (n_rows, n_features) of some examples, through a cache: what was computed before costs nothing.
    scalings : of features, see `graft.solver.scaling`.
    """

    name: str
    n_parameters: int
    embed: Callable[[NDArray[np.int64]], NDArray[np.float32]]
    scalings: tuple[str, ...] = ("z-score",)


@dataclass(frozen=True)
class Standing:
    """Where a candidate came.

    Parameters
    ----------
    name : of the candidate.
    n_parameters : without a head.
    score : smaller is better, see `score_of`.
    signals : of the last round that it was in.
    round : number of that round, from 1.
    seconds : that its features and signals took, all rounds.
    examples_per_s : of the features that were computed; None: all came from the cache, or too few to tell.
    is_tied : whether the leader's lead over it can't be told from chance.
    """

    name: str
    n_parameters: int
    score: float
    signals: Signals
    round: int
    seconds: float
    examples_per_s: float | None
    is_tied: bool = False

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "name": self.name,
            "n_parameters": self.n_parameters,
            "score": self.score,
            "round": self.round,
            "seconds": round(self.seconds, 3),
            "examples_per_s": self.examples_per_s,
            "is_tied": self.is_tied,
            **self.signals.as_dict(),
        }


def score_of(signals: Signals, n_parameters: int) -> float:
    """Return what candidates are ordered by, smaller is better.

    The mean of the head's and the neighbours' log-loss, each as a share of chance, less a twentieth for each decade of
    parameters: what fine-tuning adds grows with the network (docs/decisions/023).
    """
    return float(signals.both.mean()) - size_bonus(n_parameters)


def size_bonus(n_parameters: int) -> float:
    """Return what the size of a network counts for in `score_of`."""
    return _A_DECADE * float(np.log10(max(n_parameters, 1)))


def first_rows(labels: NDArray[np.integer[Any]], n: int, *, order: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return `n` rows, sorted, of which a larger `n` gives all and more: classes in their shares, two of each first.

    Parameters
    ----------
    labels : (n_examples,), class numbers; of label sets (n_examples, n_labels) the order alone decides.
    order : (n_examples,), a permutation.
    """
    if labels.ndim == 2:
        return np.sort(order[:n])
    place = np.empty(len(labels))
    for number in np.unique(labels):
        own = order[labels[order] == number]
        place[own] = (np.arange(len(own)) + 0.5) / len(own)
        place[own[:2]] = -1.0
    keys = np.empty(len(labels), np.int64)
    keys[order] = np.arange(len(order))
    return np.sort(np.lexsort((keys, place))[: max(n, int((place < 0).sum()))])


def rank_candidates(
    candidates: Sequence[Candidate],
    labels: NDArray[np.integer[Any]],
    *,
    n_classes: int,
    groups: NDArray[np.int64] | None = None,
    n_folds: int = 5,
    seconds: float = float("inf"),
    most_examples: int = 5_000,
    seed: int = 0,
    say: Callable[[str], None] = lambda text: None,
) -> tuple[tuple[Standing, ...], tuple[PairedLoss, ...], tuple[tuple[str, str], ...]]:
    """Return the candidates from best to worst, the paired comparisons, and who was left out with the reason.

    Parameters
    ----------
    labels : (n_examples,), class numbers; or (n_examples, n_labels), 0 or 1.
    groups : (n_examples,), examples that share a fold; None: no groups.
    seconds : for all of it. Where it runs out, those not yet seen are left out, small ones being seen first; a further
        round is begun only if, by what the last one took, it can end in time.
    most_examples : of the last round.

    Notes
    -----
    Successive halving (Jamieson and Talwalkar 2016): all candidates see `FIRST_EXAMPLES` examples, or 10 a class; a
    round goes on with the better half, and with whoever can't be told from the best, on three times as many.
    """
    end = time.monotonic() + seconds
    order = generator(seed, "ranking", len(labels)).permutation(len(labels))
    n_all = min(len(labels), most_examples)
    n_now = min(n_all, max(FIRST_EXAMPLES, FIRST_A_CLASS * n_classes))
    alive = sorted(candidates, key=lambda candidate: candidate.n_parameters)
    standings: dict[str, Standing] = {}
    pairs: list[PairedLoss] = []
    left_out: list[tuple[str, str]] = []
    number = 0
    while True:
        number += 1
        rows, began = first_rows(labels, n_now, order=order), time.monotonic()
        own = {candidate.name: _look(candidate, labels, rows, n_classes, groups, n_folds, number, standings, seed)
               for candidate in _in_time(alive, end, left_out if number == 1 else None)}  # fmt: skip
        standings |= own
        if number > 1 and len(own) < len(alive):
            say(f"the budget ended in round {number}: {len(own)} of {len(alive)} got {len(rows):,} examples")
        names = sorted(own, key=lambda name: own[name].score)
        pairs = [p for p in pairs if not (p.a in own and p.b in own)] + compare_pairs(
            {name: own[name].signals.losses for name in names}, seed=seed
        )
        say(f"round {number}, {len(rows):,} examples: {', '.join(names[:4])}{' ...' if len(names) > 4 else ''}")
        took = time.monotonic() - began
        n_next = min(n_all, n_now * _GROWTH)
        tied = tied_with(names[0], pairs) if names else set()
        kept = [name for i, name in enumerate(names) if i < max(2, -(-len(names) // 2)) or name in tied]
        ahead = 1.2 * took * (n_next / n_now - 1) * len(kept) / max(len(names), 1)
        if n_next <= n_now or len(names) < 2 or time.monotonic() + ahead > end:
            break
        alive = [candidate for candidate in alive if candidate.name in kept]
        n_now = n_next
    ranked = sorted(standings.values(), key=lambda s: (-s.round, s.score))
    tied = tied_with(ranked[0].name, pairs) if ranked else set()
    return tuple(replace(s, is_tied=s.name in tied) for s in ranked), tuple(pairs), tuple(left_out)


def _in_time(alive: Sequence[Candidate], end: float, left_out: list[tuple[str, str]] | None) -> Any:
    for place, candidate in enumerate(alive):
        if place and time.monotonic() > end:
            if left_out is not None:
                left_out += [(late.name, "the budget ended before it was seen") for late in alive[place:]]
            return
        yield candidate


def _look(
    candidate: Candidate,
    labels: NDArray[np.integer[Any]],
    rows: NDArray[np.int64],
    n_classes: int,
    groups: NDArray[np.int64] | None,
    n_folds: int,
    number: int,
    before: dict[str, Standing],
    seed: int,
) -> Standing:
    """Return the standing of a candidate after a look at some rows."""
    started = time.perf_counter()
    features = candidate.embed(rows)
    embedding_s = time.perf_counter() - started
    targets = labels[rows]
    if targets.ndim == 1:
        _, targets = np.unique(targets, return_inverse=True)
    n_present = targets.shape[1] if targets.ndim == 2 else int(targets.max()) + 1
    signals = measure_signals(
        features, targets, n_classes=n_present, groups=None if groups is None else groups[rows],
        scalings=candidate.scalings, n_folds=n_folds, seed=seed,
    )  # fmt: skip
    old = before.get(candidate.name)
    n_new = len(rows) - (old.signals.n if old else 0)
    return Standing(
        candidate.name,
        candidate.n_parameters,
        score_of(signals, candidate.n_parameters),
        signals,
        number,
        (old.seconds if old else 0.0) + time.perf_counter() - started,
        n_new / embedding_s if embedding_s > 0.05 and n_new > 0 else None,
    )
