"""Spoken digits of speakers never heard, and what a split that ignores speakers would show instead.

The free spoken digits (3,000 recordings, 6 speakers), YAMNet through `examples/yamnet_preprocessing.py`. By speaker: 4
to train, 2 to test, in three runs, so that each recording is judged once. Ignoring speakers: a third of the recordings
drawn at random to test. Each with the frozen network and with LP-FT. With ``--encoder FOLDER:FILE.py:NAME`` also a
network of one's own, see `scripts/pretrain_words.py`. By speaker the intervals are for new speakers (t over the six),
ignoring them they take recordings for independent, as who ignores speakers would.
"""

from __future__ import annotations

import csv
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as parquet
from rich.console import Console

from graft import fit
from graft.evaluation.clusters import share_over_groups
from measure import ROOT, Bar, finish, options, shared, table, temporary_folder


def main() -> None:
    parser = options(__doc__ or "")
    parser.add_argument("--encoder", help="FOLDER:FILE.py:NAME, a network and its preprocessing, beside YAMNet")
    parser.add_argument("--no-yamnet", action="store_true", help="only the --encoder")
    parser.add_argument("--epochs", type=float, default=4.0, help="of fine-tuning")
    parser.add_argument("--tuned-pairs", type=int, default=1, help="pairs of test speakers that are fine-tuned for")
    parser.add_argument("--keep", type=Path, help="folder that the runs stay in")
    args = parser.parse_args()
    plugin = ROOT / "examples" / "yamnet_preprocessing.py"
    models = {} if args.no_yamnet else {"YAMNet": (str(shared() / "models" / "yamnet"), f"{plugin}:log_mel")}
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
    shown = [[name, *row] for name, cells in found.items() for row in told(cells)]
    table(["network", "what", "recordings", "by speaker", "seconds", "95 % interval", "accuracy"], shown)
    flattery = min(c["random, frozen"]["value"] - c["by speaker, frozen"]["value"] for c in found.values())
    bars = [Bar("points by which ignoring speakers flatters, at least", 100 * flattery, 0.0)]
    finish("audio_speakers", args, found, bars)


def judged(
    rows: Sequence[dict[str, Any]], pairs: Sequence[tuple[str, str]], folder: Path, args: Any, common: dict[str, Any]
) -> dict[str, Any]:
    """Return accuracies with intervals by what was done."""
    cells: dict[str, Any] = {}
    drawn = (np.random.default_rng(0).permutation(len(rows)) < len(rows) // 3).tolist()
    frozen: dict[str, Any] = {"strategy": "head"}
    tuned: dict[str, Any] = {"strategy": "lp-ft", "epochs": 1.0 if args.quick else args.epochs}
    for how, chosen, own_pairs in (("frozen", frozen, pairs), ("fine-tuned", tuned, pairs[: args.tuned_pairs])):
        began = time.perf_counter()
        is_right: dict[str, list[bool]] = {}
        for pair in own_pairs:
            is_test = [row["speaker"] in pair for row in rows]
            out = folder / f"{'-'.join(pair)}-{how}"
            metrics = run(rows, is_test, out, **chosen, group_column="speaker", **common)
            is_right |= by_speaker(out)
        right = np.concatenate([is_right[name] for name in is_right])
        groups = np.repeat(np.arange(len(is_right)), [len(is_right[name]) for name in is_right])
        each = {name: float(np.mean(is_right[name])) for name in is_right}
        cells[f"by speaker, {how}"] = share_over_groups(right, groups).as_dict() | {
            "by_speaker": each, "seconds": time.perf_counter() - began, "groups": metrics["groups"]["text"],
        }  # fmt: skip
        began = time.perf_counter()
        metrics = run(rows, drawn, folder / f"random-{how}", **chosen, **common)
        cells[f"random, {how}"] = metrics["test"]["accuracy"] | {
            "seconds": time.perf_counter() - began, "warning": metrics["groups"]["text"],
        }  # fmt: skip
    return cells


def by_speaker(out: Path) -> dict[str, list[bool]]:
    """Return whether each test recording was named rightly, by speaker."""
    found: dict[str, list[bool]] = {}
    for row in parquet.read_table(out / "predictions.parquet").to_pylist():
        if row["split"] == "test":
            speaker = Path(row["id"]).stem.split("_")[1]
            found.setdefault(speaker, []).append(row["target"] == row["prediction"])
    return found


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


def told(cells: dict[str, Any]) -> list[list[Any]]:
    """Return what was done, recordings judged, interval, spread over speakers and accuracy, of each cell."""
    shown = []
    for what, cell in cells.items():
        low, high = cell["low"], cell["high"]
        span = "too few speakers" if low is None else f"{low:.1%} to {high:.1%}"
        each = " ".join(f"{name} {share:.1%}" for name, share in cell.get("by_speaker", {}).items())
        shown.append([what, cell["n"], each or "-", f"{cell['seconds']:.0f}", span, f"{cell['value']:.1%}"])
    return shown


if __name__ == "__main__":
    main()
