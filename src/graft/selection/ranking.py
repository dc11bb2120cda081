"""Which of several pretrained models: a subsample for all, more examples for those that may still be best."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from graft.core.errors import GraftError, Interrupted, ModelError
from graft.core.seeds import generator
from graft.selection.pooling_choice import choose_block
from graft.selection.ranking_evidence import PairedLoss, compare_pairs, tied_with
from graft.selection.ranking_signals import measure_signals
from graft.selection.ranking_standing import Candidate, Standing, score_of, static_bonus

__all__ = ["FIRST_A_CLASS", "FIRST_EXAMPLES", "first_rows", "rank_candidates", "reason_of"]

FIRST_EXAMPLES: Final = 200
FIRST_A_CLASS: Final = 10
_GROWTH: Final = 3
_NAMED: Final = 5  # of those left out, in an error
_POOLING_EXAMPLES: Final = 2_000  # beyond which the pooling of the round before stays


@dataclass(frozen=True)
class _Ground:
    """What all looks have in common: see `rank_candidates`."""

    labels: NDArray[np.integer[Any]]
    groups: NDArray[np.int64] | None
    n_folds: int
    seed: int


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
    say_left_out: Callable[[str], None] | None = None,
) -> tuple[tuple[Standing, ...], tuple[PairedLoss, ...], tuple[tuple[str, str], ...]]:
    """Return the candidates from best to worst, the paired comparisons, and who was left out with the reason.

    Parameters
    ----------
    labels : (n_examples,), class numbers; or (n_examples, n_labels), 0 or 1.
    groups : (n_examples,), examples that share a fold; None: no groups.
    seconds : for all of it. Where it runs out, those not yet seen are left out, small ones being seen first; a further
        round is begun only if, by what the last look at each took, it can end in time. A round that the time
        ends before all of its candidates were seen counts for nothing.
    most_examples : of the last round.
    say_left_out : told of each that could not be looked at; None: `say`.

    Notes
    -----
    Successive halving (Jamieson and Talwalkar 2016): all candidates see `FIRST_EXAMPLES` examples, or 10 a class; a
    round goes on with the better half, and with whoever can't be told from the best, on three times as many.
    """
    end = time.monotonic() + seconds
    ground = _Ground(labels, groups, n_folds, seed)
    order = generator(seed, "ranking", len(labels)).permutation(len(labels))
    n_all = min(len(labels), most_examples)
    n_now = min(n_all, max(FIRST_EXAMPLES, FIRST_A_CLASS * n_classes))
    alive = sorted(candidates, key=lambda candidate: candidate.n_parameters)
    standings: dict[str, Standing] = {}
    pairs: list[PairedLoss] = []
    left_out: list[tuple[str, str]] = []
    first_error: Exception | None = None
    number = 0
    while True:
        number += 1
        rows = first_rows(labels, n_now, order=order)
        own: dict[str, Standing] = {}
        failed = set[str]()
        for candidate in _in_time(alive, end, left_out if number == 1 else None):
            try:
                own[candidate.name] = _look(candidate, rows, number, standings.get(candidate.name), ground)
            except Interrupted:
                raise
            except Exception as error:  # of whatever kind: the others are still to be ranked
                first_error = first_error or error
                failed.add(candidate.name)
                again = f" (in round {number}: it stands behind those that got further)" if number > 1 else ""
                left_out.append((candidate.name, _without_name(reason_of(error), candidate.name) + again))
                (say_left_out or say)(f"{candidate.name} left out: {left_out[-1][1]}")
        if number > 1 and len(own) + len(failed) < len(alive):  # scores of more examples say nothing beside others
            say(
                f"round {number}: {len(own)} of {len(alive)} got {len(rows):,} examples; the order stays that of round"
                f" {number - 1}"
            )
            break
        look_s = {name: one.seconds - (standings[name].seconds if number > 1 else 0.0) for name, one in own.items()}
        standings |= own
        names = sorted(own, key=lambda name: own[name].score)
        pairs = [p for p in pairs if not {p.a, p.b} <= own.keys() and not {p.a, p.b} & failed]
        pairs += compare_pairs({name: own[name].signals.losses for name in names}, seed=seed)
        if names:
            say(f"round {number}, {len(rows):,} examples: {', '.join(names[:4])}{' ...' if len(names) > 4 else ''}")
        n_next = min(n_all, n_now * _GROWTH)
        tied = tied_with(names[0], pairs) if names else set()
        kept = [name for i, name in enumerate(names) if i < max(2, -(-len(names) // 2)) or name in tied]
        ahead = 1.2 * (n_next / n_now - 1) * sum(look_s[name] for name in kept)
        if n_next <= n_now or len(names) < 2 or time.monotonic() + ahead > end:
            break
        alive = [candidate for candidate in alive if candidate.name in kept]
        n_now = n_next
    if not standings and first_error is not None:
        if len(left_out) == 1 and isinstance(first_error, GraftError):
            raise first_error
        raise _as_model_error(left_out) from first_error
    ranked = sorted(standings.values(), key=lambda s: (-s.round, s.score))
    tied = tied_with(ranked[0].name, pairs) if ranked else set()
    return tuple(replace(s, is_tied=s.name in tied) for s in ranked), tuple(pairs), tuple(left_out)


def _in_time(alive: Sequence[Candidate], end: float, left_out: list[tuple[str, str]] | None) -> Iterator[Candidate]:
    for place, candidate in enumerate(alive):
        if place and time.monotonic() > end:
            if left_out is not None:
                left_out += [(late.name, "the budget ended before it was seen") for late in alive[place:]]
            return
        yield candidate


def _look(
    candidate: Candidate, rows: NDArray[np.int64], number: int, before: Standing | None, ground: _Ground
) -> Standing:
    """Return the standing of a candidate after a look at some rows; the model is in memory only meanwhile."""
    started = time.perf_counter()
    opened = candidate.open()
    began = time.perf_counter()
    features = opened.embed(rows)
    embedding_s = time.perf_counter() - began
    n_asked = len(rows)
    if opened.unreadable:  # the same for every model: it is the file that cannot be read
        is_there = ~np.isin(rows, list(opened.unreadable))
        rows, features = rows[is_there], features[is_there]
    targets = ground.labels[rows]
    if targets.ndim == 1:
        _, targets = np.unique(targets, return_inverse=True)
    n_present = targets.shape[1] if targets.ndim == 2 else int(targets.max()) + 1
    groups = None if ground.groups is None else ground.groups[rows]
    block = opened.poolings.index(before.pooling) if before else 0
    if len(opened.poolings) > 1 and (not before or len(rows) <= _POOLING_EXAMPLES):  # as `fit` chooses
        block, _ = choose_block(
            features, targets, n_blocks=len(opened.poolings), n_classes=n_present, groups=groups,
            scalings=opened.scalings, n_folds=ground.n_folds, seed=ground.seed,
        )  # fmt: skip
    width = features.shape[1] // len(opened.poolings)
    signals = measure_signals(
        np.ascontiguousarray(features[:, block * width : (block + 1) * width]), targets, n_classes=n_present,
        groups=groups, scalings=opened.scalings, n_folds=ground.n_folds, seed=ground.seed,
    )  # fmt: skip
    n_new = n_asked - (before.signals.n if before else 0)
    bonus = static_bonus(opened.n_parameters, candidate.published_decades)
    return Standing(
        name=candidate.name,
        n_parameters=opened.n_parameters,
        score=score_of(signals, bonus),
        bonus=bonus,
        signals=signals,
        pooling=opened.poolings[block],
        round=number,
        seconds=(before.seconds if before else 0.0) + time.perf_counter() - started,
        examples_per_s=n_new / embedding_s if embedding_s > 0.05 and n_new > 0 else None,
    )


def reason_of(error: Exception) -> str:
    """Return in half a sentence why something could not be done."""
    first = str(error).strip().splitlines()
    return error.got if isinstance(error, GraftError) else f"{type(error).__name__}: {first[0] if first else ''}"


def _without_name(reason: str, name: str) -> str:
    """Return a reason that stands behind the name already: without it.

    Examples
    --------
    >>> _without_name("models/one is a language model", "models/one")
    'a language model'
    """
    return reason.removeprefix(f"{name} is ").removeprefix(f"{name} ").replace(f"the folder {name} ", "the folder ")


def _as_model_error(left_out: Sequence[tuple[str, str]]) -> ModelError:
    told = "; ".join(f"{name} could not be ranked: {why}" for name, why in left_out[:_NAMED])
    more = len(left_out) - _NAMED
    return ModelError(
        told + (f"; and {more} more" if more > 0 else ""),
        expected="a pretrained model that gives features of these examples",
        fix="name others: graft rank --models FOLDER_OR_ID ... (Python: models=[...])",
    )
