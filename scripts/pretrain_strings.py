"""The encoder of bench/results/speech_encoder: strings that machines speak, and `graft pretrain` in six stages.

Needs Debian's espeak-ng, flite, festival and the festvox packages of `accents.py`. Stages are bounded by seconds, so a
slower machine makes a worse encoder; with the defaults all takes some three and a half hours of one thread, of which
the strings are half an hour of two processes. A stage that is there stays; `--from` begins with a given encoder.
"""

from __future__ import annotations

import argparse
import csv
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from accents import DIGITS
from graft.api.pretrain_speech import pretrain_speech

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Strings:
    """Strings of one call of `speak_strings.py`.

    Parameters
    ----------
    first, n : numbers of the strings.
    words, accents : shares, see there.
    n_valid : strings to look at in training.
    """

    first: int
    n: int
    words: float
    accents: float
    n_valid: int


@dataclass(frozen=True)
class Stage:
    """One training, from the encoder of the stage before.

    Parameters
    ----------
    strings : names of `STRINGS` that it hears.
    is_thinned : whether of strings of common words every third is heard only.
    """

    strings: tuple[str, ...]
    seconds: float
    learning_rate: float
    augmentation: str = "strong"
    is_thinned: bool = True
    seed: int = 0


STRINGS = {
    "plain": Strings(0, 5_887, words=0.25, accents=0.0, n_valid=150),
    "accented": Strings(6_000, 7_900, words=0.12, accents=0.5, n_valid=150),
    "more": Strings(20_000, 3_450, words=0.05, accents=0.7, n_valid=0),
}
STAGES = {
    "first": Stage(("plain",), 2_400, 2e-3, augmentation="light", is_thinned=False),
    "second": Stage(("plain",), 1_200, 1.2e-3),
    "third": Stage(("plain",), 1_290, 1.2e-3, seed=3),
    "fourth": Stage(("plain",), 1_200, 1.2e-3, seed=4),
    "fifth": Stage(("plain", "accented"), 3_700, 1.4e-3, seed=5),
    "sixth": Stage(("plain", "accented", "more"), 1_560, 1e-3, seed=6),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path, help="folder for strings and encoders; the last is out/sixth")
    parser.add_argument("--from", dest="encoder", type=Path, help="an encoder to begin with in place of random weights")
    parser.add_argument("--stages", nargs="+", default=list(STAGES), choices=STAGES)
    parser.add_argument("--processes", type=int, default=2, help="that speak")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    encoder = args.encoder
    for name in args.stages:
        stage, folder = STAGES[name], args.out / name
        for own in stage.strings:
            spoken(args.out / own, STRINGS[own], args.processes)
        if not (folder / "pretrain.json").is_file():
            pretrain_speech(
                table(args.out, name), out=folder, arch="wav2vec2_small", init=encoder, max_seconds=stage.seconds,
                batch_seconds=14.0, learning_rate=stage.learning_rate, augmentation=stage.augmentation, seed=stage.seed,
                overwrite=True, say=print,
            )  # fmt: skip
        encoder = folder


def spoken(folder: Path, strings: Strings, n_processes: int) -> None:
    """Have strings spoken, where that is not done."""
    if (folder / "table.csv").is_file():
        return
    options = {
        "strings": strings.n, "first": strings.first, "words": strings.words, "accents": strings.accents,
        "held-out": strings.n_valid / strings.n, "processes": n_processes,
    }  # fmt: skip
    flags = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    subprocess.run([sys.executable, HERE / "speak_strings.py", folder, *flags], check=True)


def table(out: Path, name: str) -> Path:
    """Write the table of a stage and return it."""
    rows: list[dict[str, str]] = []
    for own in STAGES[name].strings:
        with open(out / own / "table.csv", encoding="utf-8") as file:
            found = list(csv.DictReader(file))
        if own == "plain" and STAGES[name].is_thinned:
            found = [row for i, row in enumerate(found) if i % 3 == 0 or set(row["text"].split()) <= set(DIGITS)]
        rows += [{**row, "path": f"{own}/{row['path']}"} for row in found]
    path = out / f"{name}.csv"
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ["path", "text", "speaker", "split"])
        writer.writeheader()
        writer.writerows(rows)
    return path


if __name__ == "__main__":
    main()
