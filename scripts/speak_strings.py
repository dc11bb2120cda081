"""Speech without a recording: strings of digits and common words that machines speak, as WAV files with a table.

Needs Debian's espeak-ng and flite. Each string has a voice of its own: an accent and variant of espeak-ng (computed
from formants) or one of flite's four voices (made from recordings), with drawn pitch, tempo and length of the vocal
tract (by playing it faster or slower). Words are spoken one by one, trimmed and joined with drawn pauses, at 8 kHz.
Some strings are joined of noisy recordings: the noise ends where a word was cut, and the pauses are silent. With
--accents some strings of digits are said by voices of other languages (`accents.py`).
"""

from __future__ import annotations

import argparse
import csv
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from multiprocessing import Pool
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from accents import DIGITS, accented
from graft.core.seeds import generator
from graft.data.audio import decode_recording
from graft.training.acoustics import Acoustics, heard_elsewhere
from graft.training.utterances import changed_speed
from pretrain_words import ACCENTS, VARIANTS, WORDS

RATE_HZ = 8_000
NOISY, RECORDING = 0.6, Acoustics(echo=0.3, noise=1.0, snr_db=(8.0, 45.0))  # share of strings; each word's recording
RECORDED = ("awb", "kal16", "rms", "slt")
COMPUTED = (
    *VARIANTS, "m8", "klatt", "klatt2", "klatt3", "klatt4", "adam", "Alex", "Alicia", "Andrea", "Andy", "Annie",
    "belinda", "benjamin", "boris", "caleb", "david", "Denis", "Diogo", "ed", "edward", "Gene", "Hugo", "Jacky", "john",
    "Lee", "linda", "marcelo", "Mario", "Michael", "michel", "Mike", "pablo", "paul", "quincy", "rob", "robert",
    "steph", "zac", "victor", "travis", "sandro", "norbert", "shelby",
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path, help="folder for the WAV files and table.csv")
    parser.add_argument("--strings", type=int, default=8_000)
    parser.add_argument("--words", type=float, default=0.25, help="share of strings of common words")
    parser.add_argument("--accents", type=float, default=0.0, help="share of strings of digits in voices of accents.py")
    parser.add_argument("--held-out", type=float, default=0.03, help="share of strings for the split valid")
    parser.add_argument("--first", type=int, default=0, help="number of the first string: each number has its own")
    parser.add_argument("--processes", type=int, default=1)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    say = partial(say_string, out=args.out, words=args.words, accents=args.accents)
    numbers = range(args.first, args.first + args.strings)
    with Pool(args.processes) as pool:
        said = pool.map(say, numbers, chunksize=20)
    n_valid = args.held_out * args.strings
    splits = ["valid" if place < n_valid else "train" for place in range(args.strings)]
    rows = [(f"{n:05d}.wav", text, f"voice{n}", split) for n, text, split in zip(numbers, said, splits, strict=True)]
    with open(args.out / "table.csv", "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("path", "text", "speaker", "split"), *rows])


def say_string(number: int, *, out: Path, words: float, accents: float) -> str:
    """Write the string of a number as a WAV file below `out`; return its transcript."""
    random = generator(1, "string", number)
    known = (*WORDS, "yes") if random.random() < words else DIGITS
    said = [str(word) for word in random.choice(known, random.integers(1, 6))]
    is_accented = known is DIGITS and accents > 0 and random.random() < accents
    soundfile.write(out / f"{number:05d}.wav", joined(said, random, is_accented=is_accented), RATE_HZ)
    return " ".join(said)


def joined(words: list[str], random: np.random.Generator, *, is_accented: bool = False) -> NDArray[np.float32]:
    """Return words in one drawn voice with pauses of 0.03 to 0.3 s between, louder or softer."""
    if is_accented:
        speak = accented(random, (*VARIANTS, *COMPUTED), tempo=random.uniform(0.75, 1.3))
    else:
        speak = voice(random)
    tract = random.uniform(0.85, 1.18)
    parts: list[NDArray[np.float32]] = []
    is_noisy, place = random.random() < NOISY, int(random.integers(2**31))
    for word in words:
        pause = np.zeros(round(random.uniform(0.03, 0.3) * RATE_HZ), np.float32)
        part = changed_speed(trimmed(speak(word), word), tract)
        if is_noisy:
            part = np.pad(part, [round(s * RATE_HZ) for s in random.uniform(0, 0.06, 2)])
            part = heard_elsewhere(part, RECORDING, rate_hz=RATE_HZ, random=np.random.default_rng(place))
        parts += [part, pause]
    wave = np.concatenate([np.zeros(round(random.uniform(0, 0.15) * RATE_HZ), np.float32), *parts])
    return wave * np.float32(random.uniform(0.3, 1.0) / max(1e-3, float(np.abs(wave).max())))


def voice(random: np.random.Generator) -> Callable[[str], bytes]:
    """Return what gives the sound file of a word in a drawn voice."""
    tempo = random.uniform(0.75, 1.3)
    if random.random() < 0.5:
        name = f"{random.choice(ACCENTS)}+{random.choice(COMPUTED)}"
        options = ["-v", name, "-s", str(round(165 / tempo)), "-p", str(random.integers(10, 90)), "-a", "100"]

        def computed(word: str) -> bytes:
            command = ["espeak-ng", *options, "--stdout", word]
            return subprocess.run(command, check=True, capture_output=True).stdout

        return computed
    name = str(random.choice(RECORDED))
    pitch = random.uniform(130, 260) if name == "slt" else random.uniform(75, 170)
    settings = [f"duration_stretch={tempo:.2f}", f"int_f0_target_mean={pitch:.0f}"]

    def recorded(word: str) -> bytes:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "word.wav"
            flags = [part for setting in settings for part in ("--setf", setting)]
            subprocess.run(["flite", "-voice", name, *flags, "-t", word, "-o", path], check=True, capture_output=True)
            return path.read_bytes()

    return recorded


def trimmed(content: bytes, word: str) -> NDArray[np.float32]:
    """Return a word without the silence around it: (n_samples,)."""
    wave = decode_recording(content, name=word, sampling_rate_hz=RATE_HZ).waveform
    loud = np.flatnonzero(np.abs(wave) > 0.02 * np.abs(wave).max())
    return np.asarray(wave[loud[0] : loud[-1] + 1], np.float32)


if __name__ == "__main__":
    sys.exit(main())
