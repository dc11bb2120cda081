"""Tiny audio networks with random weights, and short tones: real checkpoints and files, made in a second."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
import transformers

RATE = 16_000
PITCHES = {"high": 1760.0, "low": 220.0, "middle": 660.0}
_TRANSFORMER = {"hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 24}
_RAW = {
    **_TRANSFORMER,
    "conv_dim": [8, 8, 8],
    "conv_kernel": [10, 8, 8],
    "conv_stride": [5, 8, 8],
    "num_feat_extract_layers": 3,
    "num_conv_pos_embeddings": 8,
    "num_conv_pos_embedding_groups": 2,
    "mask_time_prob": 0.5,
    "classifier_proj_size": 6,
}
_STABLE = {**_RAW, "feat_extract_norm": "layer", "do_stable_layer_norm": True}
_WHISPER = {
    "d_model": 16,
    "encoder_layers": 3,
    "encoder_attention_heads": 2,
    "encoder_ffn_dim": 24,
    "decoder_layers": 1,
    "decoder_attention_heads": 2,
    "decoder_ffn_dim": 24,
    "num_mel_bins": 16,
    "max_source_positions": 50,
    "vocab_size": 20,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "decoder_start_token_id": 1,
    "classifier_proj_size": 6,
}
_AST = {**_TRANSFORMER, "num_mel_bins": 16, "max_length": 64, "patch_size": 8, "time_stride": 6, "frequency_stride": 6}
AUDIO: dict[str, tuple[str, dict[str, Any]]] = {
    "wav2vec2": ("Wav2Vec2", _RAW),
    "wav2vec2 stable": ("Wav2Vec2", _STABLE),
    "hubert": ("Hubert", _RAW),
    "hubert stable": ("Hubert", _STABLE),
    "wavlm": ("WavLM", _RAW),
    "wavlm stable": ("WavLM", _STABLE),
    "unispeech": ("UniSpeech", {**_RAW, "num_codevectors_per_group": 4, "codevector_dim": 8}),
    "unispeech-sat": ("UniSpeechSat", {**_RAW, "num_codevectors_per_group": 4, "codevector_dim": 8}),
    "data2vec-audio": ("Data2VecAudio", {**_RAW, "conv_pos_kernel_size": 5, "num_conv_pos_embeddings": 2}),
    "whisper": ("Whisper", _WHISPER),
    "ast": ("AST", _AST),
}


def tone(pitch: float, *, seed: int, duration_s: float = 0.5, rate: int = RATE) -> np.ndarray:
    """Return a tone near a pitch under noise: (n_samples,), float32."""
    random = np.random.default_rng(seed)
    time = np.arange(round(duration_s * rate)) / rate
    wave = 0.2 * np.sin(2 * np.pi * pitch * random.uniform(0.85, 1.15) * time + random.uniform(0, 6))
    return (wave + random.normal(0, 0.02, len(time))).astype(np.float32)


def make_recordings(folder: Path, n_each: int, *, seed: int = 0, rate: int = RATE) -> Path:
    """Write `n_each` WAV files of 0.3 to 0.7 s into a subfolder a pitch."""
    for c, (name, pitch) in enumerate(PITCHES.items()):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for i in range(n_each):
            number = 10_000 * seed + 100 * c + i
            wave = tone(pitch, seed=number, duration_s=0.3 + 0.1 * (number % 5), rate=rate)
            soundfile.write(folder / name / f"{i:02d}.wav", wave, rate)
    return folder


def recording_bytes(number: int, *, duration_s: float | None = None) -> bytes:
    """Return a WAV file of a tone of the pitch that `number` means, of 0.3 to 0.7 s."""
    file = io.BytesIO()
    length_s = 0.3 + 0.1 * (number % 5) if duration_s is None else duration_s
    wave = tone(list(PITCHES.values())[number % 3], seed=number, duration_s=length_s)
    soundfile.write(file, wave, RATE, format="WAV")
    return file.getvalue()


def audio_extractor(name: str) -> Any:
    """Return the feature extractor that belongs to a network of `AUDIO`."""
    if name == "whisper":
        return transformers.WhisperFeatureExtractor(feature_size=16, chunk_length=1)
    if name == "ast":
        return transformers.ASTFeatureExtractor(num_mel_bins=16, max_length=64)
    return transformers.Wav2Vec2FeatureExtractor(return_attention_mask="stable" in name)


def build_audio(name: str, *, has_head: bool = True, n_labels: int = 3, **changes: Any) -> Any:
    """Return a network of `AUDIO`, its weights disturbed so that no block is without effect."""
    family, options = AUDIO[name]
    kind = "AudioClassification" if name in ("whisper", "ast") else "SequenceClassification"
    config = getattr(transformers, f"{family}Config")(num_labels=n_labels, **{**options, **changes})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = getattr(transformers, f"{family}{f'For{kind}' if has_head else 'Model'}")(config).eval()
        with torch.no_grad():
            for parameter in network.parameters():
                parameter += 0.05 * torch.randn_like(parameter)
    return network


def make_audio_checkpoint(
    folder: Path, name: str = "wav2vec2 stable", *, has_head: bool = False, n_labels: int = 2, **changes: Any
) -> Path:
    """Save a small random audio network; without a head it is what pretraining leaves, with one a fine-tuned model."""
    build_audio(name, has_head=has_head, n_labels=n_labels, **changes).save_pretrained(folder)
    audio_extractor(name).save_pretrained(folder)
    return folder
