"""Peak memory of speech: `graft fit` of 100 and of 1,000 utterances, `graft predict` of 5 and of 60 minutes.

The utterances are 2 to 4 s of noise in syllables at 8 kHz with random words, the network is `wav2vec2_nano` with random
weights, 30 steps. What is looked at, and how, `bench/memory.py` tells. The interpreter and its libraries are a large
part of both figures; what is above them is told, too.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from graft.backbones.speech_architectures import write_speech_architecture
from graft.core.seeds import generator
from measure import Bar, environment, finish, graft, options, run, table, temporary_folder
from memory import Watcher

RATE_HZ = 8_000
FACTOR = 1.2


def main() -> None:
    args = options(__doc__ or "").parse_args()
    sizes, minutes = ((20, 40), (1, 2)) if args.quick else ((100, 1_000), (5, 60))
    cells: list[dict[str, Any]] = []
    with temporary_folder() as place:
        folder = Path(place)
        model = write_speech_architecture(folder / "model", "wav2vec2_nano", letters=set("abcdefgh"))
        idle = peak([sys.executable, "-c", "import torch, transformers"])
        for n in sizes:
            data = utterances(folder / f"{n}", n)
            command = [
                "fit",
                str(data),
                "--model",
                str(model),
                "--out",
                str(folder / f"run{n}"),
                "--batch-seconds",
                "20",
            ]
            command += ["--epochs", "0.05", "--fewest-steps", "30", "--strategy", "full", "--corruptions", "none"]
            cells.append({"what": f"fit, {n} utterances", "peak_mib": peak(graft(*command)), "n": n})
        for length in minutes:
            file = recording(folder / f"{length}.wav", length)
            command = ["predict", str(folder / f"run{sizes[0]}"), str(file), "--out", str(folder / f"{length}.txt")]
            cells.append({"what": f"predict, {length} minutes", "peak_mib": peak(graft(*command)), "n": length})
    table(
        ["what", "peak, MiB", "above an idle interpreter with its libraries"],
        [[c["what"], f"{c['peak_mib']:.0f}", f"{c['peak_mib'] - idle:.0f}"] for c in cells],
    )
    fit, predict = (cells[i + 1]["peak_mib"] / cells[i]["peak_mib"] for i in (0, 2))
    bars = [
        Bar(f"fit: peak of {sizes[1]} over that of {sizes[0]} utterances", fit, FACTOR, is_floor=False),
        Bar(f"predict: peak of {minutes[1]} over that of {minutes[0]} minutes", predict, FACTOR, is_floor=False),
    ]
    finish("speech_memory", args, {"cells": cells, "idle_mib": idle}, bars)


def peak(command: list[str]) -> float:
    """Run a command; return the peak resident set of its main process in MiB."""
    watcher = Watcher()
    run(command, env=environment(), watch=watcher)
    return watcher.peaks[watcher.main]


def utterances(folder: Path, n: int) -> Path:
    """Write utterances with a table; return it."""
    folder.mkdir(parents=True)
    rows = ["path,text,speaker"]
    for i in range(n):
        random = generator(0, "utterance", i)
        soundfile.write(folder / f"{i}.wav", syllables(random.uniform(2, 4), random), RATE_HZ)
        words = " ".join("".join(random.choice(list("abcdefgh"), random.integers(1, 4))) for _ in range(4))
        rows.append(f"{i}.wav,{words},s{i % 12}")
    (folder / "table.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return folder / "table.csv"


def recording(path: Path, minutes: int) -> Path:
    """Write a long recording; return it."""
    with soundfile.SoundFile(path, "w", RATE_HZ, 1) as file:
        for minute in range(minutes):
            file.write(syllables(60.0, generator(0, "minute", minute)))
    return path


def syllables(seconds: float, random: np.random.Generator) -> np.ndarray:
    """Return noise that swells four times a second: (n_samples,)."""
    time = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    return (0.1 * random.standard_normal(len(time)) * (1 + np.sin(8 * np.pi * time))).astype(np.float32)


if __name__ == "__main__":
    main()
