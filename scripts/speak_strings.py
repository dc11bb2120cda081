"""Speech without a recording: strings of digits and common words that espeak-ng speaks, as WAV files with a table.

Needs Debian's espeak-ng. Words are spoken one by one in one voice a string, trimmed and joined with drawn pauses, at
8 kHz, with a little noise. The accents and variants are those of `pretrain_words.py`.
"""

from __future__ import annotations

import argparse
import csv
import sys
from functools import cache
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from graft.core.seeds import generator
from graft.data.audio import decode_recording
from pretrain_words import ACCENTS, VARIANTS, WORDS

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
RATE_HZ = 8_000
_VOICES = 60  # combinations of accent, variant, pitch and speed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path, help="folder for the WAV files and table.csv")
    parser.add_argument("--strings", type=int, default=2_000)
    parser.add_argument("--words", type=float, default=0.25, help="share of strings of common words")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    rows = []
    for number in range(args.strings):
        random = generator(0, "string", number)
        words = WORDS[:40] if random.random() < args.words else DIGITS
        said = [str(word) for word in random.choice(words, random.integers(3, 7))]
        voice = int(random.integers(_VOICES))
        name = f"{number:05d}.wav"
        if not (args.out / name).exists():
            soundfile.write(args.out / name, joined(said, voice, random), RATE_HZ)
        rows.append((name, " ".join(said), f"voice{voice}"))
    with open(args.out / "table.csv", "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("path", "text", "speaker"), *rows])


def joined(words: list[str], voice: int, random: np.random.Generator) -> NDArray[np.float32]:
    """Return words in one voice with pauses of 0.05 to 0.3 s between, louder or softer, with noise."""
    parts: list[NDArray[np.float32]] = []
    for word in words:
        parts += [spoken_word(word, voice), np.zeros(round(random.uniform(0.05, 0.3) * RATE_HZ), np.float32)]
    wave = np.concatenate(parts)
    wave *= random.uniform(0.3, 1.0) / max(1e-3, float(np.abs(wave).max()))
    level = np.sqrt(np.mean(wave**2)) * 10 ** (-random.uniform(15, 45) / 20)
    return np.clip(wave + random.normal(0, level, len(wave)), -1, 1).astype(np.float32)


@cache
def spoken_word(word: str, voice: int) -> NDArray[np.float32]:
    """Return a word in one of the voices, trimmed: (n_samples,)."""
    import subprocess

    random = generator(0, "voice", voice)
    name = f"{random.choice(ACCENTS)}+{random.choice(VARIANTS)}"
    speed, pitch = str(random.integers(120, 230)), str(random.integers(10, 90))
    command = ["espeak-ng", "-v", name, "-s", speed, "-p", pitch, "-a", "100", "--stdout", word]
    content = subprocess.run(command, check=True, capture_output=True).stdout
    wave = decode_recording(content, name=word, sampling_rate_hz=RATE_HZ).waveform
    loud = np.flatnonzero(np.abs(wave) > 0.02 * np.abs(wave).max())
    return np.asarray(wave[loud[0] : loud[-1] + 1], np.float32)


if __name__ == "__main__":
    sys.exit(main())
