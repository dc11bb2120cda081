"""What the benches share: running commands with time and memory, tables, bars, and the JSON that is kept."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

__all__ = [
    "BENCH", "ROOT", "Bar", "Finished", "class_files", "environment", "finish", "graft", "interleave", "median",
    "options", "ratio", "run", "shared", "table", "temporary_folder",
]  # fmt: skip

BENCH = Path(__file__).resolve().parent
ROOT = BENCH.parent
sys.path.insert(0, str(ROOT / "src"))  # so that benches can import Graft where it is not installed
_VERSIONS_OF = ("torch", "transformers", "scikit-learn", "numpy", "pillow", "openvino")


def options(description: str) -> argparse.ArgumentParser:
    """Return a parser with the options that every bench has."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--quick", action="store_true", help="tiny sizes: shows that the script works, no more")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to FILE")
    return parser


def shared() -> Path:
    """Return the folder of real data and weights: ``GRAFT_SHARED``, else ``../shared`` beside the repository."""
    folder = Path(os.environ.get("GRAFT_SHARED", ROOT.parent / "shared"))
    if not (folder / "data").is_dir():
        sys.exit(f"no real data at {folder}: set GRAFT_SHARED to the folder that holds data/ and models/")
    return folder


@contextlib.contextmanager
def temporary_folder() -> Iterator[Path]:
    """Yield a folder that is removed at the end."""
    with tempfile.TemporaryDirectory(prefix="graft-bench-") as name:
        yield Path(name)


def environment(cache: Path | None = None, **more: str) -> dict[str, str]:
    """Return the environment of a measured process: this tree's Graft, no hub, and `cache` as the feature cache.

    Threads and OpenMP's waiting are left as they are outside: rivals run with their own defaults.
    """
    found = dict(os.environ) | {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    found["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT / "src"), os.environ.get("PYTHONPATH", "")]))
    if cache is not None:
        found["GRAFT_CACHE"] = str(cache)
    return found | more


def graft(*arguments: object) -> list[str]:
    """Return the command line of ``graft ...`` with this interpreter."""
    return [sys.executable, "-m", "graft", *map(str, arguments)]


@dataclass(frozen=True)
class Finished:
    """A command that ended.

    Parameters
    ----------
    seconds : wall time, from the start of the process to its end.
    peak_mib : largest resident set of the process or of any one child that it waited for.
    code : exit status; minus the signal's number where a signal ended it.
    output : stdout and stderr.
    """

    seconds: float
    peak_mib: float
    code: int
    output: str


def run(
    command: Sequence[object],
    *,
    env: Mapping[str, str] | None = None,
    is_checked: bool = True,
    watch: Callable[[subprocess.Popen[bytes]], None] | None = None,
) -> Finished:
    """Run a command to its end and return what it cost.

    Parameters
    ----------
    is_checked : leave the bench, with the end of the command's output, when it fails.
    watch : called once with the running process, in this thread; it may wait, look, or kill.
    """
    with tempfile.TemporaryFile() as file:
        started = time.perf_counter()
        process = subprocess.Popen(
            list(map(str, command)), stdout=file, stderr=subprocess.STDOUT, env=env, start_new_session=True
        )
        if watch is not None:
            watch(process)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        code = process.returncode = os.waitstatus_to_exitcode(status)
        file.seek(0)
        output = file.read().decode(errors="replace")
    if is_checked and code != 0:
        sys.exit(f"{' '.join(map(str, command))}\nfailed with {code}:\n{output[-3000:]}")
    return Finished(seconds, usage.ru_maxrss / (1 << 20 if sys.platform == "darwin" else 1 << 10), code, output)


def interleave(arms: Mapping[str, Callable[[int], Any]], rounds: int) -> dict[str, list[Any]]:
    """Return what each arm gave in each round, all arms once a round, every second round in reverse order."""
    found: dict[str, list[Any]] = {name: [] for name in arms}
    for number in range(rounds):
        names = list(arms) if number % 2 == 0 else list(arms)[::-1]
        for name in names:
            print(f"  round {number + 1} of {rounds}: {name} ...", end="", flush=True)
            started = time.perf_counter()
            found[name].append(arms[name](number))
            print(f" {time.perf_counter() - started:.1f} s", flush=True)
    return found


def median(values: Sequence[float]) -> float:
    """Return the median as a float."""
    return float(statistics.median(values))


def ratio(slow: Sequence[float], fast: Sequence[float]) -> float:
    """Return the median over rounds of ``slow / fast``: pairs of one round share the machine's mood."""
    return median([a / b for a, b in zip(slow, fast, strict=False)])


def class_files(folder: Path) -> list[tuple[Path, str]]:
    """Return (file, class name) of every picture in a folder with a subfolder a class, sorted."""
    return [
        (file, place.name) for place in sorted(folder.iterdir()) if place.is_dir() for file in sorted(place.iterdir())
    ]


def table(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print aligned columns: the first to the left, the others to the right."""
    cells = [list(map(str, header)), *([_cell(value) for value in row] for row in rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(header))]
    for number, row in enumerate(cells):
        aligned = [row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True))]
        print(("  " + "  ".join(aligned)).rstrip())
        if number == 0:
            print("  " + "  ".join("-" * w for w in widths))


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}" if abs(value) < 1 else f"{value:.2f}"
    return "-" if value is None else str(value)


@dataclass(frozen=True)
class Bar:
    """A figure beside what it has to reach.

    Parameters
    ----------
    name : what is measured.
    value : what was measured.
    bar : what has to be reached; None: for information.
    is_floor : whether the value has to be at least (True) or at most (False) the bar.
    aim : what is hoped for beyond the bar.
    """

    name: str
    value: float
    bar: float | None
    is_floor: bool = True
    aim: float | None = None

    @property
    def is_met(self) -> bool | None:
        """Whether the bar is reached; None without a bar."""
        if self.bar is None:
            return None
        return self.value >= self.bar if self.is_floor else self.value <= self.bar


def finish(name: str, arguments: argparse.Namespace, results: Mapping[str, Any], bars: Sequence[Bar]) -> None:
    """Print the bars, and write the JSON where it was asked for."""
    print()
    rows = []
    for bar in bars:
        goal = f"{'at least' if bar.is_floor else 'at most'} {bar.bar:g}" if bar.bar is not None else "for information"
        if bar.bar is not None and bar.aim is not None:
            goal += f" (aim {bar.aim:g})"
        verdict = {True: "met", False: "NOT MET", None: ""}[bar.is_met]
        rows.append([bar.name, bar.value, goal, verdict if not arguments.quick or bar.bar is None else "(quick)"])
    table(["bar", "measured", "wanted", ""], rows)
    if arguments.quick:
        print("  --quick: sizes too small to judge a bar by")
    if arguments.json is not None:
        value = {
            "bench": name,
            "date": datetime.now(UTC).date().isoformat(),
            "is_quick": arguments.quick,
            "machine": machine(),
            "results": results,
            "bars": [{**asdict(bar), "is_met": None if arguments.quick else bar.is_met} for bar in bars],
        }
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(json.dumps(value, indent=1, default=float) + "\n", encoding="utf-8")


def machine() -> dict[str, Any]:
    """Return what the figures depend on besides the code."""
    model = platform.processor()
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), model)
    versions = {"python": platform.python_version()}
    for package in _VERSIONS_OF:
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions[package] = metadata.version(package)
    return {
        "processor": model,
        "n_cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "load_average_at_end": [round(x, 2) for x in os.getloadavg()],
        "omp_wait_policy": os.environ.get("OMP_WAIT_POLICY"),
        "versions": versions,
    }
