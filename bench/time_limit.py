"""`graft fit --time-limit`: ten runs, each with an empty cache; when does the command end, and is there a model?

flowers5, in turns with the ResNet-18 trunk and with MobileNetV2. The wall-clock time is that of the whole command, from
before its process starts to after it has ended.
"""

from __future__ import annotations

import json
import time

from graft.api.config_values import seconds_of
from measure import Bar, environment, finish, graft, options, run, shared, table, temporary_folder

MODELS = ("resnet18_trunk3", "mobilenet_v2_1.0_224")


def main() -> None:
    parser = options(__doc__ or "")
    parser.add_argument("--limit", default="60s")
    parser.add_argument("--times", type=int, default=10)
    args = parser.parse_args()
    limit, times = ("20s", 2) if args.quick else (args.limit, args.times)
    seconds = seconds_of(limit) or 60.0
    rows = []
    with temporary_folder() as folder:
        for number in range(times):
            model = shared() / "models" / MODELS[number % len(MODELS)]
            out = folder / f"run-{number}"
            words = graft("fit", shared() / "data" / "flowers5", "--model", model, "--out", out, "--time-limit", limit)
            began = time.perf_counter()
            run(words, env=environment(folder / f"cache-{number}"))
            wall = time.perf_counter() - began
            metrics = json.loads((out / "metrics.json").read_text())
            rows.append(
                {
                    "model": model.name,
                    "wall_s": wall,
                    "has_model": (out / "model" / "model.safetensors").exists(),
                    "kept": metrics["strategy"]["kept"],
                    "n_steps": metrics["strategy"].get("n_steps"),
                    "accuracy": metrics["test"]["accuracy"]["value"],
                }
            )
            print(rows[-1], flush=True)
    worst = max(row["wall_s"] for row in rows)
    table(["model", "s", "kept", "test accuracy"],
          [[r["model"], f"{r['wall_s']:.1f}", r["kept"], f"{r['accuracy']:.1%}"] for r in rows])  # fmt: skip
    n_kept = sum(row["wall_s"] <= 1.05 * seconds and row["has_model"] for row in rows)
    bars = [Bar(f"runs of {times} that end within {1.05 * seconds:g} s with a model", n_kept, times)]
    finish("time_limit", args, {"limit_s": seconds, "worst_s": worst, "runs": rows}, bars)


if __name__ == "__main__":
    main()
