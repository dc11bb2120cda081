"""Tiny recognisers with random weights, and utterances of tones that spell letters: made in a second, no network."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
import transformers

from small_sounds import AUDIO, RATE

LETTERS = "abc"
CTC = ("wav2vec2", "wav2vec2 stable", "hubert", "hubert stable", "wavlm", "wavlm stable")
_PITCH = {"a": 400.0, "b": 1100.0, "c": 2600.0, " ": 0.0}
_LETTER_S = 0.12
_SPECIAL = ("<|endoftext|>", "<|startoftranscript|>", "<|en|>", "<|zh|>", "<|de|>", "<|translate|>", "<|transcribe|>",
            "<|startoflm|>", "<|startofprev|>", "<|nospeech|>", "<|notimestamps|>")  # fmt: skip


def spoken(text: str, *, seed: int = 0, rate: int = RATE) -> np.ndarray:
    """Return a tone for each letter, silence for a blank, with a gap between letters."""
    random = np.random.default_rng(seed)
    parts = []
    for letter in text:
        n = round(_LETTER_S * random.uniform(0.8, 1.2) * rate)
        time = np.arange(n) / rate
        pitch = _PITCH[letter] * random.uniform(0.97, 1.03)
        parts += [0.3 * np.sin(2 * np.pi * pitch * time) * np.hanning(n), np.zeros(round(0.04 * rate))]
    wave = np.concatenate(parts) if parts else np.zeros(rate // 10)
    return (wave + random.normal(0, 0.005, len(wave))).astype(np.float32)


def sentences(n: int, *, seed: int = 0) -> list[str]:
    """Return sentences of two or three words of one to three letters."""
    random = np.random.default_rng(seed)
    return [
        " ".join("".join(random.choice(list(LETTERS), random.integers(1, 4))) for _ in range(random.integers(2, 4)))
        for _ in range(n)
    ]


def make_utterances(folder: Path, n: int, *, seed: int = 0, n_speakers: int = 5, rate: int = RATE) -> Path:
    """Write WAV files and a table of path, text and speaker; return the table."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = ["path,text,speaker"]
    for i, text in enumerate(sentences(n, seed=seed)):
        soundfile.write(folder / f"{i:03d}.wav", spoken(text, seed=1000 * seed + i, rate=rate), rate)
        rows.append(f"{i:03d}.wav,{text},s{i % n_speakers}")
    (folder / "table.csv").write_text("\n".join(rows) + "\n")
    return folder / "table.csv"


def make_ctc(folder: Path, name: str = "wav2vec2", *, letters: str = "", **changes: Any) -> Path:
    """Write a CTC checkpoint with random weights; with `letters` it brings a vocabulary, else only an encoder."""
    kind, settings = AUDIO[name]
    vocabulary = ["<pad>", "<s>", "</s>", "<unk>", "|", *letters]
    config = getattr(transformers, f"{kind}Config")(
        **{**settings, "vocab_size": len(vocabulary), "pad_token_id": 0, **changes}
    )
    torch.manual_seed(0)
    loader = getattr(transformers, f"{kind}ForCTC" if letters else f"{kind}Model")
    loader(config).save_pretrained(folder)
    extractor = transformers.Wav2Vec2FeatureExtractor(return_attention_mask="stable" in name, sampling_rate=RATE)
    extractor.save_pretrained(folder)
    if letters:
        (folder / "vocab.json").write_text(json.dumps({token: i for i, token in enumerate(vocabulary)}))
        transformers.Wav2Vec2CTCTokenizer(str(folder / "vocab.json")).save_pretrained(folder)
    return folder


def make_whisper(folder: Path) -> Path:
    """Write a Whisper checkpoint with random weights: two seconds of sound, 24 tokens, bytes as its vocabulary."""
    from tokenizers import pre_tokenizers

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: i for i, token in enumerate([*alphabet, *_SPECIAL])}
    tokenizer = transformers.WhisperTokenizer(vocab=vocabulary, merges=[])
    tokenizer.add_special_tokens({"additional_special_tokens": list(_SPECIAL)})
    tokenizer.save_pretrained(folder)
    number = vocabulary.__getitem__
    config = transformers.WhisperConfig(
        vocab_size=len(vocabulary), d_model=16, encoder_layers=2, decoder_layers=2, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=24, decoder_ffn_dim=24, num_mel_bins=80, max_source_positions=100,
        max_target_positions=24, pad_token_id=number("<|endoftext|>"), bos_token_id=number("<|endoftext|>"),
        eos_token_id=number("<|endoftext|>"), decoder_start_token_id=number("<|startoftranscript|>"),
        suppress_tokens=None, begin_suppress_tokens=None,
    )  # fmt: skip
    torch.manual_seed(0)
    network = transformers.WhisperForConditionalGeneration(config)
    network.generation_config = transformers.GenerationConfig(
        is_multilingual=True,
        no_timestamps_token_id=number("<|notimestamps|>"),
        lang_to_id={token: number(token) for token in ("<|en|>", "<|zh|>", "<|de|>")},
        task_to_id={name: number(f"<|{name}|>") for name in ("translate", "transcribe")},
        max_length=24,
        return_timestamps=False,
        pad_token_id=config.pad_token_id,
        bos_token_id=config.bos_token_id,
        eos_token_id=config.eos_token_id,
        decoder_start_token_id=config.decoder_start_token_id,
    )
    network.save_pretrained(folder)
    transformers.WhisperFeatureExtractor(chunk_length=2).save_pretrained(folder)
    return folder
