"""Loss, residual and curvature of the links beside automatic differentiation in float64."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from graft.solver.links import Link, SigmoidLink, SoftmaxLink

N, C, P = 12, 4, 3
GENERATOR = torch.Generator().manual_seed(0)
LOGITS = torch.randn(N, C, P, generator=GENERATOR, dtype=torch.float64) * 3
WEIGHT = torch.rand(N, P, generator=GENERATOR, dtype=torch.float64)
CLASSES = torch.arange(N) % C
LABELS = (torch.rand(N, C, generator=GENERATOR) < 0.4).long()


def softmax_loss(logits: Tensor) -> Tensor:
    each = -logits.log_softmax(1).gather(1, CLASSES[:, None, None].expand(-1, 1, P))[:, 0]
    return (each * WEIGHT).sum(0)


def sigmoid_loss(logits: Tensor) -> Tensor:
    each = torch.nn.functional.binary_cross_entropy_with_logits(
        logits, LABELS[:, :, None].expand(-1, -1, P).double(), reduction="none"
    )
    return (each.sum(1) * WEIGHT).sum(0)


LINKS = {"softmax": (SoftmaxLink(CLASSES, C), softmax_loss), "sigmoid": (SigmoidLink(LABELS), sigmoid_loss)}


@pytest.fixture(params=LINKS)
def pair(request: pytest.FixtureRequest) -> tuple[Link, object]:
    return LINKS[request.param]


def test_loss(pair: tuple[Link, object]) -> None:
    link, reference = pair
    torch.testing.assert_close(link.loss(LOGITS.clone(), WEIGHT), reference(LOGITS))  # type: ignore[operator]


def test_residual_is_the_derivative_of_the_loss(pair: tuple[Link, object]) -> None:
    link, reference = pair
    logits = LOGITS.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(reference(logits).sum(), logits)  # type: ignore[operator]
    residual, probabilities = link.residual(LOGITS.clone())
    torch.testing.assert_close(residual * WEIGHT[:, None], gradient)
    expected = LOGITS.softmax(1) if isinstance(link, SoftmaxLink) else LOGITS.sigmoid()
    torch.testing.assert_close(probabilities, expected)


def test_curve_is_the_second_derivative_times_a_direction(pair: tuple[Link, object]) -> None:
    link, _ = pair
    direction = torch.randn(N, C, P, generator=torch.Generator().manual_seed(1), dtype=torch.float64)

    def residual(logits: Tensor) -> Tensor:
        return link.residual(logits.clone())[0]

    step = 1e-6
    numeric = (residual(LOGITS + step * direction) - residual(LOGITS - step * direction)) / (2 * step)
    probabilities = link.residual(LOGITS.clone())[1]
    torch.testing.assert_close(link.curve(probabilities, direction), numeric, rtol=1e-5, atol=1e-8)


def test_prior_bias_is_the_best_without_weights(pair: tuple[Link, object]) -> None:
    link, _ = pair
    weight = (WEIGHT / WEIGHT.sum(0)).float()
    bias = link.prior_bias(weight)
    residual, _ = link.residual(bias.expand(N, -1, -1).clone())
    torch.testing.assert_close((residual * weight[:, None]).sum(0), torch.zeros(C, P), atol=1e-6, rtol=0)


def test_nearly_perfect_fits_keep_their_relative_precision() -> None:
    logits = torch.zeros(1, 2, 1)
    logits[0, 0, 0] = 25.0  # the other class has probability 1.4e-11, far below float32's epsilon beside 1
    link = SoftmaxLink(torch.tensor([0]), 2)
    exact = float(torch.exp(torch.tensor(-25.0, dtype=torch.float64)))
    assert float(link.loss(logits.clone(), torch.ones(1, 1))) == pytest.approx(exact, rel=1e-5)
    assert float(link.residual(logits.clone())[0][0, 0, 0]) == pytest.approx(-exact, rel=1e-5)


def test_logits_of_any_size_stay_finite(pair: tuple[Link, object]) -> None:
    link, _ = pair
    huge = (LOGITS * 1e4).float()
    assert torch.isfinite(link.loss(huge.clone(), WEIGHT.float())).all()
    residual, probabilities = link.residual(huge.clone())
    assert torch.isfinite(residual).all()
    assert torch.isfinite(probabilities).all()


@pytest.mark.parametrize("link", [SoftmaxLink(torch.tensor([0, 1]), 3), SigmoidLink(torch.eye(3)[:2])])
def test_far_logits_give_no_denormal_numbers(link: Link) -> None:
    logits = torch.tensor([[95.0, 0.0, -3.0], [-95.0, 0.0, 3.0]])[:, :, None]
    residual, probabilities = link.residual(logits)
    tiny = torch.finfo(torch.float32).tiny
    for found in (residual, probabilities, link.curve(probabilities, torch.full_like(logits, 1e-12))):
        assert not ((found != 0) & (found.abs() < tiny)).any()
    assert torch.isfinite(link.loss(logits, torch.ones(2, 1))).all()
