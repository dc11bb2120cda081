"""Small CTC encoders with random weights, for `graft pretrain` on labelled speech."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import torch

from graft.backbones.loading import quiet_transformers
from graft.backbones.vocabulary import tokenizer_of_letters
from graft.core.seeds import derive_seed

__all__ = ["SPEECH_ARCHITECTURES", "write_speech_architecture"]

# Convolutions of 20 ms a frame at 8 kHz; layer norm, so that padding changes nothing and a batch passes at once.
_NANO: Final[dict[str, Any]] = {
    "hidden_size": 144,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "intermediate_size": 432,
    "conv_dim": (64, 64, 96, 96, 144),
    "conv_kernel": (10, 4, 4, 4, 4),
    "conv_stride": (5, 4, 2, 2, 2),
    "num_feat_extract_layers": 5,
    "conv_bias": True,
    "feat_extract_norm": "layer",
    "do_stable_layer_norm": True,
    "num_conv_pos_embeddings": 32,
    "num_conv_pos_embedding_groups": 8,
    "hidden_dropout": 0.05,
    "attention_dropout": 0.05,
    "activation_dropout": 0.05,
    "feat_proj_dropout": 0.05,
    "final_dropout": 0.05,
    "layerdrop": 0.0,
}
SPEECH_ARCHITECTURES: Final[dict[str, dict[str, Any]]] = {
    "wav2vec2_nano": _NANO,
    "wav2vec2_small": {**_NANO, "hidden_size": 256, "num_hidden_layers": 5, "intermediate_size": 768},
}
"""By name; both have fewer than 5 million parameters."""


def write_speech_architecture(
    folder: Path, arch: str, *, letters: set[str], sampling_rate_hz: int = 8_000, seed: int = 0
) -> Path:
    """Write a CTC checkpoint with random weights that spells with some letters; return its folder.

    Parameters
    ----------
    arch : a key of `SPEECH_ARCHITECTURES`.
    sampling_rate_hz : of the sound that it reads.
    seed : of the weights.
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
        Wav2Vec2ForCTC(config).save_pretrained(folder)
        extractor = Wav2Vec2FeatureExtractor(sampling_rate=sampling_rate_hz, return_attention_mask=True)
        extractor.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    return folder
