"""How surprised a language model is by answers: loss per answer token, its change, and its gap of seen and unseen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from graft.core.errors import DataError
from graft.core.types import Estimate
from graft.evaluation.bootstrap import Draws, draw_together
from graft.evaluation.comparisons import PairedBootstrap, paired_bootstrap
from graft.evaluation.intervals import NoInterval

__all__ = ["AnswerLosses", "LossChange", "compare_losses", "in_common", "loss_gap", "loss_per_token", "perplexity"]


@dataclass(frozen=True)
class AnswerLosses:
    """The loss of each example's answer; a general text is an example as well, whose answer is the whole text.

    Parameters
    ----------
    ids : n_examples names.
    sums : (n_examples,), loss summed over the answer's tokens, in nats.
    n_tokens : (n_examples,), tokens that carry loss, at least one of each.
    split : which split or sample the examples come from, for example ``"test"``.

    Raises
    ------
    DataError
        When the lengths do not fit each other, an example has no token, or a loss is not a number.
    """

    ids: Sequence[str]
    sums: NDArray[np.float64]
    n_tokens: NDArray[np.int64]
    split: str = ""

    def __post_init__(self) -> None:
        n = len(self.ids)
        if self.sums.shape != (n,) or self.n_tokens.shape != (n,):
            raise DataError(
                f"losses with {n} ids, sums {self.sums.shape} and tokens {self.n_tokens.shape}",
                expected="one of each an example",
            )
        if n and (self.n_tokens.min() < 1 or np.isnan(self.sums).any()):
            raise DataError(
                "an answer without a token, or whose loss is not a number", expected="at least one token with a loss"
            )

    def __len__(self) -> int:
        return len(self.ids)

    def select(self, rows: NDArray[np.int64]) -> AnswerLosses:
        """Return the losses of some of the examples."""
        return replace(self, ids=[self.ids[int(i)] for i in rows], sums=self.sums[rows], n_tokens=self.n_tokens[rows])


@dataclass(frozen=True)
class LossChange:
    """The loss of the same answers before and after.

    Parameters
    ----------
    before, after : loss per token, with intervals.
    change : after less before, with its interval and test; above zero, the model has become worse.
    """

    before: Estimate | NoInterval
    after: Estimate | NoInterval
    change: PairedBootstrap

    def as_dict(self) -> dict[str, object]:
        """Return the JSON form."""
        return {"before": self.before.as_dict(), "after": self.after.as_dict(), "change": self.change.as_dict()}


def loss_per_token(losses: AnswerLosses, *, level: float = 0.95, seed: int = 0) -> Estimate | NoInterval:
    """Return the loss per answer token, in nats, with an interval for other examples like these.

    Raises
    ------
    DataError
        When there is no example.

    Notes
    -----
    All losses by all tokens, not the mean of the examples' means: a long answer counts for more. The bootstrap draws
    whole examples, as the tokens of an answer go together.

    Examples
    --------
    >>> loss_per_token(AnswerLosses(["a", "b"], np.array([2.0, 1.0]), np.array([4, 2]))).value
    0.5
    """
    (found,) = _draws(losses.n_tokens, losses.sums, seed=seed)
    return found.interval(level)


def perplexity(losses: AnswerLosses, *, level: float = 0.95, seed: int = 0) -> Estimate | NoInterval:
    """Return the exponential of the loss per token and of its interval's ends.

    Raises
    ------
    DataError
        When there is no example.
    """
    loss = loss_per_token(losses, level=level, seed=seed)
    if isinstance(loss, NoInterval):
        return replace(loss, value=None if loss.value is None else float(np.exp(loss.value)))
    value, low, high = (float(np.exp(x)) for x in (loss.value, loss.low, loss.high))
    return replace(loss, value=value, low=low, high=high, method=f"exponential of {loss.method}")


def compare_losses(before: AnswerLosses, after: AnswerLosses, *, level: float = 0.95, seed: int = 0) -> LossChange:
    """Return how the loss of the same examples has changed.

    Raises
    ------
    DataError
        When examples or their numbers of tokens differ, or there is none.

    Examples
    --------
    >>> ids, n = [str(i) for i in range(20)], np.full(20, 5)
    >>> before = AnswerLosses(ids, np.linspace(5, 10, 20), n)
    >>> after = AnswerLosses(ids, np.linspace(6, 12, 20), n)
    >>> found = compare_losses(before, after).change
    >>> round(found.difference.value, 2), found.p_value < 0.01
    (0.3, True)
    """
    if list(before.ids) != list(after.ids) or not np.array_equal(before.n_tokens, after.n_tokens):
        raise DataError(
            "losses before and after of different answers", expected="the same ids and numbers of tokens in one order"
        )
    then, now = _draws(before.n_tokens, before.sums, after.sums, seed=seed)
    change = paired_bootstrap(now, then, metric="loss_per_token", level=level)
    return LossChange(then.interval(level), now.interval(level), change)


def in_common(a: AnswerLosses, b: AnswerLosses) -> tuple[AnswerLosses, AnswerLosses]:
    """Return the losses of those answers alone that both hold with as many tokens, in the order of `a`.

    Examples
    --------
    >>> a = AnswerLosses(["x", "y", "z"], np.ones(3), np.array([1, 2, 3]))
    >>> b = AnswerLosses(["z", "y"], np.ones(2), np.array([3, 9]))
    >>> [list(losses.ids) for losses in in_common(a, b)]
    [['z'], ['z']]
    """
    place = {name: i for i, name in enumerate(b.ids)}
    found = [(i, place[name]) for i, name in enumerate(a.ids) if name in place]
    found = [(i, j) for i, j in found if a.n_tokens[i] == b.n_tokens[j]]
    rows = np.array(found, np.int64).reshape(-1, 2)
    return a.select(rows[:, 0]), b.select(rows[:, 1])


def loss_gap(
    seen: AnswerLosses,
    held_out: AnswerLosses,
    *,
    seen_before: AnswerLosses | None = None,
    held_out_before: AnswerLosses | None = None,
    level: float = 0.95,
    seed: int = 0,
) -> PairedBootstrap:
    """Return how far the loss of held-out answers lies above that of answers which training has seen.

    Parameters
    ----------
    seen, held_out : losses of the final model; at least two examples each.
    seen_before, held_out_before : losses of the same answers before training. Where both are given, what is compared is
        by how much more the loss has fallen on the answers that were seen: training answers that were easier from the
        start then make no gap.

    Raises
    ------
    DataError
        When there are fewer than two examples of one kind, or the losses before are of other answers.

    Notes
    -----
    The examples of the two sides differ, so each side has draws of its own; the noise of the gap is theirs together,
    and so are the influences that BCa's acceleration is made of.
    """
    if min(len(seen), len(held_out)) < 2:
        raise DataError(
            f"a gap between {len(seen)} seen and {len(held_out)} held-out answers", expected="at least two of each"
        )
    sides: list[Draws] = []
    for own, before, purpose in ((held_out, held_out_before, "held out"), (seen, seen_before, "seen")):
        if seen_before is None or held_out_before is None or before is None:
            (found,) = _draws(own.n_tokens, own.sums, seed=seed, purpose=purpose)
        else:
            if list(before.ids) != list(own.ids) or not np.array_equal(before.n_tokens, own.n_tokens):
                raise DataError("losses before training of other answers", expected="the same ids in one order")
            (found,) = _draws(own.n_tokens, own.sums - before.sums, seed=seed, purpose=purpose)
        sides.append(found)
    a, b = sides
    both = Draws(
        a.value - b.value,
        a.draws - b.draws,
        np.concatenate([a.influence, -b.influence]),
        np.concatenate([a.times, b.times]),
        min(a.n, b.n),
    )
    still = replace(both, value=0.0, draws=np.zeros_like(both.draws), influence=np.zeros_like(both.influence))
    return replace(paired_bootstrap(both, still, metric="loss_gap", level=level), test="two-sample-bootstrap")


def _draws(
    n_tokens: NDArray[np.int64], *sums: NDArray[np.float64], seed: int, purpose: str = "answer losses"
) -> list[Draws]:
    """Return the draws of each ratio of losses to tokens, all from the same examples."""
    n = len(n_tokens)
    if not n:
        raise DataError("no answer to judge", expected="at least one")
    columns = np.stack([np.asarray(s, np.float64) for s in sums], axis=1)
    tokens = n_tokens.astype(np.float64)

    def ratios(weights: NDArray[np.float64]) -> NDArray[np.float64]:
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray((weights @ columns) / (weights @ tokens)[:, None], np.float64)

    return draw_together(ratios, n, seed=seed, purpose=purpose)
