"""Spoken digits of speakers never heard, and what a split that ignores speakers would show instead.

The free spoken digits (3,000 recordings, 6 speakers), YAMNet through `examples/yamnet_preprocessing.py`. By speaker: 4
to train, 2 to test, in three runs with the frozen network, so that each recording is judged once; one of the three is
fine-tuned as well. Ignoring speakers: as many recordings drawn at random. With ``--encoder FOLDER:FILE.py:NAME`` also a
network of one's own, see `scripts/pretrain_words.py`. Intervals take recordings for independent, which those of one
speaker are not: the spread over the three runs is shown beside.
"""

from __future__ import annotations

import csv
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from graft import fit
from graft.evaluation.intervals import wilson
from measure import ROOT, Bar, finish, options, shared, table, temporary_folder

FINE_TUNED_PAIR = ("theo", "yweweler")


def main() -> None:
    parser = options(__doc__ or "")
    parser.add_argument("--encoder", help="FOLDER:FILE.py:NAME, a network and its preprocessing, beside YAMNet")
    parser.add_argument("--epochs", type=float, default=4.0, help="of fine-tuning")
    parser.add_argument("--keep", type=Path, help="folder that the runs stay in")
    args = parser.parse_args()
    plugin = ROOT / "examples" / "yamnet_preprocessing.py"
    models = {"YAMNet": (str(shared() / "models" / "yamnet"), f"{plugin}:log_mel")}
    if args.encoder:
        folder, _, preprocessing = args.encoder.partition(":")
        models["own encoder"] = (folder, preprocessing)
    rows = recordings(shared() / "data" / "fsdd")
    speakers = sorted({row["speaker"] for row in rows})
    pairs = list(zip(speakers[::2], speakers[1::2], strict=True))
    found: dict[str, Any] = {}
    with temporary_folder() as temporary:
        folder = args.keep or temporary
        folder.mkdir(parents=True, exist_ok=True)
        for name, (model, preprocessing) in models.items():
            common = {"model": model, "preprocessing": preprocessing, "cache": folder / "cache"}
            found[name] = judged(
                rows, pairs[:2] if args.quick else pairs, folder / name.replace(" ", "-"), args, common
            )
    shown = [[name, what, n, f"{low:.1%} to {high:.1%}", f"{value:.1%}"]
             for name, cells in found.items() for what, n, value, low, high in told(cells)]  # fmt: skip
    table(["network", "what", "recordings", "95 % interval", "accuracy"], shown)
    flattery = min(c["random, frozen"]["value"] - c["by speaker, frozen"]["value"] for c in found.values())
    bars = [Bar("points by which ignoring speakers flatters, at least", 100 * flattery, 0.0)]
    finish("audio_speakers", args, found, bars)


def judged(
    rows: Sequence[dict[str, Any]], pairs: Sequence[tuple[str, str]], folder: Path, args: Any, common: dict[str, Any]
) -> dict[str, Any]:
    """Return accuracies with intervals by what was done."""
    cells: dict[str, Any] = {}
    n_right = n_all = 0
    by_pair = {}
    for pair in pairs:
        is_test = [row["speaker"] in pair for row in rows]
        metrics = run(rows, is_test, folder / "-".join(pair), strategy="head", group_column="speaker", **common)
        accuracy = metrics["test"]["accuracy"]
        by_pair[" ".join(pair)] = accuracy["value"]
        n_right, n_all = n_right + round(accuracy["value"] * accuracy["n"]), n_all + accuracy["n"]
    cells["by speaker, frozen"] = wilson(n_right, n_all).as_dict() | {"by_pair": by_pair}
    drawn = np.random.default_rng(0).permutation(len(rows)) < len(rows) // 3
    tuned: dict[str, Any] = {"strategy": "lp-ft", "epochs": 1.0 if args.quick else args.epochs}
    by_speaker = [row["speaker"] in FINE_TUNED_PAIR for row in rows]
    grouped: dict[str, Any] = {"group_column": "speaker"}
    for what, is_test, more in (("by speaker", by_speaker, grouped), ("random", drawn.tolist(), {})):
        if what == "random":
            metrics = run(rows, is_test, folder / "random", strategy="head", **common)
            cells["random, frozen"] = metrics["test"]["accuracy"]
            cells["warning"] = metrics["groups"]["text"]
        began = time.perf_counter()
        metrics = run(rows, is_test, folder / f"{what.replace(' ', '-')}-tuned", **tuned, **more, **common)
        cells[f"{what}, fine-tuned"] = metrics["test"]["accuracy"] | {"seconds": time.perf_counter() - began}
    return cells


def run(rows: Sequence[dict[str, Any]], is_test: Sequence[bool], out: Path, **chosen: Any) -> dict[str, Any]:
    """Fit on the rows that are not for the test, and return the figures of those that are."""
    out.parent.mkdir(parents=True, exist_ok=True)
    tables = {}
    for split, wanted in (("train", False), ("test", True)):
        tables[split] = out.with_name(f"{out.name}-{split}.csv")
        with open(tables[split], "w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["file", "label", "speaker"])
            kept = (row for row, test in zip(rows, is_test, strict=True) if test is wanted)
            writer.writerows([row["file"], row["label"], row["speaker"]] for row in kept)
    quiet = Console(quiet=True)
    result = fit(tables["train"], test=tables["test"], out=out, overwrite=True, console=quiet, **chosen)
    accuracy = result.metrics["test"]["accuracy"]
    print(f"{out.parent.name}/{out.name}: {accuracy['value']:.1%}", flush=True)
    return result.metrics


def recordings(folder: Path) -> list[dict[str, Any]]:
    """Return file, label and speaker of every recording."""
    lines = (folder / "metadata.jsonl").read_text(encoding="utf-8").splitlines()
    return [{**row, "file": str(folder / row["audio"])} for row in map(json.loads, lines)]


def told(cells: dict[str, Any]) -> list[tuple[str, int, float, float, float]]:
    """Return what was done, recordings judged, accuracy and its interval, of each cell."""
    return [(what, c["n"], c["value"], c["low"], c["high"]) for what, c in cells.items() if isinstance(c, dict)]


if __name__ == "__main__":
    main()
