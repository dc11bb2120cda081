"""`graft fit` killed with SIGKILL at ten random moments, each time gone on with `--resume`.

The job is fitted once without being killed, and once more as a control. Then, for every moment: the same command with
an empty cache of its own is killed, main process only, as ``kill -9 PID`` does, and repeated with ``--resume``. What
comes out must equal the run that was never killed: every column of predictions.parquet, the weights of the saved model,
and metrics.json but for ``seconds`` and ``test_reads`` (a run killed after its evaluation reads the test twice, and
says so).

One moment is drawn at random in each tenth of the run's time, so that all phases are met. A run that ends before its
moment, because the machine was faster this time, is repeated with a moment drawn from its own shorter time.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

from measure import Bar, class_files, environment, finish, graft, options, run, shared, table, temporary_folder

DATA, MODEL = "cifar10", "mobilenet_v2_1.0_224"
_NOT_COMPARED = ("seconds", "test_reads")


def make_data(folder: Path, *, train: int, test: int) -> Path:
    """Copy `train` and `test` pictures a class of CIFAR-10; return the folder."""
    for split, most in (("train", train), ("test", test)):
        seen: dict[str, int] = {}
        for file, name in class_files(shared() / "data" / DATA / split):
            seen[name] = seen.get(name, 0) + 1
            if seen[name] <= most:
                (folder / split / name).mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, folder / split / name / file.name)
    return folder


def fit(data: Path, place: Path, model: Path, *, resume: bool = False, kill_after_s: float | None = None) -> Any:
    """Run `graft fit` into ``place/run`` with the cache ``place/cache``; kill it when it is to be killed."""
    group: list[int] = []

    def watch(process: subprocess.Popen[bytes]) -> None:
        group.append(process.pid)
        if kill_after_s is not None:
            deadline = time.perf_counter() + kill_after_s
            while time.perf_counter() < deadline:
                if _has_ended(process.pid):
                    return
                time.sleep(0.002)
            process.send_signal(signal.SIGKILL)

    words = ["fit", data, "--model", model, "--out", place / "run", "--strategy", "head"]
    command = graft(*words, *(["--resume"] if resume else []))
    done = run(command, env=environment(place / "cache"), is_checked=False, watch=watch)
    return done, group[0]


def _has_ended(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def outcome(place: Path) -> dict[str, Any]:
    """Return what is compared: predictions, metrics, and the hash of the saved weights."""
    import pyarrow.parquet as parquet

    out = place / "run"
    metrics = json.loads((out / "metrics.json").read_text())
    return {
        "predictions": parquet.read_table(out / "predictions.parquet"),
        "metrics": {key: value for key, value in metrics.items() if key not in _NOT_COMPARED},
        "model": hashlib.blake2b((out / "model" / "model.safetensors").read_bytes()).hexdigest(),
    }


def differences(got: dict[str, Any], wanted: dict[str, Any]) -> list[str]:
    """Return the names of what differs."""
    found = [] if got["predictions"].equals(wanted["predictions"]) else ["predictions"]
    return found + [name for name in ("metrics", "model") if got[name] != wanted[name]]


def reached(place: Path) -> str:
    """Return what the log says last, shortened, and how many feature shards there are."""
    log = place / "run" / "log.txt"
    lines = log.read_text().splitlines() if log.exists() else []
    last = lines[-1].partition(" ")[2].replace(f"{place.parent}/", "") if lines else "nothing said yet"
    shards = len(list((place / "cache").rglob("*.index.npy")))
    return f"{last[:44]}{'...' if len(last) > 44 else ''}; {shards} shards"


def kill_and_resume(
    number: int, share: float, seconds: float, data: Path, model: Path, folder: Path, wanted: dict[str, Any]
) -> dict[str, Any]:
    """Kill one run at `share` of its time and resume it; return what came of it."""
    for _ in range(5):
        place = folder / f"killed-{number}"
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        moment = share * seconds
        done, pid = fit(data, place, model, kill_after_s=moment)
        if done.code == -signal.SIGKILL:
            break
        seconds = done.seconds  # it ended first
    else:
        return {"moment_s": moment, "reached": "it always ended before its moment", "is_equal": False}
    told = reached(place)
    resumed, _ = fit(data, place, model, resume=True)
    with contextlib.suppress(OSError):
        os.killpg(pid, signal.SIGKILL)  # workers that outlived the killed process
    found: dict[str, Any] = {
        "moment_s": moment,
        "reached": told,
        "resume_code": resumed.code,
        "resume_s": resumed.seconds,
    }
    if resumed.code != 0:
        return {
            **found,
            "is_equal": False,
            "differs": ["no result"],
            "output": resumed.output[-1500:].replace(f"{folder}/", ""),
        }
    differs = differences(outcome(place), wanted)
    shutil.rmtree(place)
    return {**found, "is_equal": not differs, "differs": differs}


def main() -> None:
    parser = options("graft fit killed with SIGKILL at random moments, then resumed: the same result?")
    parser.add_argument("--moments", type=int, default=10)
    parser.add_argument("--train", type=int, default=200, help="pictures a class")
    parser.add_argument("--test", type=int, default=100, help="pictures a class")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    args = parser.parse_args()
    n_moments, train, test = (3, 8, 4) if args.quick else (args.moments, args.train, args.test)
    draw = random.Random(args.seed)
    model = shared() / "models" / MODEL
    with temporary_folder() as folder:
        data = make_data(folder / "data", train=train, test=test)
        seconds, whole = [], []
        for name in ("never killed", "control"):
            place = folder / name.replace(" ", "-")
            place.mkdir()
            done, _ = fit(data, place, model)
            if done.code != 0:
                raise SystemExit(f"graft fit failed:\n{done.output[-3000:]}")
            seconds.append(done.seconds)
            whole.append(outcome(place))
            print(f"  {name}: {done.seconds:.1f} s", flush=True)
        control = differences(whole[1], whole[0])
        found = []
        for number in range(n_moments):
            share = (number + draw.random()) / n_moments
            print(f"  moment {number + 1} of {n_moments} ...", end="", flush=True)
            found.append(kill_and_resume(number, share, min(seconds), data, model, folder, whole[0]))
            print(f" {'equal' if found[-1]['is_equal'] else 'NOT EQUAL'}", flush=True)
    print(f"\n{DATA}, {train} and {test} pictures a class, {MODEL}; never killed {min(seconds):.1f} s")
    results = ["equal" if f["is_equal"] else "differs: " + ", ".join(f.get("differs", [])) for f in found]
    rows = [[f["reached"], f["moment_s"], f.get("resume_s"), told] for f, told in zip(found, results, strict=True)]
    table(["killed after", "at s", "resume s", "result"], rows)
    told = "equal" if not control else f"differ in {', '.join(control)}"
    print(f"  control, two runs that were never killed: {told}")
    for f in found:
        if "output" in f:
            print(f"\n{f['output']}")
    n_equal = sum(f["is_equal"] for f in found)
    bars = [
        Bar("moments with an equal result", float(n_equal), float(n_moments)),
        Bar("control runs equal", float(not control), 1.0),
    ]
    finish("kill", args, {"never_killed_s": seconds, "control_differs": control, "moments": found}, bars)


if __name__ == "__main__":
    main()
