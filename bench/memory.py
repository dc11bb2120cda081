"""Peak memory of `graft fit` for 2,000 and 20,000 pictures: it must not grow with their number.

The pictures are 64 x 64 pixel JPEGs, each a random crop of a random CIFAR-10 picture, half of them mirrored: no two are
equal in bytes or in look. The model is the ImageNet ResNet-18 trunk reading 64 x 64 pixels (256 features).

While `fit` runs, every tenth of a second Linux is asked for the peak resident set of the main process and of each of
its workers (VmHWM, which misses nothing in between), and for what all of them hold together with shared pages counted
once (PSS), whose largest value is the peak of the sum.

The features are excepted from the bar, since they are on disk: their own bytes, n x 256 x 4, once, are taken off the
main process's peak. Copies of them that the solver makes are not.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from measure import Bar, class_files, environment, finish, graft, median, options, run, shared, table, temporary_folder

MODEL = "resnet18_trunk3"
SIDE = 64
FACTOR = 1.2
_EVERY_S = 0.1
_MIB = 1 << 20


@dataclass
class Watcher:
    """Looks at a process and its descendants until it ends; all figures in MiB.

    Parameters
    ----------
    peaks : process id to peak resident set.
    sum_peak : largest sum of proportional set sizes at one moment.
    parts : of the main process at its largest: anonymous memory, file pages, shared memory.
    """

    peaks: dict[int, float] = field(default_factory=dict)
    sum_peak: float = 0.0
    parts: dict[str, float] = field(default_factory=dict)
    main: int = 0

    def __call__(self, process: subprocess.Popen[bytes]) -> None:
        """Watch until the process has ended; it is left to be waited for."""
        self.main = process.pid
        largest = 0.0
        while not _is_ended(process.pid):
            total = 0.0
            for pid in _family(process.pid):
                status, pss = _status(pid), _pss(pid)
                if "VmHWM" in status:
                    self.peaks[pid] = max(self.peaks.get(pid, 0.0), status["VmHWM"])
                total += pss
                if pid == self.main and status.get("VmRSS", 0.0) > largest:
                    largest = status["VmRSS"]
                    self.parts = {key: status.get(key, 0.0) for key in ("RssAnon", "RssFile", "RssShmem")}
            self.sum_peak = max(self.sum_peak, total)
            time.sleep(_EVERY_S)

    @property
    def worker_peak(self) -> float:
        """The largest peak of one worker; 0 without workers."""
        return max((peak for pid, peak in self.peaks.items() if pid != self.main), default=0.0)


def _is_ended(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def _family(pid: int) -> list[int]:
    found, todo = [], [pid]
    while todo:
        found.append(todo.pop())
        with contextlib.suppress(OSError):
            for children in Path(f"/proc/{found[-1]}/task").glob("*/children"):
                todo += map(int, children.read_text().split())
    return found


def _status(pid: int) -> dict[str, float]:
    """Return the sizes in ``/proc/PID/status``, MiB."""
    with contextlib.suppress(OSError):
        lines = (line.split() for line in Path(f"/proc/{pid}/status").read_text().splitlines())
        return {words[0][:-1]: int(words[1]) / 1024 for words in lines if len(words) == 3 and words[2] == "kB"}
    return {}


def _pss(pid: int) -> float:
    with contextlib.suppress(OSError, IndexError, ValueError):
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
        return next(int(line.split()[1]) / 1024 for line in text.splitlines() if line.startswith("Pss:"))
    return 0.0


def make_pictures(folder: Path, n: int) -> None:
    """Write n different pictures of 64 x 64 pixels in the ten class folders of CIFAR-10."""
    from PIL import Image, ImageOps

    rng = np.random.default_rng(0)
    sources = class_files(shared() / "data" / "cifar10" / "train")
    by_class: dict[str, list[Image.Image]] = {}
    for file, name in sources:
        with Image.open(file) as image:
            by_class.setdefault(name, []).append(image.convert("RGB"))
    for name in by_class:
        (folder / name).mkdir(parents=True)
    names = list(by_class)
    for i in range(n):
        name = names[i % len(names)]
        picture = by_class[name][int(rng.integers(len(by_class[name])))]
        size = int(rng.integers(20, 30))
        left, top = (int(x) for x in rng.integers(0, 32 - size + 1, 2))
        picture = picture.resize((SIDE, SIDE), Image.Resampling.BICUBIC, box=(left, top, left + size, top + size))
        if rng.random() < 0.5:
            picture = ImageOps.mirror(picture)
        picture.save(folder / name / f"{i:06d}.jpg", quality=90)


def small_model(folder: Path) -> Path:
    """Copy the ResNet-18 trunk with a processor that gives 64 x 64 pixels."""
    shutil.copytree(shared() / "models" / MODEL, folder)
    file = folder / "preprocessor_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"size": {"shortest_edge": SIDE}}))
    return folder


def fit_watched(data: Path, model: Path, work: Path, *, workers: int, more: list[str]) -> dict[str, Any]:
    """Return peaks of one `graft fit` with an empty cache, in MiB, and its seconds."""
    out, cache = work / "run", work / "cache"
    for folder in (out, cache):
        shutil.rmtree(folder, ignore_errors=True)
    watcher = Watcher()
    command = graft("fit", data, "--model", model, "--out", out, "--workers", workers, *more)
    done = run(command, env=environment(cache), watch=watcher)
    manifest = json.loads((out / "manifest.json").read_text())
    n = sum(split["n"] for split in manifest["splits"].values())
    return {
        "n": n,
        "main_mib": watcher.peaks[watcher.main],
        "worker_mib": watcher.worker_peak,
        "n_workers": len(watcher.peaks) - 1,
        "sum_mib": watcher.sum_peak,
        "features_mib": n * manifest["backbone"]["n_features"] * 4 / _MIB,
        "own_report_mib": manifest["peak_memory_mib"],
        "parts_mib": watcher.parts,
        "engine": manifest["engine"],
        "seconds": done.seconds,
    }


def main() -> None:
    if not Path("/proc/self/smaps_rollup").exists():
        sys.exit("this bench reads memory from /proc, which only Linux has")
    parser = options("Peak memory of graft fit for few and many pictures.")
    parser.add_argument("--n", type=int, nargs=2, default=[2000, 20000], metavar=("FEW", "MANY"))
    parser.add_argument("--workers", type=int, default=2, help="of graft fit")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--options", nargs="*", default=[], metavar="WORD", help="further words for graft fit")
    args = parser.parse_args()
    sizes = [200, 400] if args.quick else args.n
    runs: dict[int, list[dict[str, Any]]] = {n: [] for n in sizes}
    with temporary_folder() as work:
        model = small_model(work / "model")
        for n in sizes:
            make_pictures(work / "pictures" / str(n), n)
        for _ in range(args.rounds):
            for n in sizes:
                print(f"  {n:,} pictures ...", end="", flush=True)
                data = work / "pictures" / str(n)
                runs[n].append(fit_watched(data, model, work, workers=args.workers, more=args.options))
                print(f" {runs[n][-1]['seconds']:.1f} s", flush=True)
    keys = ("main_mib", "features_mib", "worker_mib", "n_workers", "sum_mib", "own_report_mib", "seconds")
    figures = {n: {key: median([r[key] for r in runs[n]]) for key in keys} for n in sizes}
    for n in sizes:
        figures[n]["main_less_features_mib"] = figures[n]["main_mib"] - figures[n]["features_mib"]
        figures[n]["sum_less_features_mib"] = figures[n]["sum_mib"] - figures[n]["features_mib"]
    few, many = (figures[n] for n in sizes)
    titles = {
        "main_mib": "main process, peak",
        "features_mib": "features' own bytes",
        "main_less_features_mib": "main process less features",
        "worker_mib": "largest worker, peak",
        "sum_mib": "all together, peak (PSS)",
        "sum_less_features_mib": "all together less features",
        "own_report_mib": "main process, as the manifest has it",
    }
    print("\nPeak memory, MiB")
    rows = [[title, few[k], many[k], many[k] / few[k] if few[k] else None] for k, title in titles.items()]
    table(["", *(f"{n:,} pictures" for n in sizes), "ratio"], rows)
    for n in sizes:
        parts = ", ".join(f"{key} {value:,.0f}" for key, value in runs[n][0]["parts_mib"].items())
        print(f"  {n:,}: main process at its largest: {parts}; engine {runs[n][0]['engine']}")
    ratios = {k: many[k] / few[k] for k in ("main_less_features_mib", "main_mib", "sum_less_features_mib")}
    bars = [
        Bar("main process less features, many / few", ratios["main_less_features_mib"], FACTOR, is_floor=False),
        Bar("all together less features, many / few", ratios["sum_less_features_mib"], FACTOR, is_floor=False),
        Bar("main process with features, many / few", ratios["main_mib"], None),
    ]
    finish("memory", args, {"medians": figures, "runs": runs}, bars)


if __name__ == "__main__":
    main()
