"""Who is ranked, where each came, and the score that they are ordered by."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from graft.selection.ranking_signals import Signals

__all__ = ["Candidate", "Opened", "Standing", "published_decades", "score_of", "static_bonus"]

_A_DECADE: Final = 0.1  # of loss share that ten times the parameters are worth (docs/decisions/023)
_POINTS_A_DECADE: Final = 0.1  # accuracy that ten times the parameters gain on ImageNet within a family of networks


@dataclass(frozen=True)
class Opened:
    """A pretrained model in memory.

    Parameters
    ----------
    n_parameters : without a head.
    embed : features (n_rows, n_poolings * width) of some examples, through a cache: what was computed before costs
        nothing.
    poolings : names of the ways of pooling, whose features stand side by side; one of them is chosen.
    scalings : of features, see `graft.solver.scaling`.
    unreadable : rows that `embed` could not read and was told to skip; it adds to them, their features mean nothing.
    """

    n_parameters: int
    embed: Callable[[NDArray[np.int64]], NDArray[np.float32]]
    poolings: tuple[str, ...] = ("",)
    scalings: tuple[str, ...] = ("z-score",)
    unreadable: set[int] = field(default_factory=set)


@dataclass(frozen=True)
class Candidate:
    """A pretrained model that is to be ranked.

    Parameters
    ----------
    name : what it is called.
    n_parameters : as far as they are known before it is loaded; small ones are looked at first.
    open : loads it. It is loaded for each look and let go after it, so that no two are in memory at once.
    published_decades : what its published accuracy adds to the logarithm of its size, see `published_decades`.
    """

    name: str
    n_parameters: int
    open: Callable[[], Opened]
    published_decades: float = 0.0


@dataclass(frozen=True)
class Standing:
    """Where a candidate came.

    Parameters
    ----------
    name : of the candidate.
    n_parameters : without a head.
    score : smaller is better, see `score_of`.
    bonus : that is taken off for size and published accuracy, see `static_bonus`.
    signals : of the last round that it was in.
    pooling : that the signals are of.
    round : number of that round, from 1.
    seconds : that loading, features and signals took, all rounds.
    examples_per_s : of the features that were computed; None: all came from the cache, or too few to tell.
    is_tied : whether the leader's lead over it can't be told from chance.
    """

    name: str
    n_parameters: int
    score: float
    bonus: float
    signals: Signals
    pooling: str
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
            "pooling": self.pooling,
            "round": self.round,
            "seconds": round(self.seconds, 3),
            "examples_per_s": self.examples_per_s,
            "is_tied": self.is_tied,
            **self.signals.as_dict(),
        }


def score_of(signals: Signals, bonus: float) -> float:
    """Return what candidates are ordered by, smaller is better.

    The head's log-loss and, with a third of its weight, the neighbours', as shares of chance, less what size and
    published accuracy are worth: what fine-tuning adds grows with the network (docs/decisions/023).
    """
    return float(signals.both.mean()) - bonus


def static_bonus(n_parameters: int, published: float = 0.0) -> float:
    """Return what is known of a network before it sees an example, in shares of the loss.

    Parameters
    ----------
    published : decades that its published accuracy adds, see `published_decades`.
    """
    return _A_DECADE * (float(np.log10(max(n_parameters, 1))) + published)


def published_decades(known: Mapping[str, tuple[int, float, str]]) -> dict[str, float]:
    """Return what published accuracies add to the logarithm of sizes, by name.

    Among models whose accuracy is of the same benchmark, ten points count as much as ten times the parameters, beside
    the mean of these models; half of the prior is then that, half the size itself. A model that is alone on its
    benchmark, or has none, gets 0: nothing is to be compared with.

    Parameters
    ----------
    known : name to parameters, accuracy (a share), and the benchmark that it is of.

    Examples
    --------
    >>> known = {"a": (10**7, 0.7, "ImageNet"), "b": (10**7, 0.8, "ImageNet"), "c": (10**8, 0.9, "MNLI")}
    >>> {name: round(value, 2) for name, value in published_decades(known).items()}
    {'a': -0.25, 'b': 0.25, 'c': 0.0}
    """
    found = dict.fromkeys(known, 0.0)
    for benchmark in {own[2] for own in known.values()}:
        names = [name for name, own in known.items() if own[2] == benchmark and own[0] > 0]
        if len(names) > 1:
            sizes = np.log10([known[name][0] for name in names])
            reached = np.array([known[name][1] for name in names])
            decades = sizes.mean() + (reached - reached.mean()) / _POINTS_A_DECADE
            found |= {name: float(x) for name, x in zip(names, (decades - sizes) / 2, strict=True)}
    return found
