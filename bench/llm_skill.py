"""A skill taught to a tiny real Llama with 500 examples, by all weights and by LoRA: learned, ended, and forgotten.

The skill: three words in reverse order, as a JSON list. The model is llama2.c's stories260K (0.26 million weights,
GRAFT_SHARED, else ../shared), trained on children's stories, which has never seen a list, an instruction or JSON. Words
are those that its tokenizer holds whole. What is forgotten is measured on stories that the model wrote before.

    python bench/llm_skill.py [--strategies full,lora,lora-frozen-words] [--seeds 0] [--keep FOLDER]

Held against the aim: exact match from about 0 to at least 80 % on new triples, at least 99 % of texts end by
themselves, and the report names the loss on stories before and after.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import tempfile
import time
from pathlib import Path
from typing import Any

import graft

SHARED = Path(os.environ.get("GRAFT_SHARED", Path(__file__).resolve().parents[2] / "shared"))
RESULTS = Path(__file__).with_name("results")
WORDS = [
    "and",
    "big",
    "but",
    "day",
    "for",
    "friend",
    "had",
    "happy",
    "her",
    "his",
    "little",
    "mom",
    "named",
    "play",
    "said",
    "saw",
    "she",
    "that",
    "the",
    "there",
    "they",
    "time",
    "upon",
    "very",
    "want",
    "was",
    "with",
    "you",
]
SIZES = {"train": 500, "valid": 100, "test": 300}
OPTIONS: dict[str, dict[str, Any]] = {
    "full": {"learning_rate": 2e-3},
    "lora": {"learning_rate": 3e-3, "lora_rank": 16},
    "lora-frozen-words": {"learning_rate": 3e-3, "lora_rank": 16, "word_embeddings": "frozen"},
}


def write_skill(folder: Path, *, seed: int) -> Path:
    """Write train, valid and test as prompt and completion; no triple is in two of them."""
    drawn, seen = random.Random(seed), set[tuple[str, ...]]()
    folder.mkdir(parents=True, exist_ok=True)
    for split, n in SIZES.items():
        rows: list[dict[str, str]] = []
        while len(rows) < n:
            words = tuple(drawn.sample(WORDS, 3))
            if words not in seen:
                seen.add(words)
                answer = json.dumps(list(reversed(words)))
                rows.append({"prompt": f"Reverse the words: {' '.join(words)}", "completion": answer})
        (folder / f"{split}.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return folder


def taught(strategy: str, seed: int, folder: Path) -> dict[str, Any]:
    """Return the figures of one run."""
    data = write_skill(folder / f"data-{seed}", seed=seed)
    started = time.perf_counter()
    run = graft.fit(
        str(data),
        model=str(SHARED / "models" / "stories260K"),
        out=str(folder / f"{strategy}-{seed}"),
        strategy=strategy.partition("-")[0],
        metric="exact-match",
        generations=SIZES["test"],
        epochs=30,
        batch_size=16,
        patience=10,
        offline=True,
        device="cpu",
        seed=seed,
        **OPTIONS[strategy],
    )
    metrics = run.metrics
    (forgotten,) = metrics["forgetting"].values()
    return {
        "strategy": strategy,
        "seed": seed,
        "seconds": round(time.perf_counter() - started, 1),
        "n_trainable": metrics["strategy"]["n_trainable"],
        "exact": metrics["test"]["exact-match"],
        "before": metrics["baselines"]["base-zero-shot"]["exact-match"],
        "few_shot": metrics["baselines"].get("base-few-shot", {}).get("exact-match"),
        "ends": metrics["test"]["ends_by_itself"],
        "loss": metrics["test"]["loss_per_token"]["value"],
        "loss_before": metrics["before"]["test"]["loss_per_token"]["value"],
        "stories_before": forgotten["before"],
        "stories_after": forgotten["after"],
        "stories_change": forgotten["change"],
        "claims": {claim["name"]: claim["sentence"] for claim in metrics["claims"]},
    }


def table(rows: list[dict[str, Any]]) -> str:
    """Return the figures as a table in Markdown."""
    lines = [
        "| strategy | seed | weights | exact, base | few-shot | exact | 95 % | ends | stories before | after | s |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for r in rows:
        few = "–" if r["few_shot"] is None else f"{r['few_shot']['value']:.1%}"
        exact = r["exact"]
        lines.append(
            f"| {r['strategy']} | {r['seed']} | {r['n_trainable']:,} | {r['before']['value']:.1%} | {few} |"
            f" {exact['value']:.1%} | {exact['low']:.1%} to {exact['high']:.1%} | {r['ends']['value']:.1%} |"
            f" {r['stories_before']['value']:.3f} | {r['stories_after']['value']:.3f} | {r['seconds']:.0f} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Run, print, and keep the figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--strategies", default="full,lora")
    parser.add_argument("--seeds", default="0")
    parser.add_argument("--keep", help="folder for the runs (default: they are deleted)")
    given = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(given.keep or temporary)
        for strategy in given.strategies.split(","):
            for seed in given.seeds.split(","):
                rows.append(taught(strategy, int(seed), folder))
                print(json.dumps(rows[-1]), flush=True)
    RESULTS.mkdir(exist_ok=True)
    path, anew = RESULTS / "llm_skill.json", {(row["strategy"], row["seed"]) for row in rows}
    before = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else []
    rows = [row for row in before if (row["strategy"], row["seed"]) not in anew] + rows
    path.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    print(table(rows))


if __name__ == "__main__":
    main()
