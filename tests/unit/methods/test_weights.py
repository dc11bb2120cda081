"""Weights between runs, by hand."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from graft.core.errors import UsageError
from graft.methods.weights import greedy_soup, interpolate, uniform_soup


def weights(*values: float, count: int = 0) -> dict[str, Tensor]:
    return {"w": torch.tensor(values, dtype=torch.float32), "n": torch.tensor(count)}


def test_a_quarter_of_the_way() -> None:
    found = interpolate(weights(0, 8, count=3), weights(4, 0, count=5), 0.25)
    assert found["w"].tolist() == [1, 6]
    assert found["n"].item() == 5
    assert found["n"].dtype == torch.int64


@pytest.mark.parametrize("share", [0, 0.0, 1, 1.0])
def test_the_ends_are_bit_equal_copies(share: float) -> None:
    """1e8 and 1e-8: no sum of the two has the bits of either."""
    first, second = weights(1e8, -0.0, count=3), weights(1e-8, 0.1, count=5)
    end, found = (second if share else first), interpolate(first, second, share)
    for name, tensor in end.items():
        assert torch.equal(found[name], tensor)
        assert torch.equal(torch.signbit(found[name]), torch.signbit(tensor))
        assert found[name].data_ptr() != tensor.data_ptr()


def test_neither_of_the_two_is_changed() -> None:
    first, second = weights(1, 2), weights(3, 4)
    interpolate(first, second, 0.5)["w"].zero_()
    assert (first["w"].tolist(), second["w"].tolist()) == ([1, 2], [3, 4])


def test_the_mean_of_three() -> None:
    found = uniform_soup([weights(1, 0, count=7), weights(2, 0, count=8), weights(6, 3, count=9)])
    assert found["w"].tolist() == [3, 1]
    assert found["n"].item() == 7


def test_the_mean_is_taken_in_double_precision() -> None:
    assert uniform_soup([weights(1e8), weights(1), weights(-1e8)])["w"].item() == pytest.approx(1 / 3)


def test_the_mean_keeps_the_type() -> None:
    half = {"w": torch.ones(2, dtype=torch.bfloat16)}
    assert uniform_soup([half, half])["w"].dtype == torch.bfloat16


def test_a_soup_of_one_is_that_one() -> None:
    run = weights(0.1, 0.3)
    assert torch.equal(uniform_soup([run])["w"], run["w"])


def squared(run: object) -> float:
    """Return the squared distance of the one weight from 0."""
    assert isinstance(run, dict)
    return float(run["w"].item()) ** 2


def test_a_greedy_soup_takes_what_lowers_the_loss_best_first() -> None:
    """Best first: 1, -2, 4, -10. (1 - 2) / 2 = -0.5: taken. (1 - 2 + 4) / 3 = 1: left. (1 - 2 - 10) / 3: left."""
    soup, taken = greedy_soup([weights(4), weights(1), weights(-10), weights(-2)], loss=squared)
    assert taken == [1, 3]
    assert soup["w"].item() == -0.5


def test_a_greedy_soup_of_copies_takes_all() -> None:
    soup, taken = greedy_soup([weights(2), weights(2)], loss=squared)
    assert (taken, soup["w"].item()) == ([0, 1], 2)


def test_a_greedy_soup_is_never_worse_than_the_best_run() -> None:
    for seed in range(20):
        values = torch.randn(4, generator=torch.Generator().manual_seed(seed)).tolist()
        soup, _ = greedy_soup([weights(value) for value in values], loss=squared)
        assert squared(soup) <= min(value**2 for value in values) + 1e-12


@pytest.mark.parametrize("other", [{"w": torch.zeros(3), "n": torch.tensor(0)}, {"w": torch.zeros(2)}, {"v": 0}])
def test_strangers_are_refused(other: dict[str, Tensor]) -> None:
    with pytest.raises(UsageError, match="two different networks"):
        interpolate(weights(1, 2), other, 0.5)
    with pytest.raises(UsageError, match="two different networks"):
        uniform_soup([weights(1, 2), other])


def test_a_soup_of_nothing_is_refused() -> None:
    with pytest.raises(UsageError, match="soup of no weights"):
        uniform_soup([])
    with pytest.raises(UsageError, match="soup of no weights"):
        greedy_soup([], loss=squared)
