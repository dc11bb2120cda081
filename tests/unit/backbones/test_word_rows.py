"""Rows of word tables that no training reached: found by what they are like, and nothing else is."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from graft.backbones.word_rows import rows_to_train, untrained_rows


def table(width: int, *, n: int = 300) -> torch.Tensor:
    return torch.randn((n, width), generator=torch.Generator().manual_seed(0)) * 0.02


@pytest.mark.parametrize("width", [32, 500])
def test_equal_rows_the_mean_and_nothing_are_found_and_no_other(width: int) -> None:
    rows = table(width)
    rows[[3, 7, 200]] = rows[5] + 0.05 * table(width, n=3)
    rows[20] = rows.mean(0)
    rows[30] = 0.0
    assert untrained_rows(rows, np.arange(300)).tolist() == [3, 5, 7, 20, 30, 200]
    assert untrained_rows(rows, np.array([7, 8, 8, 30])).tolist() == [7, 30]
    assert untrained_rows(rows.bfloat16(), np.array([7, 8, 30])).tolist() == [7, 30]
    assert untrained_rows(rows, np.array([], np.int64)).tolist() == []


def network(*, is_tied: bool, bias: bool = False) -> Any:
    net: Any = nn.ModuleDict({"words": nn.Embedding(300, 32), "head": nn.Linear(32, 300, bias=bias)})
    with torch.no_grad():
        net["words"].weight.copy_(table(32))
        net["head"].weight.copy_(table(32).flip(0))
        net["words"].weight[[1, 2]] = 1.0
        net["head"].weight[[2, 3]] = 1.0
    if is_tied:
        net["head"].weight = net["words"].weight
    net.get_input_embeddings, net.get_output_embeddings = lambda: net["words"], lambda: net["head"]
    return net


def test_each_table_gets_its_own_rows_and_a_shared_one_is_named_once() -> None:
    words = {"inputs": np.array([1, 2, 3, 9]), "targets": np.array([3, 9])}
    assert rows_to_train(network(is_tied=False), **words) == {"words": (1, 2), "head": (3,)}
    assert rows_to_train(network(is_tied=True), **words) == {"words": (1, 2)}
    assert rows_to_train(network(is_tied=True), **words, which="train") == {"words": (1, 2, 3, 9)}
    assert rows_to_train(network(is_tied=False), **words, which="train") == {"words": (1, 2, 3, 9), "head": (3, 9)}
    assert rows_to_train(network(is_tied=True), **words, which="frozen") == {}
    assert rows_to_train(network(is_tied=False, bias=True), **words) == {"words": (1, 2)}
    assert rows_to_train(network(is_tied=True, bias=True), **words) == {}
    nothing = SimpleNamespace(get_input_embeddings=lambda: None, get_output_embeddings=lambda: None)
    assert rows_to_train(nothing, **words) == {}
