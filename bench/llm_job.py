"""Instruction fine-tuning of a real tiny Llama: Graft beside TRL's SFTTrainer, on the same rows and the same masks.

stories260K, real instructions (alpaca_en_999), all weights trained in float32 by AdamW, batches of 16 conversations of
up to 512 tokens. Graft writes the rows as tokens once; both learn from these. First the losses and the gradients of
the same batches at the same weights are compared, then tokens a second and memory: unpacked (Graft by length; TRL as it
comes, and in Graft's order) and packed. Each arm is a process of its own, arms take turns, figures are medians.

    python bench/llm_job.py --rivals PYTHON [--rounds 3] [--threads 1] [--steps 40]

`--rivals` names the interpreter of an environment with trl (pip install --constraint constraints.txt trl).
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from measure import (
    BENCH,
    Bar,
    environment,
    finish,
    interleave,
    median,
    options,
    run,
    shared,
    table,
    temporary_folder,
)

ARMS = ("graft", "trl", "trl-sorted", "graft-packed", "trl-packed")
SAME = 1e-5


def rows_as_tokens(place: Path, *, n_rows: int, batch_size: int) -> None:
    """Write tokens and labels of each row, and the rows of each step in the order in which Graft has them."""
    from graft.data.conversation_files import read_conversations
    from graft.tasks.text_generation import TextGeneration
    from graft.training.length_order import LengthOrder

    task = TextGeneration.load(str(shared() / "models" / "stories260K"))
    found = read_conversations(shared() / "data" / "instruct" / "alpaca_en_999.jsonl").train
    encoded = [e for e in (task.encode(c) for c in found.items[:n_rows]) if e.n_targets]
    order = LengthOrder(np.array([len(e) for e in encoded]), batch_size=batch_size, seed=0)
    told = {
        "tokens": [e.tokens.tolist() for e in encoded],
        "is_target": [e.is_target.astype(int).tolist() for e in encoded],
        "order": [order.indices(step).tolist() for step in range(50)],
    }
    place.write_text(json.dumps(told), encoding="utf-8")


def cell(arm: str, rows: Path, args: Any, folder: Path, *, is_compared: bool = False) -> dict[str, Any]:
    """Return what one arm gives, from a process of its own."""
    request = {
        "arm": arm, "rows": str(rows), "model": str(shared() / "models" / "stories260K"), "threads": args.threads,
        "batch_size": args.batch_size, "steps": 4 if is_compared else steps_of(arm, args), "is_compared": is_compared,
        "gradients": str(folder / f"{arm}.npz"), "folder": str(folder / arm),
    }  # fmt: skip
    python = sys.executable if arm.startswith("graft") else args.rivals
    ended = run(
        [python, BENCH / "llm_job_arms.py", json.dumps(request)], env=environment(OMP_NUM_THREADS=str(args.threads))
    )
    told: dict[str, Any] = json.loads(ended.output.strip().splitlines()[-1])
    return {**told, "peak_mib": ended.peak_mib}


def steps_of(arm: str, args: Any) -> int:
    """Return the steps of an arm: TRL packed on a CPU has rows as long as the batch, of which a few are enough."""
    return max(2, args.steps // 10) if arm == "trl-packed" else int(args.steps)


def differences(mine: dict[str, Any], theirs: dict[str, Any], folder: Path) -> dict[str, float]:
    """Return the largest differences of losses and of gradients, the latter over the largest entry."""
    ours, rivals = (np.load(folder / f"{arm}.npz") for arm in ("graft", "trl-sorted"))
    worst = max(float(np.abs(ours[name] - rivals[name]).max()) for name in ours.files)
    largest = max(float(np.abs(ours[name]).max()) for name in ours.files)
    return {
        "loss": max(abs(a - b) for a, b in zip(mine["losses"], theirs["losses"], strict=True)),
        "gradient": worst / largest,
        "n_gradients": len(ours.files),
    }


def main() -> None:
    parser = options((__doc__ or "").partition("\n")[0])
    parser.add_argument("--rivals", metavar="PYTHON", default=sys.executable, help="interpreter that has trl")
    parser.add_argument("--threads", type=int, default=1, help="of every arm")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--only", help="arms, with commas")
    args = parser.parse_args()
    if args.quick:
        args.rounds, args.steps = 1, 3
    has_trl = run([args.rivals, "-c", "import trl"], is_checked=False).code == 0
    arms = [arm for arm in (args.only.split(",") if args.only else ARMS) if has_trl or arm.startswith("graft")]
    if not has_trl:
        print("left out: trl is not installed (--rivals PYTHON)")
    bars: list[Bar] = []
    with temporary_folder() as folder:
        rows = folder / "rows.json"
        rows_as_tokens(rows, n_rows=100 if args.quick else 999, batch_size=args.batch_size)
        compared: dict[str, float] = {}
        if has_trl:
            pair = [cell(arm, rows, args, folder, is_compared=True) for arm in ("graft", "trl-sorted")]
            compared = differences(*pair, folder)
            bars += [
                Bar("losses of four batches: largest difference from TRL's", compared["loss"], SAME, is_floor=False),
                Bar("gradient: largest difference over its largest entry", compared["gradient"], SAME, is_floor=False),
            ]
        found = interleave({arm: lambda number, a=arm: cell(a, rows, args, folder) for arm in arms}, args.rounds)
    speed = {arm: median([one["n_tokens"] / one["seconds"] for one in own]) for arm, own in found.items()}
    peak = {arm: median([one["peak_mib"] for one in own]) for arm, own in found.items()}
    above = {arm: median([one["training_mib"] for one in own]) for arm, own in found.items()}
    of_cpu = {arm: median([one["n_tokens"] / one["cpu_seconds"] for one in own]) for arm, own in found.items()}
    table(
        ["arm", "tokens a second", "tokens a CPU second", "peak MiB", "of it while training"],
        [
            [arm, f"{speed[arm]:,.0f}", f"{of_cpu[arm]:,.0f}", f"{peak[arm]:,.0f}", f"{above[arm]:,.0f}"]
            for arm in found
        ],
    )
    for ours, rival in (("graft", "trl"), ("graft", "trl-sorted"), ("graft-packed", "trl-packed")):
        if ours in speed and rival in speed:
            bars.append(Bar(f"{ours}: times the tokens a second of {rival}", speed[ours] / speed[rival], 1.0))
            bars.append(Bar(f"{ours}: times the tokens a CPU second of {rival}", of_cpu[ours] / of_cpu[rival], None))
            bars.append(Bar(f"{ours}: share of {rival}'s peak memory", peak[ours] / peak[rival], 1.0, is_floor=False))
    finish("llm_job", args, {"threads": args.threads, "compared": compared, "cells": found}, bars)


if __name__ == "__main__":
    main()
