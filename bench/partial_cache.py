"""`Partial` over the last two of four stages: an epoch with activations cached at the frozen boundary, and one without.

A ResNet-18 with random weights (only cost is measured) and real pictures of flowers5. Both arms train the same blocks
from the same start, with the same pictures; the arm without the cache distorts nothing either, so that only the frozen
half of the network is the difference. What the cached arm computes once (the plain pass) is shown beside it.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from graft.core.process import prepare_process

prepare_process()

import numpy as np  # noqa: E402
import torch  # noqa: E402
from PIL import Image  # noqa: E402

from graft.backbones.architectures import build_architecture  # noqa: E402
from graft.methods.fine_tuning import fine_tune  # noqa: E402
from graft.methods.partial import Partial  # noqa: E402
from graft.methods.settings import FineTuning  # noqa: E402
from graft.methods.where import Where  # noqa: E402
from graft.tasks.classification import classification_loss_sum  # noqa: E402
from graft.training.examples import PictureExamples  # noqa: E402
from measure import Bar, finish, median, options, shared, table, temporary_folder  # noqa: E402

BAR = 1.8
LAST_BLOCKS = 4  # stages 3 and 4 of a ResNet-18 have two blocks each


class Task:
    """Just what a run asks of a task."""

    name = "image-classification"

    def predict(self, network: Any, batch: Any) -> Any:
        """Return logits."""
        return network(pixel_values=batch["pixel_values"]).logits

    def loss(self, network: Any, batch: Any) -> Any:
        """Return sum and count."""
        return classification_loss_sum(self.predict(network, batch), batch)


def epoch_seconds(
    examples: PictureExamples, network: Any, *, is_cached: bool, folder: Path, epochs: int
) -> dict[str, float]:
    """Return seconds an epoch of the loop, and of everything around it."""
    n = len(examples)
    settings = FineTuning(epochs=epochs, fewest_steps=1, augmentation="none", patience=None)
    start = (np.zeros((5, 512), np.float32), np.zeros(5, np.float32))
    began = time.perf_counter()
    done = fine_tune(
        Partial(LAST_BLOCKS, settings, is_cached=is_cached), network, head="classifier.1", start=start, task=Task(),
        examples=examples, rows=np.arange(n), where=Where(device="cpu", folder=folder),
    )  # fmt: skip
    whole = time.perf_counter() - began
    return {"epoch_s": done.training.seconds / epochs, "once_s": whole - done.training.seconds}


def main() -> None:
    args = options(__doc__ or "").parse_args()
    side, n, epochs, repeats = (64, 64, 1, 1) if args.quick else (160, 256, 2, 5)
    files = sorted((shared() / "data" / "flowers5" / "train").glob("*/*.jpg"))[:: max(1, 1000 // n)][:n]
    opened = [np.asarray(Image.open(f).convert("RGB").resize((side, side))) for f in files]
    pictures = np.stack([picture.transpose(2, 0, 1) for picture in opened])
    names = sorted({f.parent.name for f in files})
    targets = np.array([names.index(f.parent.name) for f in files], np.int64)
    examples = PictureExamples(pictures, targets, 5, [0.5] * 3, [0.5] * 3, flip=True)
    torch.manual_seed(0)
    network, _ = build_architecture("resnet18", label_names=[str(i) for i in range(5)], image_size=side)
    found: dict[bool, list[dict[str, float]]] = {True: [], False: []}
    with temporary_folder() as folder:
        for repeat in range(repeats):
            for is_cached in (True, False):
                place = folder / f"{repeat}{is_cached}"
                found[is_cached].append(
                    epoch_seconds(examples, network, is_cached=is_cached, folder=place, epochs=epochs)
                )
    middle = {key: median([row["epoch_s"] for row in rows]) for key, rows in found.items()}
    once = median([row["once_s"] for row in found[True]])
    factor = middle[False] / middle[True]
    around = median([row["once_s"] for row in found[False]])
    table(
        ["arm", "s an epoch", "s before and after"],
        [["cached at the boundary", middle[True], once], ["without the cache", middle[False], around]],
    )
    bars = [Bar("an epoch of Partial, last two of four stages: without / with the cache", factor, BAR)]
    results = {
        "epoch_s": {"cached": middle[True], "plain": middle[False]},
        "once_s": once,
        "ratio": factor,
        "n": n,
        "side": side,
        "runs": {str(key): rows for key, rows in found.items()},
    }
    finish("partial_cache", args, results, bars)


if __name__ == "__main__":
    main()
