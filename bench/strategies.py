"""Which method wins, in distribution and under shift: head, LP-FT, LP-FT+WiSE, full, LoRA, from scratch, and `auto`.

Real pictures and real pretrained weights (GRAFT_SHARED, else ../shared). Each cell is a data set, a network, a number
of labels a class and a seed. Cells are kept in a JSON-lines file as they are done; run again, and it goes on.

    python bench/strategies.py [--cells cifar10:resnet18_trunk3:10,50,200:0,1,2 ...] [--summary]

Pictures are brought to 64 pixels, fewer than the checkpoints' own 224, so that 48 cells fit into an hour or two on two
cores. All methods see the same pixels. Two processes of one thread each (OMP_NUM_THREADS=1, another --file each, and
then one --summary of both) take half the time of one with two threads.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from graft.core.process import prepare_process

prepare_process()

import numpy as np  # noqa: E402
import torch  # noqa: E402

from graft.backbones.loading import random_network  # noqa: E402
from graft.core.seeds import generator  # noqa: E402
from graft.data.splitting import stratified_split  # noqa: E402
from graft.evaluation import mcnemar_exact, wilson  # noqa: E402
from graft.methods.arena import Arena  # noqa: E402
from graft.methods.contest import hold_contest  # noqa: E402
from graft.methods.fine_tuning import fine_tune  # noqa: E402
from graft.methods.full import Full  # noqa: E402
from graft.methods.head_only import HeadOnly  # noqa: E402
from graft.methods.lora import LoRA  # noqa: E402
from graft.methods.lp_ft import LPFT  # noqa: E402
from graft.methods.settings import FineTuning  # noqa: E402
from graft.methods.where import Where  # noqa: E402
from graft.training.from_scratch import train_from_scratch  # noqa: E402
from picture_bed import Bed  # noqa: E402

RESULTS = Path(__file__).with_name("results")
METHODS = ("head", "lp-ft", "lp-ft+wise", "full", "lora", "scratch", "auto")
SCRATCH_STEPS = 200
DEFAULT_CELLS = [
    f"{data}:{network}:{sizes}:0,1,2"
    for data, sizes in (("cifar10", "10,50,200"), ("flowers5", "10,50,200"), ("mnist", "10,50"))
    for network in ("resnet18_trunk3", "mobilenet_v2_1.0_224")
]


def run_cell(bed: Bed, n_each: int, seed: int, *, methods: tuple[str, ...], say: Any) -> dict[str, Any]:
    fraction = n_each * len(bed.labels) / len(bed.targets)
    if fraction < 1:
        parts = stratified_split(bed.targets, fractions={"a": fraction, "b": 1 - fraction}, seed=seed)
        rows = np.sort(parts["a"])
    else:
        rows = np.arange(len(bed.targets))
    rows = generator(seed, "order").permutation(rows)
    examples, features, targets = bed.examples(rows), bed.features[rows], bed.targets[rows]
    settings = FineTuning()
    started = time.perf_counter()
    probe = HeadOnly().fit(features, targets, n_classes=len(bed.labels), seed=seed)
    bed.model.head.set(torch.from_numpy(probe.weights), torch.from_numpy(probe.bias))
    right, seconds = {"head": bed.is_right(bed.model.network)}, {"head": time.perf_counter() - started}
    common: dict[str, Any] = {"head": bed.model.head.name, "task": bed.task, "examples": examples, "seed": seed}
    start = (probe.weights, probe.bias)
    facts: dict[str, Any] = {}
    if "lp-ft" in methods:
        arena = Arena(
            network=bed.model.network, probe=probe, features=features, n_train=len(rows), where=Where(device="cpu"),
            **common,
        )  # fmt: skip
        contest = hold_contest(LPFT(settings), arena, is_kept_anyway=True, say=say)
        assert contest.final is not None
        assert contest.network is not None
        right["lp-ft"] = bed.is_right(contest.final.network)
        right["lp-ft+wise"] = bed.is_right(contest.network)
        is_better = bool(contest.verdict and contest.verdict.is_better)
        right["auto"] = right["lp-ft+wise" if is_better else "head"]
        facts["contest"] = contest.facts
        seconds["lp-ft+wise"] = contest.facts["seconds"]
        seconds["lp-ft"] = contest.final.training.seconds
        seconds["auto"] = seconds["head"] + (
            contest.facts["seconds"] if is_better else contest.facts["seconds_evidence"]
        )
    for name, method in (("full", Full(settings)), ("lora", LoRA(settings=settings))):
        if name in methods:
            done = fine_tune(
                method, bed.model.network, start=start, rows=np.arange(len(rows)), where=Where(device="cpu"), **common
            )
            right[name], seconds[name] = bed.is_right(done.network), done.training.seconds
    if "scratch" in methods:
        began = time.perf_counter()
        network = train_from_scratch(
            random_network(bed.model, seed=seed), examples.pictures, targets, mean=bed.mean.tolist(),
            std=bed.std.tolist(), seed=seed, flip=bed.flip, n_steps=SCRATCH_STEPS,
        )  # fmt: skip
        right["scratch"], seconds["scratch"] = bed.is_right(network), time.perf_counter() - began
    return {
        "right": {m: {t: "".join("01"[int(x)] for x in r) for t, r in by.items()} for m, by in right.items()},
        "accuracy": {m: {t: float(r.mean()) for t, r in by.items()} for m, by in right.items()},
        "seconds": {m: round(s, 2) for m, s in seconds.items()},
        **facts,
    }


def bits(text: str) -> np.ndarray:
    return np.frombuffer(text.encode(), np.uint8) == ord("1")


def summary(cells: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the tables and the bars."""
    groups: dict[tuple[str, str, int], list[dict[str, Any]]] = {}
    for cell in cells:
        groups.setdefault((cell["data"], cell["network"], cell["n_each"]), []).append(cell)
    table, regrets = [], []
    pooled: dict[tuple[str, str, str], list[np.ndarray]] = {}
    for (data, network, n_each), own in sorted(groups.items()):
        for test in own[0]["accuracy"]["head"]:
            row: dict[str, Any] = {"data": data, "network": network, "n_each": n_each, "test": test, "seeds": len(own)}
            for method in METHODS:
                found = [bits(c["right"][method][test]) for c in own if method in c["right"]]
                if found:
                    joined = np.concatenate(found)
                    interval = wilson(int(joined.sum()), joined.size)
                    row[method] = {
                        "value": interval.value,
                        "low": interval.low,
                        "high": interval.high,
                        "seeds": len(found),
                    }
            table.append(row)
            if test == "test":
                best = max(
                    (row[m]["value"], m) for m in METHODS if m in row and m != "auto" and row[m]["seeds"] == len(own)
                )
                regrets.append({"data": data, "network": network, "n_each": n_each, "best": best[1],
                                "regret_points": 100 * (best[0] - row["auto"]["value"])})  # fmt: skip
    for cell in cells:
        for method, by_test in cell["right"].items():
            for test, text in by_test.items():
                place = "test" if test == "test" else "shift"
                pooled.setdefault(
                    (method, place, f"{cell['data']} {cell['network']} {cell['n_each']} {cell['seed']} {test}"), []
                ).append(bits(text))
    bars: dict[str, Any] = {"auto_regret": regrets, "auto_regret_by_size": by_size(table)}

    def paired(a: str, b: str, place: str) -> dict[str, Any]:
        keys = [key[2] for key in pooled if key[0] == b and key[1] == place and (a, place, key[2]) in pooled]
        first = np.concatenate([pooled[a, place, key][0] for key in keys])
        second = np.concatenate([pooled[b, place, key][0] for key in keys])
        return {"a": a, "b": b, "place": place, **mcnemar_exact(first, second).as_dict()}

    methods = {key[0] for key in pooled}
    if {"lp-ft+wise", "full"} <= methods:
        bars["wise_under_shift"] = [paired("lp-ft+wise", other, "shift") for other in ("full", "head")]
    if "scratch" in methods:
        bars["scratch"] = [paired("scratch", other, "test") for other in METHODS if other in methods - {"scratch"}]
    return {"table": table, "bars": bars}


def by_size(table: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return for each number of labels a class the mean accuracy of each method over data sets and networks.

    Only methods that were run everywhere at that size compete; every pair of data set and network weighs the same.
    """
    found = []
    for n_each in sorted({row["n_each"] for row in table}):
        own = [row for row in table if row["n_each"] == n_each and row["test"] == "test"]
        methods = [m for m in METHODS if all(m in row and row[m]["seeds"] == row["seeds"] for row in own)]
        means = {m: sum(row[m]["value"] for row in own) / len(own) for m in methods}
        best = max((m for m in methods if m != "auto"), key=lambda m: means[m])
        regret = 100 * (means[best] - means["auto"])
        found.append({"n_each": n_each, "n": len(own), "means": means, "best": best, "regret_points": regret})
    return found


def print_summary(found: dict[str, Any]) -> None:
    shown = [m for m in METHODS if any(m in row for row in found["table"])]
    print(f"{'data':9}{'network':22}{'n/class':>8} {'test set':16}" + "".join(f"{m:>20}" for m in shown))
    for row in found["table"]:
        cells = "".join(
            f"{100 * row[m]['value']:8.1f} ({100 * row[m]['low']:.1f}-{100 * row[m]['high']:.1f})".rjust(20)
            if m in row
            else " " * 20
            for m in shown
        )
        print(f"{row['data']:9}{row['network']:22}{row['n_each']:8} {row['test']:16}{cells}")
    for row in found["bars"]["auto_regret_by_size"]:
        means = ", ".join(f"{m} {100 * v:.1f}" for m, v in row["means"].items())
        print(f"{row['n_each']} a class, mean over {row['n']} data sets and networks: {means}")
        print(f"    auto against the best in hindsight ({row['best']}): {row['regret_points']:+.2f} points")
    for row in found["bars"]["auto_regret"]:
        place = f"{row['data']} {row['network']} {row['n_each']}"
        print(f"auto against the best in hindsight ({row['best']}): {place}: {row['regret_points']:+.2f} points")
    for name in ("wise_under_shift", "scratch"):
        for row in found["bars"].get(name, []):
            d = row["accuracy_difference"]
            gap = f"{100 * d['value']:+.2f} points ({100 * d['low']:+.2f} to {100 * d['high']:+.2f})"
            print(f"{row['a']} against {row['b']} on {row['place']}: {gap}, n={row['n']}, p={row['p_value']:.2g}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", nargs="*", default=DEFAULT_CELLS)
    parser.add_argument(
        "--file", type=Path, nargs="*", default=[RESULTS / "strategies.jsonl"], help="cells; the first is added to"
    )
    parser.add_argument("--summary", action="store_true")
    parser.add_argument("--methods", default=",".join(METHODS[1:-1]))
    parser.add_argument("--scratch-seeds", default="0")
    arguments = parser.parse_args()
    cells = [json.loads(line) for file in arguments.file if file.exists() for line in file.read_text().splitlines()]
    if not arguments.summary:
        done = {(c["data"], c["network"], c["n_each"], c["seed"]) for c in cells}
        with tempfile.TemporaryDirectory() as folder:
            for text in arguments.cells:
                data, network, sizes, seeds = text.split(":")
                todo = [(int(n), int(s)) for s in seeds.split(",") for n in sizes.split(",")]
                todo = [key for key in todo if (data, network, *key) not in done]
                if not todo:
                    continue
                bed = Bed(data, network, Path(folder))
                for n_each, seed in todo:
                    began = time.perf_counter()
                    methods = tuple(arguments.methods.split(","))
                    if str(seed) not in arguments.scratch_seeds.split(","):
                        methods = tuple(m for m in methods if m != "scratch")
                    found = run_cell(bed, n_each, seed, methods=methods, say=lambda t: print("   ", t, file=sys.stderr))
                    cell = {"data": data, "network": network, "n_each": n_each, "seed": seed, **found}
                    cells.append(cell)
                    with open(arguments.file[0], "a", encoding="utf-8") as file:
                        file.write(json.dumps(cell) + "\n")
                    told = ", ".join(f"{m} {100 * by['test']:.1f}" for m, by in found["accuracy"].items())
                    print(
                        f"{data} {network} {n_each} seed {seed}: {told} ({time.perf_counter() - began:.0f} s)",
                        flush=True,
                    )
    found = summary(cells)
    print_summary(found)
    (RESULTS / "strategies.json").write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
