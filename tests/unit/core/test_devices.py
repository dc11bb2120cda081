from __future__ import annotations

import pytest
import torch

from graft.core.devices import Precision, choose_device, choose_precision
from graft.core.errors import UsageError

CPU = torch.device("cpu")


def test_the_device_that_is_there() -> None:
    assert choose_device().type == ("cuda" if torch.cuda.is_available() else "cpu")
    assert choose_device("cpu") == CPU


@pytest.mark.parametrize("name", ["gpu", "cuda:99", "tpu:x"])
def test_a_device_that_is_not_there(name: str) -> None:
    with pytest.raises(UsageError) as caught:
        choose_device(name)
    assert f"'{name}'" in caught.value.got
    assert "\n" not in caught.value.got
    assert "--device" in caught.value.fix


def test_precision_carries_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True)
    assert choose_precision(CPU) == Precision("bf16", "this processor has AVX512-BF16")
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    assert choose_precision(CPU).name == "fp32"
    assert choose_precision(CPU, wanted="bf16") == Precision("bf16", "asked for")
    assert choose_precision(torch.device("mps")).name == "fp32"
    with pytest.raises(UsageError, match="fp16"):
        choose_precision(CPU, wanted="fp16")


def test_autocast_computes_in_the_named_precision() -> None:
    a = torch.ones(2, 2)
    for name, dtype in (("bf16", torch.bfloat16), ("fp32", torch.float32)):
        precision = Precision(name, "")
        assert precision.dtype == dtype
        with precision.autocast(CPU):
            assert (a @ a).dtype == dtype
