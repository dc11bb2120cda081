from __future__ import annotations

import numpy as np
import pytest
import torch
from problems import make_problem

from graft.solver.rotation import rotate


@pytest.mark.parametrize(("n", "d"), [(60, 10), (20, 50), (30, 30)])
def test_a_rotation_keeps_lengths_and_products(n: int, d: int) -> None:
    features = torch.from_numpy(make_problem(n, d, 2).features)
    rotated = rotate(features)
    centred = (features - features.mean(0)).double().numpy()
    scores = rotated.scores.double().numpy()
    assert rotated.scores.shape == (n, min(n, d)) == (rotated.n_examples, rotated.rank)
    size = np.abs(centred @ centred.T).max()
    np.testing.assert_allclose(scores @ scores.T, centred @ centred.T, atol=1e-5 * size)
    identity = (rotated.basis.T @ rotated.basis).double().numpy()
    np.testing.assert_allclose(identity, np.eye(rotated.rank), atol=1e-5)
    second_moment = scores.T @ scores / n
    largest = float(rotated.eigenvalues.max())
    np.testing.assert_allclose(second_moment, np.diag(rotated.eigenvalues.double().numpy()), atol=1e-5 * largest)


@pytest.mark.parametrize(("n", "d"), [(60, 10), (20, 50)])
def test_weights_rotate_back_to_the_same_logits_and_the_same_penalty(n: int, d: int) -> None:
    features = torch.from_numpy(make_problem(n, d, 2).features)
    rotated = rotate(features)
    weights, bias = torch.randn(rotated.rank, 4, generator=torch.Generator().manual_seed(0)), torch.arange(4.0)
    there = rotated.scores @ weights + bias
    back, back_bias = rotated.weights_in_feature_space(weights, bias)
    assert back.shape == (4, d)
    here = features.double() @ back.double().T + back_bias.double()
    torch.testing.assert_close(here.float(), there, rtol=1e-4, atol=1e-4 * float(there.abs().max()))
    assert float(back.norm()) == pytest.approx(float(weights.norm()), rel=1e-5)


def test_several_problems_rotate_back_at_once() -> None:
    rotated = rotate(torch.from_numpy(make_problem(30, 8, 2).features))
    weights, bias = torch.randn(5, rotated.rank, 3), torch.randn(5, 3)
    many, many_bias = rotated.weights_in_feature_space(weights, bias)
    one, one_bias = rotated.weights_in_feature_space(weights[2], bias[2])
    torch.testing.assert_close(many[2], one)
    torch.testing.assert_close(many_bias[2], one_bias)
