from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from graft.core.errors import DataError
from graft.core.types import Predictions
from graft.evaluation import holm, mcnemar_exact, paired_log_loss
from graft.evaluation.comparisons import paired_difference, smallest_detectable


@pytest.mark.parametrize(("b", "c", "p"), [(0, 5, 0.0625), (0, 6, 0.03125), (4, 4, 1.0), (0, 0, 1.0)])
def test_mcnemar_of_known_tables(b: int, c: int, p: float) -> None:
    only_a = np.array([True] * b + [False] * c + [True] * 20)
    only_b = np.array([False] * b + [True] * c + [True] * 20)
    found = mcnemar_exact(only_a, only_b)
    assert (found.only_a, found.only_b, found.n) == (b, c, b + c + 20)
    assert found.p_value == pytest.approx(p)
    assert found.difference.value == pytest.approx((b - c) / found.n)


def test_mcnemar_is_the_binomial_test_and_symmetric() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.random(300) < 0.8, rng.random(300) < 0.7
    one, two = mcnemar_exact(a, b), mcnemar_exact(b, a)
    assert one.p_value == pytest.approx(stats.binomtest(one.only_a, one.only_a + one.only_b).pvalue)
    assert one.p_value == two.p_value
    assert one.difference.low == pytest.approx(-two.difference.high)


def test_mcnemar_refuses_other_lengths() -> None:
    with pytest.raises(DataError):
        mcnemar_exact(np.ones(3, bool), np.ones(4, bool))


def test_paired_interval_holds_zero_where_nothing_differs_and_stays_in_range() -> None:
    same = paired_difference(50, 0, 0, 50)
    assert same.low <= 0 <= same.high
    opposite = paired_difference(0, 30, 0, 30)
    assert opposite.value == opposite.high == 1
    assert opposite.low > 0.7


def test_association_narrows_the_paired_interval() -> None:
    together = paired_difference(80, 6, 4, 100)  # both models fail on the same examples
    apart = paired_difference(70, 16, 14, 100)
    assert together.high - together.low < 0.75 * (apart.high - apart.low)


def test_smallest_difference_shrinks_with_n_and_grows_with_disagreement() -> None:
    sizes = [smallest_detectable(n, 0.1) for n in (50, 200, 1_000)]
    assert sizes[0] > sizes[1] > sizes[2] > 0
    assert smallest_detectable(200, 0.4) > sizes[1]
    assert smallest_detectable(5, 0.2) is None
    # Nearly normal for large n: Connor's formula, with the continuity that the exact test costs.
    n, psi = 4_000, 0.2
    d = smallest_detectable(n, psi)
    z = stats.norm.ppf
    connor = (z(0.975) * np.sqrt(psi) + z(0.8) * np.sqrt(psi - d**2)) / np.sqrt(n)
    assert d == pytest.approx(connor, rel=0.05)


def test_holm_of_one_none_and_many() -> None:
    assert holm([]) == []
    assert holm([0.03]) == [0.03]
    assert holm([0.2, 0.001, 0.9, 0.02]) == pytest.approx([0.4, 0.004, 0.9, 0.06])


def test_paired_log_loss_is_tighter_than_its_parts_and_signed() -> None:
    rng = np.random.default_rng(1)
    t = rng.integers(0, 3, 200)
    ids = [str(i) for i in range(200)]
    z = rng.normal(size=(200, 3)) + 2 * np.eye(3)[t]
    better = Predictions(ids, t, z, ("a", "b", "c"))
    worse = Predictions(ids, t, 0.7 * z, ("a", "b", "c"))
    difference = paired_log_loss(better, worse)
    assert difference.value < 0
    assert difference.value == pytest.approx(-paired_log_loss(worse, better).value)
    with pytest.raises(DataError):
        paired_log_loss(better, Predictions(ids[::-1], t, z, ("a", "b", "c")))


@pytest.mark.parametrize("n", [12, 25, 60])
def test_interval_and_exact_test_never_contradict(n: int) -> None:
    n_widened = 0
    for only_a in range(0, n // 2 + 1):
        for only_b in range(0, n // 2 - only_a + 1, 2):
            a = np.array([True] * only_a + [False] * (n - only_a))
            b = np.array([False] * only_a + [True] * only_b + [False] * (n - only_a - only_b))
            found = mcnemar_exact(a, b)
            holds_zero = found.difference.low <= 1e-12 and found.difference.high >= -1e-12
            assert holds_zero == (found.p_value > 0.05), (only_a, only_b, found)
            n_widened += "widened" in found.difference.method
    assert n_widened > 0
