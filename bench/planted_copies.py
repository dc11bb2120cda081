"""The part `copies` of checks.py: copies of training pictures planted into test, and which of them are found."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from frozen import embedded_of
from measure import Bar, shared, table, temporary_folder

# Test pictures that are called copies without anything planted, and that are: all pairs were looked at.
KNOWN_COPIES = {
    "flowers5": "sunflower/22429946721_e17a12cb39_n sunflower/6606809995_edee55b770_m",
    "cifar10": (
        "airplane/0034 airplane/0391 airplane/0398 airplane/0505 airplane/0714 airplane/0729 automobile/0006"
        " automobile/0010 automobile/0318 automobile/0341 automobile/0415 automobile/0696 automobile/0759"
        " automobile/0834 automobile/0974 cat/0867 deer/0011 dog/0427 dog/0592 frog/0171 frog/0768 frog/0875"
        " ship/0412 truck/0077 truck/0215 truck/0610"
    ),
}
KINDS = ("encoded anew", "scaled", "cropped")


def copies(cache: Path, n_draws: int, is_quick: bool) -> tuple[dict[str, Any], list[Bar]]:
    from graft.api.copying import copies_between, joined_features
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
        alarms, own_copies, twins = [], [], []
        known = set(KNOWN_COPIES[name].split())
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
                        "test": joined_features(base.features["test"], own.features["copies"]),
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
            called = {splits.test.ids[b].removeprefix("test/").removesuffix(".jpg") for b in twin if b < n}
            alarms.append(len(called - known) / n)
            own_copies.append(len(called & known) / n)
            print(name, seed, {k: f"{np.mean(v):.3f}" for k, v in found.items()}, f"{alarms[-1]:.4f}", flush=True)
        recall = float(np.mean([is_found for own in found.values() for is_found in own]))
        figures[name] = {
            "recall": recall,
            "recall_by_kind": {kind: float(np.mean(v)) for kind, v in found.items()},
            "n_planted": sum(map(len, found.values())),
            "right_original": float(np.mean(twins)),
            "false_alarms": float(np.mean(alarms)),
            "most_false_alarms": max(alarms),
            "own_copies": float(np.mean(own_copies)),
        }
        bars += [
            Bar(f"{name}: recall of planted copies", recall, 0.95),
            Bar(f"{name}: share of the true test wrongly called copies", float(np.mean(alarms)), 0.01, is_floor=False),
        ]
        rows.append(
            [name, *(f"{np.mean(found[kind]):.2%}" for kind in KINDS), f"{recall:.2%}", f"{np.mean(alarms):.2%}"]
        )
    table(["data", *KINDS, "recall", "false alarms"], rows)
    return figures, bars


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
