"""Loss per answer token by hand, and intervals and tests that hold what they promise."""

from __future__ import annotations

import numpy as np
import pytest

from graft.core.errors import DataError
from graft.core.types import Estimate
from graft.evaluation.answer_losses import AnswerLosses, compare_losses, loss_gap, loss_per_token, perplexity
from graft.evaluation.intervals import NoInterval


def drawn(random: np.random.Generator, n: int, *, mean: float, names: str = "a") -> AnswerLosses:
    n_tokens = random.integers(2, 30, n)
    per_token = mean + random.normal(size=n) * 0.3 + 0.01 * (n_tokens - 15.5)  # long answers are harder
    return AnswerLosses([f"{names}{i}" for i in range(n)], per_token * n_tokens, n_tokens)


def truth(mean: float) -> float:
    lengths = np.arange(2, 30)
    return float(mean + (0.01 * (lengths - 15.5) * lengths).mean() / lengths.mean())


def test_a_long_answer_counts_for_more() -> None:
    losses = AnswerLosses(["a", "b"], np.array([1.0, 18.0]), np.array([1, 9]))
    assert loss_per_token(losses).value == pytest.approx(19 / 10)
    assert perplexity(losses).value == pytest.approx(np.exp(1.9))


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    random, hits, found = np.random.default_rng(0), 0, 60
    for i in range(found):
        e = loss_per_token(drawn(random, 80, mean=2.0), seed=i)
        assert isinstance(e, Estimate)
        hits += e.low <= truth(2.0) <= e.high
    assert 52 <= hits <= 60  # 57 are expected


def test_perplexity_keeps_the_interval_of_the_loss() -> None:
    losses = drawn(np.random.default_rng(1), 40, mean=1.0)
    loss, found = loss_per_token(losses), perplexity(losses)
    assert isinstance(loss, Estimate)
    assert isinstance(found, Estimate)
    assert (found.low, found.high) == pytest.approx((np.exp(loss.low), np.exp(loss.high)))


def test_a_single_answer_has_no_interval() -> None:
    one = AnswerLosses(["a"], np.array([3.0]), np.array([2]))
    assert loss_per_token(one) == NoInterval(1.5, 1, "all bootstrap draws are equal")
    assert perplexity(one).value == pytest.approx(np.exp(1.5))


def test_a_paired_change_is_found_that_lies_below_the_scatter_of_examples() -> None:
    random = np.random.default_rng(2)
    before = drawn(random, 60, mean=2.0)
    after = AnswerLosses(before.ids, before.sums + 0.05 * before.n_tokens + random.normal(size=60), before.n_tokens)
    found = compare_losses(before, after)
    assert found.change.p_value < 0.05
    assert isinstance(found.change.difference, Estimate)
    assert found.change.difference.low < 0.05 < found.change.difference.high
    assert isinstance(found.before, Estimate)
    assert found.before.high - found.before.low > found.change.difference.high - found.change.difference.low


def test_no_change_is_seldom_called_one() -> None:
    random, called = np.random.default_rng(3), 0
    for i in range(40):
        before = drawn(random, 50, mean=2.0)
        after = AnswerLosses(before.ids, before.sums + random.normal(size=50), before.n_tokens)
        called += compare_losses(before, after, seed=i).change.p_value <= 0.05
    assert called <= 6


def test_the_gap_is_taken_from_what_training_changed() -> None:
    random = np.random.default_rng(4)
    seen, held_out = drawn(random, 200, mean=1.0, names="s"), drawn(random, 200, mean=2.0, names="h")
    raw = loss_gap(seen, held_out)
    assert raw.difference.value == pytest.approx(1.0, abs=0.1)
    assert raw.p_value < 0.01
    assert raw.difference.method == "bca-bootstrap"

    def eased(losses: AnswerLosses, by: float) -> AnswerLosses:
        return AnswerLosses(losses.ids, losses.sums - by * losses.n_tokens + random.normal(size=200), losses.n_tokens)

    alike = loss_gap(eased(seen, 0.4), eased(held_out, 0.4), seen_before=seen, held_out_before=held_out)
    assert alike.p_value > 0.05  # the training answers were easier from the start
    learned = loss_gap(eased(seen, 0.9), eased(held_out, 0.4), seen_before=seen, held_out_before=held_out)
    assert learned.p_value < 0.01
    assert learned.difference.value == pytest.approx(0.5, abs=0.05)


def test_what_does_not_fit_is_refused() -> None:
    ids, ones = ["a", "b"], np.ones(2)
    with pytest.raises(DataError, match="2 ids"):
        AnswerLosses(ids, np.ones(3), np.ones(2, np.int64))
    with pytest.raises(DataError, match="without a token"):
        AnswerLosses(ids, ones, np.array([1, 0]))
    with pytest.raises(DataError, match="not a number"):
        AnswerLosses(ids, np.array([1.0, np.nan]), np.array([1, 1]))
    good = AnswerLosses(ids, ones, np.array([1, 2]))
    with pytest.raises(DataError, match="different answers"):
        compare_losses(good, AnswerLosses(ids, ones, np.array([2, 1])))
    with pytest.raises(DataError, match="1 seen"):
        loss_gap(good.select(np.array([0])), good)
    with pytest.raises(DataError, match="no answer"):
        loss_per_token(AnswerLosses([], np.empty(0), np.empty(0, np.int64)))
