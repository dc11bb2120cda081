"""Faults planted into real data, and clean controls: what the checks of the data find, and what they accuse wrongly.

Real data and weights (GRAFT_SHARED, else ../shared); MobileNetV2 for pictures, all-MiniLM-L6-v2 for texts. Features are
computed once and kept in a temporary folder, or in --cache. Parts:

copies  5 % of a random four fifths of train copied into test: encoded anew at quality 30 to 80, scaled to 50 to 150 %,
        or cropped to 60 to 95 % of the area at a random place. Recall, by kind, and the share of the true test that is
        called a copy; copies that the data has itself (looked at one by one) are no false alarms: planted_copies.py.
flips   10 % of the labels of train replaced by another: precision among the 5 % most suspected, and among those called
        likely errors; how many a clean train is said to have.
cost    what the checks add to a fit of 1,000 photos (800 train, 200 test, features cached), in CPU seconds: on
        a busy machine wall time says nothing. Reading of traits, first time; copies, beyond what grouping cost before;
        all findings, the head's refits included.
border  each class with a border of its own colour (plus noise for each picture); with colours by chance; and none.

    python bench/checks.py [--only copies,flips,border,cost] [--draws 20] [--cache DIR]
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from frozen import embedded_of
from measure import Bar, finish, options, shared, table, temporary_folder
from planted_copies import copies


def main() -> None:
    parser = options(__doc__ or "")
    parser.add_argument("--only", default="copies,flips,border,cost")
    parser.add_argument("--draws", type=int, default=20)
    parser.add_argument("--cache", type=Path)
    args = parser.parse_args()
    n_draws = 1 if args.quick else args.draws
    figures: dict[str, Any] = {}
    bars: list[Bar] = []
    parts: dict[str, Callable[[Path, int, bool], tuple[dict[str, Any], list[Bar]]]] = {
        "copies": copies, "flips": flips, "border": border, "cost": cost,
    }  # fmt: skip
    with temporary_folder() as folder:
        for name in args.only.split(","):
            figures[name], more = parts[name](args.cache or folder, n_draws, args.quick)
            bars += more
    finish("checks", args, figures, bars)


def flips(cache: Path, n_draws: int, is_quick: bool) -> tuple[dict[str, Any], list[Bar]]:
    from graft.core.seeds import generator
    from graft.core.types import Predictions
    from graft.data.kinds import TEXT
    from graft.data.readers import read_splits
    from graft.evaluation.label_errors import find_label_errors
    from graft.methods.head_only import HeadOnly

    figures: dict[str, Any] = {}
    bars, rows = [], []
    for name, kind in (("flowers5", "image"), ("banking77", "text")):
        folder = str(shared() / "data" / name)
        train = (read_splits(folder) if kind == "image" else read_splits(folder, kind=TEXT)).train
        if kind == "text":  # 20 a class: with all of them labels would be less in doubt
            random = generator(0, "flips")
            train = train.select(
                np.sort(np.concatenate([random.permutation(np.flatnonzero(train.labels == c))[:20] for c in range(77)]))
            )
        embedded = embedded_of({"train": train}, cache, kind=kind)
        width = embedded.features["train"].matrix.shape[1] // len(embedded.model.source().blocks)
        matrix, n_classes = embedded.features["train"].matrix[:, :width], len(train.label_names)
        scalings = embedded.model.source().scalings

        def errors(labels: np.ndarray, seed: int) -> Any:
            head = HeadOnly(scalings=scalings).fit(matrix, labels, n_classes=n_classes, seed=seed)  # noqa: B023
            return find_label_errors(
                Predictions(train.ids, labels, head.out_of_fold_logits, train.label_names)  # noqa: B023
            )

        at_five, of_likely, recalled = [], [], []
        for seed in range(n_draws):
            random = generator(seed, "flipped labels", name)
            labels = train.labels.copy()
            wrong = random.permutation(len(labels))[: len(labels) // 10]
            labels[wrong] = (labels[wrong] + random.integers(1, n_classes, len(wrong))) % n_classes
            found = errors(labels, seed)
            is_wrong = np.isin(found.ranked, wrong)
            at_five.append(float(is_wrong[: len(labels) // 20].mean()))
            of_likely.append(float(is_wrong[: found.n_likely].mean()))
            recalled.append(float(is_wrong[: found.n_likely].sum() / len(wrong)))
            print(name, seed, f"{at_five[-1]:.3f} {of_likely[-1]:.3f} {recalled[-1]:.3f}", flush=True)
        clean = errors(train.labels, 0)
        figures[name] = {
            "n": len(train),
            "precision_at_5_percent": float(np.mean(at_five)),
            "least_precision_at_5_percent": min(at_five),
            "precision_of_likely": float(np.mean(of_likely)),
            "recall_of_likely": float(np.mean(recalled)),
            "likely_in_clean": clean.n_likely / len(train),
        }
        bars.append(Bar(f"{name}: precision at 5 % flagged, 10 % flipped", float(np.mean(at_five)), 0.8))
        rows.append(
            [name, f"{np.mean(at_five):.1%}", f"{min(at_five):.1%}", f"{np.mean(of_likely):.1%}",
             f"{np.mean(recalled):.1%}", f"{clean.n_likely / len(train):.1%}"]
        )  # fmt: skip
    table(["data", "precision at 5 %", "least", "precision of likely", "recall of likely", "likely, clean"], rows)
    return figures, bars


def border(cache: Path, n_draws: int, is_quick: bool) -> tuple[dict[str, Any], list[Bar]]:
    from PIL import ImageOps

    from graft.core.seeds import generator
    from graft.data.images import decode_image
    from graft.data.kinds import PICTURE
    from graft.data.readers import read_splits
    from graft.data.traits import read_traits, unpacked
    from graft.evaluation.shortcuts import find_shortcuts

    train = read_splits(str(shared() / "data" / "flowers5")).train
    counts = {"colour by class": 0, "colour by chance": 0, "no border": 0}
    skills: dict[str, list[float]] = {name: [] for name in counts}
    n_right = 0
    for seed in range(n_draws):
        random = generator(seed, "borders")
        rows = np.sort(random.permutation(len(train))[:300])
        labels, n_classes = train.labels[rows], len(train.label_names)
        colours = random.integers(0, 256, (n_classes, 3))
        for name in counts:
            of = labels if name == "colour by class" else random.integers(0, n_classes, len(rows))
            traits = []
            for row, colour in zip(rows.tolist(), of.tolist(), strict=True):
                content = train.read(row)
                if name != "no border":
                    picture = decode_image(content, name=train.ids[row])
                    fill = np.clip(colours[colour] + random.normal(0, 20, 3), 0, 255).astype(int)
                    file = io.BytesIO()
                    ImageOps.expand(picture, 5, tuple(fill.tolist())).save(file, "JPEG", quality=85)
                    content = file.getvalue()
                traits.append(read_traits(content, PICTURE, name=train.ids[row]))
            own = unpacked(np.stack(traits), PICTURE)
            found = find_shortcuts(own.columns, own.values, labels, seed=seed)
            guilty = [s.name for s in found if s.is_shortcut]
            counts[name] += bool(guilty)
            skills[name].append(max(s.skill for s in found))
            n_right += name == "colour by class" and guilty == ["border colour"]
    table(
        ["borders", "accused", "skill of the most telling trait"],
        [[name, f"{n} of {n_draws}", f"{np.mean(skills[name]):.2f}"] for name, n in counts.items()],
    )
    bars = [
        Bar(f"border by class: found, and named alone, of {n_draws}", n_right, n_draws),
        Bar("colour by chance: accused", counts["colour by chance"], 1, is_floor=False),
        Bar("no border: accused", counts["no border"], 1, is_floor=False),
    ]
    return {"accused": counts, "named_alone": n_right, "skills": skills, "n_draws": n_draws}, bars


def cost(cache: Path, n_draws: int, is_quick: bool) -> tuple[dict[str, Any], list[Bar]]:
    import time

    from graft.api import stations
    from graft.api.check import inspect_data
    from graft.api.config import FitConfig
    from graft.api.copying import copies_between, copies_within, groups_for_folds, read_all_traits
    from graft.api.deciding import decision_of_head
    from graft.data.duplicates import duplicate_groups
    from graft.data.readers import read_splits

    train = read_splits(str(shared() / "data" / "flowers5")).train
    order = np.random.default_rng(0).permutation(len(train))
    parts = {"train": train.select(np.sort(order[:800])), "test": train.select(np.sort(order[800:]))}
    embedded = embedded_of(parts, cache, kind="image")
    seconds: dict[str, float] = {}

    def timed(name: str, do: Callable[[], Any]) -> Any:
        started = time.process_time()
        found = do()
        seconds[name] = time.process_time() - started
        return found

    with temporary_folder() as fresh:
        config = FitConfig(model="none", out="none", cache=str(fresh), workers=0)
        timed("traits, read for the first time", lambda: read_all_traits(parts, embedded.task.kind, config))
        timed("traits, from the cache", lambda: read_all_traits(parts, embedded.task.kind, config))
    own = embedded.features["train"]
    before = timed(
        "grouping as before", lambda: duplicate_groups(own.keys, perceptual=own.perceptual, features=own.matrix)
    )
    copies = timed("copies within train", lambda: copies_within(embedded))
    overlap = timed("copies between train and test", lambda: copies_between(embedded, "test"))
    groups = groups_for_folds(copies, None, n_folds=5)[0]
    embedded = replace(embedded, copies=copies, groups=groups, overlaps={"test": overlap})
    config = FitConfig(model="none", out="none")
    head = stations.fit_head(embedded, config, say=lambda text: None)
    test = decision_of_head(embedded, head, config).predictions(
        parts["test"].ids, parts["test"].labels, logits=head.logits(embedded.features["test"].matrix),
        label_names=embedded.label_names, split="test",
    )  # fmt: skip
    timed("all findings", lambda: inspect_data(embedded, head, config, test=test, metric="accuracy"))
    assert len(before) == 800
    added = sum(seconds.values()) - seconds["grouping as before"] - seconds["traits, from the cache"]
    table(["station", "CPU seconds"], [[name, f"{s:.2f}"] for name, s in seconds.items()] + [["added", f"{added:.2f}"]])
    return {"seconds": seconds, "added": added}, [Bar("CPU seconds that the checks add", added, 2.0, is_floor=False)]


if __name__ == "__main__":
    main()
