"""Which candidates of a ranking can be told apart, and what the winner's score is worth after the choice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from graft.core.types import Estimate
from graft.evaluation.bootstrap import draw_together
from graft.evaluation.comparisons import ALPHA, holm, paired_bootstrap
from graft.evaluation.intervals import NoInterval

__all__ = ["PairedLoss", "compare_pairs", "tie_sentences", "tied_with"]

_DRAWS_A_PAIR: Final = 200  # the least p-value, times the pairs, must lie far below 0.05


@dataclass(frozen=True)
class PairedLoss:
    """Two candidates on the same examples.

    Parameters
    ----------
    a, b : names, the better one first.
    n : examples.
    difference : out-of-fold log-loss of `a` less that of `b`, with its interval.
    p_value : of no difference, by the paired bootstrap.
    p_holm : the same, adjusted for the number of pairs of the round (Holm 1979).
    """

    a: str
    b: str
    n: int
    difference: Estimate | NoInterval
    p_value: float
    p_holm: float

    @property
    def is_apart(self) -> bool:
        """Whether the two can be told apart at the 5 % level, all pairs of the round taken together."""
        return self.p_holm < ALPHA

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "a": self.a,
            "b": self.b,
            "n": self.n,
            "log_loss_difference": self.difference.as_dict(),
            "p_value": self.p_value,
            "p_holm": self.p_holm,
            "is_apart": self.is_apart,
        }


def compare_pairs(losses: Mapping[str, NDArray[np.float64]], *, seed: int = 0) -> list[PairedLoss]:
    """Return every pair of candidates, tested on the same examples in the same order, by the same bootstrap draws.

    Parameters
    ----------
    losses : (n_examples,) by name, out of fold and of the same folds.

    Notes
    -----
    The draws are of examples; the models of the folds are taken as they are. So the claim is about these fitted heads
    on further examples, not about heads fitted to other training sets.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> base = rng.exponential(size=300)
    >>> found = compare_pairs({"x": base, "y": base + rng.normal(0, 0.1, 300) + 0.3})
    >>> found[0].a, found[0].b, found[0].is_apart
    ('x', 'y', True)
    """
    names = sorted(losses, key=lambda name: float(losses[name].mean()))
    pairs = list(combinations(range(len(names)), 2))
    if not pairs:
        return []
    table = np.stack([losses[name] for name in names], axis=1)
    n = len(table)
    draws = draw_together(
        lambda w: w @ table / n, n, n_draws=max(2_000, _DRAWS_A_PAIR * len(pairs)), seed=seed, purpose="ranking"
    )
    tests = [paired_bootstrap(draws[i], draws[j], metric="log_loss") for i, j in pairs]
    adjusted = holm([test.p_value for test in tests])
    return [
        PairedLoss(names[i], names[j], n, test.difference, test.p_value, p)
        for (i, j), test, p in zip(pairs, tests, adjusted, strict=True)
    ]


def tied_with(name: str, pairs: Sequence[PairedLoss]) -> set[str]:
    """Return the others that can't be told apart from `name`."""
    return {p.b if p.a == name else p.a for p in pairs if name in (p.a, p.b) and not p.is_apart}


def tie_sentences(ranked: Sequence[str], pairs: Sequence[PairedLoss]) -> list[str]:
    """Return in words which candidates can't be told apart, group by group from the leader down.

    Parameters
    ----------
    ranked : names, the best first.
    """
    left, told = list(ranked), list[str]()
    if len(left) < 2:
        return [f"{left[0]} is the only candidate: there is nothing to compare it with"] if left else []
    leader = left[0]
    lower = [p.a for p in pairs if p.b == leader and p.is_apart]
    if lower:
        told.append(
            f"{', '.join(lower)} had a lower log-loss than {leader}, which leads by its neighbours and its size"
        )
    elif not tied_with(leader, pairs):
        told.append(f"{leader} is better than every other that was compared with it")
    while left:
        leader = left.pop(0)
        group = [name for name in left if name in tied_with(leader, pairs)]
        left = [name for name in left if name not in group]
        if group:
            n = min(p.n for p in pairs if leader in (p.a, p.b) and (p.a in group or p.b in group))
            names = [leader, *group]
            if all(other in tied_with(one, pairs) for one, other in combinations(names, 2)):
                told.append(f"{', '.join(names[:-1])} and {names[-1]} can't be told apart at n={n:,}")
            else:
                told.append(f"{leader} can't be told from {' or '.join(group)} at n={n:,}")
    return told
