"""The head of the kept network carries the temperature, about zero or about the labels' log-odds."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from graft.evaluation.multi_label_calibration import tempered
from graft.methods.kept_network import mixed_network


class Small(nn.Module):
    """A body of one layer and a head."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.body, self.head = nn.Linear(4, 6), nn.Linear(6, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.head(self.body(x).relu())
        return logits


@pytest.mark.parametrize("centre", [None, np.array([0.0, -2.0, -4.0])])
def test_the_logits_are_tempered(centre: np.ndarray | None) -> None:
    probe, tuned = Small(0), Small(1)
    own = mixed_network(probe, tuned.state_dict(), head="head", share=1.0, temperature=2.5, centre=centre)
    x = torch.randn(5, 4, generator=torch.Generator().manual_seed(2))
    with torch.inference_mode():
        expected = tempered(tuned(x).numpy(), 2.5, centre=centre)
        np.testing.assert_allclose(own(x).numpy(), expected, rtol=1e-5, atol=1e-6)
    assert not own.training
