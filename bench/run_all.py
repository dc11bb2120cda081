"""Run all benches one after the other, and keep their figures in bench/results/*.json (`make bench`).

To be run on a quiet machine, without ``OMP_WAIT_POLICY`` in the environment, so that rivals have their own defaults.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

from measure import BENCH, environment

BENCHES = {
    "solver": ["--real", "--tight"],
    "kill": [],
    "memory": [],
    "loop_overhead": [],
    "partial_cache": [],
    "compile_training": [],
    "multi_label": [],
    "imbalance": [],
    "checks": [],
    "near_texts": [],
    "text_accuracy": [],
    "text_job": [],
    "audio_speakers": [],
    "verdict": [],
    "time_limit": [],
    "seed_job": [],
    "rank": [],
    "learning_rate": [],
    "article_accuracy": ["--keep-pages"],
}


def main() -> None:
    parser = argparse.ArgumentParser(description="Run all benches and write bench/results/*.json.")
    parser.add_argument("names", nargs="*", choices=[*BENCHES, []], help="which ones; all by default")
    parser.add_argument("--quick", action="store_true", help="tiny sizes: shows that they work, no more")
    parser.add_argument("--results", type=Path, help="folder of the JSON files (default: bench/results)")
    parser.add_argument("--work", type=Path, help="folder that keeps finished runs of the article's script")
    args = parser.parse_args()
    results = args.results or (BENCH / "results" if not args.quick else None)
    failed = []
    for name in args.names or BENCHES:
        words = [*BENCHES[name], *(["--quick"] if args.quick else [])]
        if results is not None:
            words += ["--json", str(results / f"{name}.json")]
        if args.work is not None and name == "article_accuracy":
            words += ["--work", str(args.work)]
        print(f"\n=== {name} {' '.join(BENCHES[name])}", flush=True)
        started = time.perf_counter()
        code = subprocess.run([sys.executable, BENCH / f"{name}.py", *words], env=environment(), check=False).returncode
        print(f"=== {name}: {time.perf_counter() - started:,.0f} s, exit code {code}", flush=True)
        if code:
            failed.append(name)
    if failed:
        print(f"\nfailed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
