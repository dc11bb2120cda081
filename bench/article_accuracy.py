"""Accuracy: the article's script and `graft fit --strategy head` with the same MobileNetV2, on two real data sets.

flowers5 and cifar10, train and test as given. Every test picture is matched by its id. For each set: accuracy with
Wilson's interval and McNemar's exact test; then the test over both sets together.

Rivals, both `bench/article.py` for 10 epochs:

- *article*: as the article leaves it, ``model.train()`` in every epoch. In this checkpoint that means BatchNorm in
  train mode with transformers' momentum of 0.997, so that the statistics used at the test are almost those of the last
  batch alone, and the checkpoint's dropout of 0.8 before the last layer.
- *article, eval*: the fairer variant: BatchNorm in eval mode and no dropout; all else the same.

``--variants`` can also take the two between: *article, no dropout* and *article, BatchNorm eval*.

The article's runs take long (6,000 pictures, 10 epochs, eager float32); ``--work DIR`` keeps what is finished, so that
the bench goes on where it was stopped, and ``--keep-pages`` makes them faster without changing their arithmetic.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from measure import BENCH, Bar, class_files, environment, finish, graft, options, run, shared, table, temporary_folder

SETS = ("flowers5", "cifar10")
MODEL = "mobilenet_v2_1.0_224"
VARIANTS = {
    "article": [],
    "article, eval": ["--batch-norm", "eval", "--dropout", "off"],
    "article, no dropout": ["--dropout", "off"],
    "article, BatchNorm eval": ["--batch-norm", "eval"],
}
GRAFT = "graft"


def article_right(data: Path, variant: str, work: Path, *, epochs: int, seed: int, keep_pages: bool) -> dict[str, Any]:
    """Return, by id, whether the article's script has a test picture right, and its seconds."""
    name = f"{data.name}-{variant.replace(', ', '-').replace(' ', '_')}-{epochs}-{seed}.json"
    kept = work / name
    if not kept.exists():
        partial = work / f"{name}.partial"
        command = [sys.executable, BENCH / "article.py", data, "--model", shared() / "models" / MODEL,
                   "--epochs", epochs, "--seed", seed, "--out", partial, *VARIANTS[variant]]  # fmt: skip
        done = run([*map(str, command), *(["--keep-pages"] if keep_pages else [])], env=environment())
        partial.write_text(json.dumps({**json.loads(partial.read_text()), "wall_s": done.seconds}))
        partial.rename(kept)
    told = json.loads(kept.read_text())
    right = (p == t for p, t in zip(told["predictions"], told["targets"], strict=True))
    return {"right": dict(zip(told["ids"], right, strict=True)), "seconds": told["wall_s"]}


def graft_right(data: Path, work: Path, *, views: int) -> dict[str, Any]:
    """Return, by id, whether `graft fit` has a test picture right, and its seconds with an empty cache."""
    import pyarrow.parquet as parquet

    out, cache = work / "run", work / "cache"
    for folder in (out, cache):
        shutil.rmtree(folder, ignore_errors=True)
    more = ["--views", views] if views > 1 else []
    command = graft("fit", data, "--model", shared() / "models" / MODEL, "--out", out, "--strategy", "head", *more)
    done = run(command, env=environment(cache))
    rows = parquet.read_table(out / "predictions.parquet", columns=["id", "split", "target", "prediction"]).to_pylist()
    right = {row["id"]: row["prediction"] == row["target"] for row in rows if row["split"] == "test"}
    return {"right": right, "seconds": done.seconds}


def small_copy(data: Path, folder: Path, per_class: int) -> Path:
    """Copy the first pictures of every class of train and test; return the copy."""
    for split in ("train", "test"):
        seen: dict[str, int] = {}
        for file, name in class_files(data / split):
            seen[name] = seen.get(name, 0) + 1
            if seen[name] <= per_class:
                (folder / split / name).mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, folder / split / name / file.name)
    return folder


def aligned(answers: dict[str, dict[str, Any]]) -> dict[str, NDArray[np.bool_]]:
    """Return the arms' right answers as arrays in one order of ids; the ids must be the same in all."""
    ids = sorted(answers[GRAFT]["right"])
    for name, answer in answers.items():
        if sorted(answer["right"]) != ids:
            sys.exit(f"{name} did not predict the same test pictures as {GRAFT}")
    return {name: np.array([answer["right"][i] for i in ids], dtype=bool) for name, answer in answers.items()}


def compare(title: str, right: dict[str, NDArray[np.bool_]], seconds: dict[str, float]) -> dict[str, Any]:
    """Print one table: accuracies with intervals, and Graft against each rival; return the figures."""
    from graft.evaluation import mcnemar_exact, wilson

    print(f"\n{title}: {len(right[GRAFT]):,} test pictures")
    rows, figures = [], {}
    for name, answers in right.items():
        accuracy = wilson(int(answers.sum()), len(answers))
        interval = f"{accuracy.low:.1%} to {accuracy.high:.1%}"
        paired = mcnemar_exact(right[GRAFT], answers) if name != GRAFT else None
        against = ["", "", ""]
        if paired:
            against = [f"{paired.only_a} : {paired.only_b}", f"{paired.difference.value:+.1%}", f"{paired.p_value:.2g}"]
        rows.append([name, f"{accuracy.value:.2%}", interval, *against, seconds.get(name)])
        figures[name] = {
            "accuracy": accuracy.as_dict(),
            "paired_with_graft": paired.as_dict() if paired else None,
            "seconds": seconds.get(name),
        }
    table(["", "accuracy", "95 % (Wilson)", "graft : rival alone right", "difference", "p (McNemar)", "s"], rows)
    return figures


def main() -> None:
    parser = options("Accuracy of the article's script and of graft fit with the same MobileNetV2.")
    parser.add_argument("--work", type=Path, help="folder that keeps the article's finished runs")
    parser.add_argument("--variants", nargs="+", choices=list(VARIANTS), default=["article", "article, eval"])
    parser.add_argument("--views", type=int, default=1, help="2: also graft fit --views 2, as a line of its own")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0, help="of the article's script")
    parser.add_argument("--keep-pages", action="store_true", help="for the article's script; same arithmetic")
    args = parser.parse_args()
    epochs = 1 if args.quick else args.epochs
    right: dict[str, dict[str, NDArray[np.bool_]]] = {}
    results: dict[str, Any] = {}
    with temporary_folder() as folder:
        work = args.work or folder / "article"
        if args.quick:
            work = folder / "article"
        work.mkdir(parents=True, exist_ok=True)
        for name in SETS:
            data = shared() / "data" / name
            if args.quick:
                data = small_copy(data, folder / name, 4)
            answers: dict[str, dict[str, Any]] = {}
            for views in sorted({1, args.views}):
                arm = GRAFT if views == 1 else f"{GRAFT}, {views} views"
                print(f"  {name}: {arm} ...", flush=True)
                answers[arm] = graft_right(data, folder, views=views)
            for variant in args.variants:
                print(f"  {name}: {variant} ...", flush=True)
                answers[variant] = article_right(
                    data, variant, work, epochs=epochs, seed=args.seed, keep_pages=args.keep_pages
                )
            right[name] = aligned(answers)
            seconds = {arm: answer["seconds"] for arm, answer in answers.items()}
            results[name] = compare(name, right[name], seconds)
    both = {arm: np.concatenate([right[name][arm] for name in SETS]) for arm in right[SETS[0]]}
    results["both"] = compare("Both together", both, {})
    bars = []
    for rival in args.variants:
        is_bar = rival == "article"
        for name in SETS:
            difference = results[name][rival]["paired_with_graft"]["accuracy_difference"]["value"]
            bars.append(Bar(f"graft - {rival}, {name}", difference, 0.0 if is_bar else None))
        paired = results["both"][rival]["paired_with_graft"]
        difference = paired["accuracy_difference"]["value"]
        bars.append(Bar(f"graft - {rival}, both", difference, 0.0 if is_bar else None))
        p_value = _p_when_ahead(paired)
        bars.append(Bar(f"p of graft ahead of {rival}, both", p_value, 0.05 if is_bar else None, is_floor=False))
    finish("article_accuracy", args, results, bars)


def _p_when_ahead(paired: dict[str, Any]) -> float:
    """Return the two-sided p-value where Graft is ahead, 1 where it is not: no credit for being clearly worse."""
    return float(paired["p_value"]) if paired["only_model_right"] > paired["only_baseline_right"] else 1.0


if __name__ == "__main__":
    main()
