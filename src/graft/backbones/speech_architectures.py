"""Small CTC encoders that have learned nothing yet, for `graft pretrain` on labelled speech."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Final

import torch

from graft.backbones.loading import quiet_transformers
from graft.backbones.vocabulary import tokenizer_of_letters
from graft.core.seeds import derive_seed

__all__ = ["SPEECH_ARCHITECTURES", "filterbank", "write_speech_architecture"]

# A frame of 24 ms at 8 kHz; layer norm, so that padding changes nothing and a batch passes at once. The first
# convolution is as wide as a window of speech analysis and hears 125 times a second: five narrow ones, as in wav2vec
# 2.0, take most of the time of a small network, and have to find out first what a spectrum is.
_NANO: Final[dict[str, Any]] = {
    "hidden_size": 144,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "intermediate_size": 432,
    "conv_dim": (160, 144, 144),
    "conv_kernel": (200, 3, 3),
    "conv_stride": (64, 3, 1),
    "num_feat_extract_layers": 3,
    "conv_bias": True,
    "feat_extract_norm": "layer",
    "do_stable_layer_norm": True,
    "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 4,
    "hidden_dropout": 0.05,
    "attention_dropout": 0.0,
    "activation_dropout": 0.0,
    "feat_proj_dropout": 0.0,
    "final_dropout": 0.05,
    "layerdrop": 0.0,
}
SPEECH_ARCHITECTURES: Final[dict[str, dict[str, Any]]] = {
    "wav2vec2_nano": _NANO,
    "wav2vec2_small": {**_NANO, "hidden_size": 192, "num_hidden_layers": 5, "intermediate_size": 576},
}
"""By name; both have fewer than 3 million parameters."""


def write_speech_architecture(
    folder: Path, arch: str, *, letters: set[str], sampling_rate_hz: int = 8_000, seed: int = 0
) -> Path:
    """Write a CTC checkpoint with random weights that spells with some letters; return its folder.

    Parameters
    ----------
    arch : a key of `SPEECH_ARCHITECTURES`.
    sampling_rate_hz : of the sound that it reads.
    seed : of the weights; the first convolution begins as `filterbank`.
    """
    from transformers import Wav2Vec2Config, Wav2Vec2FeatureExtractor, Wav2Vec2ForCTC

    tokenizer = tokenizer_of_letters(letters)
    config = Wav2Vec2Config(
        **SPEECH_ARCHITECTURES[arch],
        vocab_size=len(tokenizer),
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    with torch.random.fork_rng(devices=[]), quiet_transformers():
        torch.default_generator.manual_seed(derive_seed(seed, "speech architecture"))
        network = Wav2Vec2ForCTC(config)
        first: Any = network.wav2vec2.feature_extractor.conv_layers[0].conv
        with torch.no_grad():
            first.weight.copy_(filterbank(*first.weight.shape[::2], rate_hz=sampling_rate_hz)[:, None])
            first.bias.copy_(_FLOOR * (-1.0) ** (torch.arange(len(first.bias)) // 4))
        network.save_pretrained(folder)
        extractor = Wav2Vec2FeatureExtractor(sampling_rate=sampling_rate_hz, return_attention_mask=True)
        extractor.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    return folder


_BEND_HZ, _LOWEST_HZ = 700.0, 80.0
_FLOOR = 0.1  # beside speech of variance 1: so that layer norm does not make silence as loud as speech


def filterbank(n_channels: int, width: int, *, rate_hz: int) -> torch.Tensor:
    """Return kernels of a convolution that hears a spectrum as the ear does: (n_channels, width) float32.

    Parameters
    ----------
    n_channels : a multiple of 4: each band has a cosine and a sine, and both turned over. After a rectifier their sum
        is the band's loudness, whatever the phase.
    width : samples of a kernel; high bands have shorter windows, as they are wider.

    References
    ----------
    Zeghidour et al., Learning Filterbanks from Raw Speech for Phone Recognition, 2018,
    https://arxiv.org/abs/1711.01161: Gabor kernels at the places of mel bands as the start of a first convolution.
    """
    n_bands = n_channels // 4
    low, high = (math.log1p(f / _BEND_HZ) for f in (_LOWEST_HZ, rate_hz / 2))
    edges = _BEND_HZ * torch.expm1(torch.linspace(low, high, n_bands + 2, dtype=torch.float64))
    middle, spread = edges[1:-1, None], (edges[2:] - edges[:-2])[:, None] / 2
    time = (torch.arange(width, dtype=torch.float64) - (width - 1) / 2) / rate_hz
    length = torch.clamp(1.0 / spread, 0.008, 0.8 * width / rate_hz)  # of the window at half its height, in seconds
    window = torch.exp(-4 * math.log(2) * (time / length) ** 2) * torch.hann_window(width, dtype=torch.float64)
    window = window / window.norm(dim=1, keepdim=True) * torch.clamp(middle / 500.0, 0.5, 6.0)  # speech falls off
    turned = 2 * math.pi * middle * time
    kernels = torch.stack([window * torch.cos(turned), window * torch.sin(turned)], dim=1)
    kernels = kernels - kernels.mean(dim=2, keepdim=True)
    return torch.cat([kernels, -kernels], dim=1).reshape(n_channels, width).float()
