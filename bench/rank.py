"""Does `graft rank` put first what fine-tuning makes best, and what does that cost beside fine-tuning all?

Real pretrained networks, whole and cut after an earlier stage, Graft's own and random weights as a control, on six data
sets of pictures and texts, three sizes each. The truth of a cell is the test accuracy of LP-FT as `graft fit` does it,
twice for each network. Regret is what the best network of the truth has more than the one that was put first: the best
is chosen by one run and scored by the other, both ways round, on the other half of the test examples.

    python bench/rank.py [--data flowers5,cifar10,...] [--sizes 0,1,2] [--cells FILE] [--only WHAT] [--summary]

Each cell is kept in FILE as it is done: the truth network by network, the ranking, and the ranking with a final of the
first two where features can't tell them apart. Run again, the bench goes on.
`--again` ranks anew where only the ranking has changed. It is for one thread a process (OMP_NUM_THREADS=1): costs are
seconds of the processor, those of the ranking with loading and a cold cache, those of fine-tuning without.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
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
from graft.api.rank import rank  # noqa: E402
from graft.api.training_examples import examples_of  # noqa: E402
from graft.api.trial_ground import TrialGround, prepare_ground  # noqa: E402
from graft.core.processes import Processes  # noqa: E402
from graft.core.seeds import derive_seed, generator  # noqa: E402
from graft.methods.fine_tuning import fine_tune  # noqa: E402
from graft.methods.lp_ft import LPFT  # noqa: E402
from graft.methods.settings import FineTuning  # noqa: E402
from graft.methods.where import Where, training_precision  # noqa: E402
from graft.selection.ranking import FIRST_A_CLASS, FIRST_EXAMPLES, first_rows  # noqa: E402
from graft.selection.ranking_signals import measure_signals  # noqa: E402
from graft.training.examples import TrainingExamples, predict_logits  # noqa: E402
from rank_data import DATA, draw  # noqa: E402
from rank_models import GIVEN, model_folders  # noqa: E402
from rank_summary import Cell, joined, summary  # noqa: E402

METHOD = LPFT(FineTuning())
SIDE = 64
SEED = 7
QUIET = Console(quiet=True)

Cells = dict[tuple[str, int, str], dict[str, Any]]


def options_of(data: str, folder: Path, test: Path) -> dict[str, Any]:
    """Return the options of `fit` and `rank`."""
    more = {"flip": data != "mnist"} if DATA[data][0] == "image" else {}
    return {
        "test": str(test), "seed": SEED, "cache": str(folder / "cache"), "workers": 0, "device": "cpu", "offline": True,
        "trust_remote_code": True, **more,
    }  # fmt: skip


def tested(ground: TrialGround, config: FitConfig, folder: Path) -> TrainingExamples:
    """Return the test examples, encoded."""
    return examples_of(
        [ground.embedded.splits["test"]], ground.embedded.model, config, folder,
        n_classes=len(ground.embedded.label_names), processes=Processes(), say=lambda text: None, console=QUIET,
    )  # fmt: skip


def fine_tuned(ground: TrialGround, tests: TrainingExamples, seed: int) -> tuple[str, float]:
    """Return which test examples LP-FT names rightly, as 0 and 1, and the seconds of its training."""
    model, task = ground.embedded.model, ground.embedded.task
    began = time.process_time()
    done = fine_tune(
        METHOD, model.network, head=model.head.name, start=(ground.head.weights, ground.head.bias), task=task,
        examples=ground.examples, rows=np.arange(ground.n_train), seed=derive_seed(seed, "truth"),
        where=Where(device="cpu"),
    )  # fmt: skip
    seconds = time.process_time() - began
    logits = predict_logits(
        done.network, tests, np.arange(len(tests)), predict=task.predict,
        precision=training_precision(done.network, torch.device("cpu")),
    )  # fmt: skip
    return "".join("01"[int(x)] for x in logits.argmax(axis=1) == tests.targets), seconds


def signals_of(ground: TrialGround, n: int | None, seed: int) -> dict[str, Any]:
    """Return the signals of the first `n` training examples that a ranking takes (None: of all), of every pooling."""
    embedded = ground.embedded
    train, source = embedded.splits["train"], embedded.model.source()
    n_classes = len(embedded.label_names)
    order = generator(seed, "ranking", len(train)).permutation(len(train))
    n = len(train) if n is None else min(len(train), n)
    rows = first_rows(train.labels, n, order=order)
    _, targets = np.unique(train.labels[rows], return_inverse=True)
    found = measure_signals(
        np.ascontiguousarray(embedded.features["train"].matrix[rows]), targets, n_classes=int(targets.max()) + 1,
        scalings=source.scalings, seed=seed,
    )  # fmt: skip
    return {**found.as_dict(), "n_classes": n_classes, "pooling": source.blocks[0]}


def truths(data: str, size: int, folder: Path, repeat: int, names: list[str]) -> Iterator[dict[str, Any]]:
    """Give, network by network, the test examples that LP-FT and the frozen head name rightly, and the signals.

    A further repeat fine-tunes with other batches from the same start, and has no signals.
    """
    kind, sizes = DATA[data]
    train, test = draw(data, sizes[size], SEED, folder)
    places = model_folders(kind, folder / "models", side=SIDE)
    for number, name in enumerate(names):
        began = time.process_time()
        work = folder / f"work-{number}"
        config = FitConfig(model=str(places[name]), out=str(folder / "out"), **options_of(data, folder, test))
        ground = prepare_ground(str(train), config, work / "train", say=lambda text: None, console=QUIET)
        (work / "test").mkdir()
        tests = tested(ground, config, work / "test")
        right, seconds = fine_tuned(ground, tests, SEED + repeat)
        backbone, labels = ground.embedded.model.backbone, ground.embedded.splits["train"].labels
        found = {"n_parameters": backbone.n_parameters, "right": right, "seconds": round(seconds, 2)}
        features = ground.embedded.features["test"].matrix
        probe = (features @ ground.head.weights.T + ground.head.bias).argmax(axis=1) == tests.targets
        if not repeat:
            n_first = max(FIRST_EXAMPLES, FIRST_A_CLASS * len(np.unique(labels)))
            found |= {
                "probe": float(probe.mean()), "pooling": ground.embedded.model.source().blocks[0],
                "first": signals_of(ground, n_first, SEED), "all": signals_of(ground, None, SEED),
            }  # fmt: skip
        print(f"  {name}: head {probe.mean():.1%}, LP-FT {right.count('1') / len(right):.1%}, {seconds:.0f} s of"
              f" {time.process_time() - began:.0f}", flush=True)  # fmt: skip
        yield {"data": data, "size": size, "what": f"truth {repeat}", "n_train": ground.n_train,
               "networks": {name: found}}  # fmt: skip


def ranking(data: str, size: int, folder: Path, *, has_final: bool = False) -> dict[str, Any]:
    """Return what `graft rank` says, and the seconds of the processor that it took.

    Parameters
    ----------
    has_final : with a short fine-tuning run of the first two where features can't tell them apart.
    """
    kind, sizes = DATA[data]
    train, test = draw(data, sizes[size], SEED, folder)
    places = model_folders(kind, folder / "models", side=SIDE)
    names = {str(place): name for name, place in places.items()}
    began, clock = time.process_time(), time.perf_counter()
    found = rank(train, models=list(names), budget="1h", race="auto" if has_final else "none", console=QUIET,
                 **options_of(data, folder, test))  # fmt: skip
    seconds = time.process_time() - began
    given = found.as_dict()
    for row in given["standings"]:
        row["name"] = names[row["name"]]
    for pair in given["pairs"]:
        pair["a"], pair["b"] = names[pair["a"]], names[pair["b"]]
    given["told"] = [_named(text, names) for text in given["told"]]
    given["best"] = names[given["best"]]
    wall, what = time.perf_counter() - clock, "final" if has_final else "ranking"
    if given["final"] is not None:
        given["final"] |= {key: names[given["final"][key]] for key in ("first", "second")}
    return {"data": data, "size": size, "what": what, "seconds": round(seconds, 2), "wall_s": round(wall, 2),
            **given}  # fmt: skip


def _named(text: str, names: dict[str, str]) -> str:
    for place, name in sorted(names.items(), key=lambda item: -len(item[0])):
        text = text.replace(place, name)
    return text


def take(cells: Cells, found: dict[str, Any]) -> None:
    """Put a line of the file to the others of its cell."""
    key = (found["data"], found["size"], found["what"])
    if found["what"].startswith("truth") and key in cells:
        found = {**found, "networks": {**cells[key]["networks"], **found["networks"]}}
    cells[key] = found


def new_lines(cells: Cells, data: str, size: int, what: str, *, is_again: bool) -> Iterator[dict[str, Any]]:
    """Measure what a cell lacks and give it line by line."""
    own = cells.get((data, size, what))
    todo = [name for name in GIVEN[DATA[data][0]] if own is None or name not in own.get("networks", {})]
    is_ranking = what in ("ranking", "final")
    if (own is not None and not is_again) if is_ranking else not todo:
        return
    print(f"{data}, {DATA[data][1][size]} a class: {what} ...", flush=True)
    with temporary_folder() as folder:
        os.environ["HF_MODULES_CACHE"] = str(folder / "modules")
        if is_ranking:
            yield ranking(data, size, folder, has_final=what == "final")
        else:
            yield from truths(data, size, folder, int(what.split()[1]), todo)


def whole(cells: Cells, data: str, size: int, repeats: int) -> Cell | None:
    """Return truth and ranking of a cell, without networks that are no longer looked at; None: something lacks."""
    names = GIVEN[DATA[data][0]]
    own = [cells.get((data, size, f"truth {r}")) for r in range(repeats)]
    runs = [run for run in own if run is not None and all(name in run["networks"] for name in names)]
    found = cells.get((data, size, "ranking"))
    if not runs or found is None:
        return None
    kept = [{**run, "networks": {name: run["networks"][name] for name in names}} for run in runs]
    rows = [row for row in found["standings"] if row["name"] in names]
    return joined(kept), {**found, "standings": rows}, cells.get((data, size, "final"))


def main() -> None:
    parser = options(__doc__ or "")
    parser.add_argument("--data", default=",".join(DATA))
    parser.add_argument("--sizes", default="0,1,2")
    parser.add_argument("--cells", type=Path, default=Path(__file__).with_name("results") / "rank_cells.jsonl")
    parser.add_argument("--repeats", type=int, default=2, help="runs of LP-FT of each network")
    parser.add_argument("--only", choices=("truth", "ranking", "final"))
    parser.add_argument("--again", action="store_true", help="rank anew, also where a ranking is there")
    parser.add_argument("--summary", action="store_true", help="of the cells that are there, without new ones")
    args = parser.parse_args()
    shared()
    names, sizes = args.data.split(","), [int(s) for s in args.sizes.split(",")]
    if args.quick:
        names, sizes, GIVEN["image"] = ["cifar10"], [0], dict(list(GIVEN["image"].items())[3:6])
    cells: Cells = {}
    if args.cells.exists() and not args.quick:
        for line in args.cells.read_text(encoding="utf-8").splitlines():
            take(cells, json.loads(line))
    for size in sizes:
        for data in names:
            for what in ("ranking", "final", *(f"truth {repeat}" for repeat in range(args.repeats))):
                if args.summary or (args.only and not what.startswith(args.only)):
                    continue
                for found in new_lines(cells, data, size, what, is_again=args.again):
                    take(cells, found)
                    if not args.quick:
                        args.cells.parent.mkdir(exist_ok=True)
                        with open(args.cells, "a", encoding="utf-8") as file:
                            file.write(json.dumps(found) + "\n")
    shown = [cell for d in names for s in sizes if (cell := whole(cells, d, s, args.repeats)) is not None]
    if not shown:
        sys.exit("no whole cells yet")
    figures, bars = summary(shown)
    finish("rank", args, figures, bars)


if __name__ == "__main__":
    main()
