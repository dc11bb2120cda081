"""An encoder of spoken words without a recording: words that espeak-ng speaks, as pictures, into `graft pretrain`.

Needs Debian's espeak-ng. Of each word a few dozen utterances are made, with other voices, accents, pitches, speeds and
noise, and drawn as the spectrograms of `examples/words_preprocessing.py`, which is then the preprocessing of the
encoder. The words are none of the ten digits, so that `bench/audio_speakers.py` asks for words that it never heard.
With the defaults it takes five minutes of one thread.
"""

from __future__ import annotations

import argparse
import importlib.util
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console

from graft import pretrain
from graft.core.seeds import generator
from graft.data.audio import decode_recording

WORDS = """
about after again air also animal answer back because before below between big book boy bring build call came can car
carry change children city close come country cut day different do down draw each earth eat end enough even every eye
face family far father feet few find follow food found friend girl give good great grow hand hard head hear help here
high home house idea keep kind know land large learn leave left letter life light line list little live long look
make man many mean men mile more mother mountain move much music must name near need never night north nothing number
""".split()  # noqa: SIM905  fmt: skip
ACCENTS = ("en-us", "en-gb", "en-gb-scotland", "en-029", "en-gb-x-rp", "en-gb-x-gbclan", "en-us-nyc")
VARIANTS = ("m1", "m2", "m3", "m4", "m5", "m6", "m7", "f1", "f2", "f3", "f4", "f5", "croak")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path, help="folder of the encoder")
    parser.add_argument("--words", type=Path, help="folder for the pictures (default: beside OUT)")
    parser.add_argument("--each", type=int, default=40, help="utterances of a word")
    parser.add_argument("--epochs", type=float, default=12.0)
    parser.add_argument("--arch", default="resnet18")
    args = parser.parse_args()
    words = args.words or args.out.with_name(args.out.name + "-words")
    draw_words(WORDS, words, n_each=args.each)
    pretrain(
        words, out=args.out, arch=args.arch, image_size=64, epochs=args.epochs, flip=False, console=Console(),
        overwrite=True,
    )  # fmt: skip


def draw_words(words: Sequence[str], folder: Path, *, n_each: int) -> None:
    """Write `n_each` pictures of each word below `folder`; those that are there stay."""
    drawing = preprocessing()
    for word in words:
        (folder / word).mkdir(parents=True, exist_ok=True)
        for number in range(n_each):
            path = folder / word / f"{number:03d}.png"
            if not path.exists():
                random = generator(0, "utterance", word, number)
                waveform = spoken(word, random, rate_hz=drawing.SAMPLING_RATE_HZ)
                Image.fromarray(np.ascontiguousarray(drawing.pixels(waveform))).save(path)


def spoken(word: str, random: np.random.Generator, *, rate_hz: int) -> NDArray[np.float32]:
    """Return one utterance of a word, trimmed, with a little noise: (n_samples,)."""
    voice = f"{random.choice(ACCENTS)}+{random.choice(VARIANTS)}"
    options = {"-v": voice, "-s": random.integers(120, 210), "-p": random.integers(10, 90), "-a": 100}
    flags = [str(part) for option in options.items() for part in option]
    command = ["espeak-ng", *flags, "--stdout", word]
    content = subprocess.run(command, check=True, capture_output=True).stdout
    waveform = decode_recording(content, name=word, sampling_rate_hz=rate_hz).waveform
    loud = np.flatnonzero(np.abs(waveform) > 0.02 * np.abs(waveform).max())
    waveform = waveform[loud[0] : loud[-1] + 1]
    level = np.sqrt(np.mean(waveform**2)) * 10 ** (-random.uniform(10, 45) / 20)
    return (waveform + random.normal(0, level, len(waveform))).astype(np.float32)


def preprocessing() -> Any:
    """Return the module `examples/words_preprocessing.py`."""
    path = Path(__file__).parents[1] / "examples" / "words_preprocessing.py"
    spec = importlib.util.spec_from_file_location("words_preprocessing", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    sys.exit(main())
