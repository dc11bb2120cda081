"""New encoders hear a spectrum from the start, and their checkpoints are transformers' own."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from graft.backbones.speech_architectures import SPEECH_ARCHITECTURES, filterbank, write_speech_architecture

RATE = 8_000


def test_bands_hear_their_own_frequencies() -> None:
    kernels = filterbank(160, 200, rate_hz=RATE)
    time = torch.arange(2_000) / RATE
    loudest = []
    for hertz in (200.0, 500.0, 1000.0, 2000.0, 3500.0):
        sound = torch.sin(2 * torch.pi * hertz * time)[None, None]
        found = torch.nn.functional.conv1d(sound, kernels[:, None], stride=64)[0]
        bands = torch.relu(found).reshape(40, 4, -1).sum(dim=1).mean(dim=1)
        loudest.append(int(bands.argmax()))
        assert bands.max() > 4 * bands.median()
    assert loudest == sorted(set(loudest))
    assert torch.allclose(kernels.reshape(40, 4, 200)[:, :2], -kernels.reshape(40, 4, 200)[:, 2:])


@pytest.mark.parametrize("arch", SPEECH_ARCHITECTURES)
def test_checkpoint_begins_as_a_filterbank(arch: str, tmp_path: Path) -> None:
    from transformers import AutoModelForCTC

    network = AutoModelForCTC.from_pretrained(
        write_speech_architecture(tmp_path, arch, letters=set("abc"), sampling_rate_hz=RATE)
    )
    assert sum(p.numel() for p in network.parameters()) < 5e6
    first = network.wav2vec2.feature_extractor.conv_layers[0].conv
    assert torch.equal(first.weight[:, 0], filterbank(*first.weight.shape[::2], rate_hz=RATE))
    silence = network.wav2vec2.feature_extractor.conv_layers[0](torch.zeros(1, 1, 2_000))
    hiss = network.wav2vec2.feature_extractor.conv_layers[0](1e-3 * torch.randn(1, 1, 2_000))
    assert torch.allclose(silence, hiss, atol=0.2)  # layer norm does not make it as loud as speech
