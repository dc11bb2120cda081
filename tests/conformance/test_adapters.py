"""Low-rank updates: they start as nothing, and adapter, merged network and loaded adapter say the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from conformance.method_checks import prepared
from conformance.small_methods import (
    METHODS,
    Small,
    is_mobilenet,
    load_adapter,
    settings,
    weights_of,
)
from graft.methods.lora import LoRA


def test_low_rank_updates_start_as_nothing(pictured: Small) -> None:
    before = pictured.logits(pictured.network)
    wrapped = prepared(LoRA(rank=4), pictured).network
    np.testing.assert_allclose(pictured.logits(wrapped), before, rtol=0, atol=1e-6)


def test_the_adapter_the_merged_network_and_the_loaded_adapter_say_the_same(pictured: Small, tmp_path: Path) -> None:
    own = prepared(LoRA(rank=4), pictured)
    source = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for key, parameter in own.network.named_parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn(parameter.shape, generator=source) * (0.02 if ".lora_" in key else 0.2))
    adapted = pictured.logits(own.network)
    scale = float(np.abs(adapted).max())
    assert np.abs(adapted - pictured.logits(pictured.network)).max() > 0.01
    merged = own.finish(own.network)
    assert type(merged) is type(pictured.network)
    assert weights_of(merged).keys() == weights_of(pictured.network).keys()
    np.testing.assert_allclose(pictured.logits(merged), adapted, rtol=0, atol=1e-5 * scale)
    assert own.save_adapter is not None
    own.save_adapter(tmp_path, kept=merged, share=1.0)
    loaded = load_adapter(pictured, tmp_path)
    if is_mobilenet(pictured):
        np.testing.assert_array_equal(pictured.logits(loaded), pictured.logits(merged))
    else:
        np.testing.assert_array_equal(pictured.logits(loaded), adapted)


def test_the_adapter_of_a_finished_run_loads_onto_the_base_network(pictured: Small, tmp_path: Path) -> None:
    tuned = pictured.tune(METHODS["lora"](settings()), folder=tmp_path / "run")
    assert tuned.save_adapter is not None
    tuned.save_adapter(tmp_path / "adapter", kept=tuned.network, share=1.0)
    loaded = load_adapter(pictured, tmp_path / "adapter")
    expected = pictured.logits(tuned.network)
    np.testing.assert_allclose(pictured.logits(loaded), expected, rtol=0, atol=1e-5 * float(np.abs(expected).max()))


def test_only_lora_keeps_something_apart(small: Small, tmp_path: Path) -> None:
    for name, make in METHODS.items():
        assert (prepared(make(settings()), small).save_adapter is not None) == (name == "lora")
