"""A convolution that a processor computes wrongly is found, and training then takes float32."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from graft.core.half_precision import wrong_convolution
from graft.methods.where import training_precision

CPU = torch.device("cpu")


def test_right_convolutions_are_not_named() -> None:
    network = nn.Sequential(nn.Conv1d(1, 16, 10, stride=5), nn.GELU(), nn.Conv1d(16, 16, 3), nn.Linear(4, 4))
    assert wrong_convolution(network, torch.bfloat16) == ""
    assert wrong_convolution(nn.Linear(2, 2), torch.bfloat16) == ""


def test_wrong_convolution_is_named_and_float32_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = nn.Conv1d._conv_forward

    def spoiled(self: nn.Conv1d, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        found = plain(self, x, weight, bias)
        return -found if self.groups > 1 and torch.is_autocast_enabled("cpu") else found

    monkeypatch.setattr(nn.Conv1d, "_conv_forward", spoiled)
    network = nn.Sequential(nn.Conv1d(4, 8, 3), nn.Conv1d(8, 8, 3, groups=2))
    assert wrong_convolution(network, torch.bfloat16) == "1"
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: True)
    found = training_precision(network, CPU)
    assert found.name == "fp32"
    assert "convolution 1 comes out wrong" in found.reason
    assert training_precision(network[0], CPU).name == "bf16"
    assert training_precision(network, CPU, wanted="bf16").name == "bf16"
