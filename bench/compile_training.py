"""Fine-tuning with `torch.compile` (`--compile`) beside fine-tuning without: after how many steps does it pay?

Graft's own loop, all layers trained from a copy of the pretrained network each time, batches of 32 random pictures in
memory, 96 px, channels last, BatchNorm frozen, in the precision that Graft chooses, and where that is bfloat16 in
float32 too. The arms take turns. An arm's figure is the least time between two requests for a batch, over all its steps
but the first two of each run: neighbours only add to it, and in bfloat16 they can make a step ten times longer.
Beside the wall's clock stands the processor's, all threads. The first step is shown apart: cold in the first round
(torch's cache of compiled code is an empty folder), warm in the others (as in the second run of a contest).
"""

from __future__ import annotations

import copy
import os
import time
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

from graft.core.process import prepare_process

prepare_process()

import torch  # noqa: E402
from torch import Tensor, nn  # noqa: E402

from loop_overhead import made_batches  # noqa: E402
from measure import Bar, finish, interleave, median, options, shared, table, temporary_folder  # noqa: E402

NETWORKS = {"resnet18_trunk3": "ResNet-18 trunk", "mobilenet_v2_1.0_224": "MobileNetV2"}
SIDE, BATCH_SIZE = 96, 32


class Timed:
    """Batches made beforehand; notes when each is asked for."""

    def __init__(self, batches: list[dict[str, Tensor]]) -> None:
        """Keep them."""
        self._batches, self.batch_size = batches, len(batches[0]["labels"])
        self._times: list[tuple[float, float]] = []

    def batch(self, step: int, part: slice = slice(None)) -> Mapping[str, Tensor]:
        """Return the batch of a step."""
        self._times.append((time.perf_counter(), time.process_time()))
        return self._batches[step % len(self._batches)]

    def figures(self) -> dict[str, float]:
        """Return seconds of the first step, and the least and median milliseconds of those from the third on."""
        steps = [(b[0] - a[0], b[1] - a[1]) for a, b in pairwise(self._times)]
        found = {"first_s": steps[0][0]}
        for clock, name in enumerate(("ms", "cpu_ms")):
            times = [1e3 * step[clock] for step in steps[2:]]
            found |= {name: min(times), f"median_{name}": median(times)}
        return found


def load(folder: Path) -> nn.Module:
    from transformers import AutoModelForImageClassification

    from graft.methods.fine_tuning import mend_dropout

    network = AutoModelForImageClassification.from_pretrained(folder, num_labels=10, ignore_mismatched_sizes=True)
    mend_dropout(network)
    return network.to(memory_format=torch.channels_last)


def run(
    network: nn.Module, batches: list[dict[str, Tensor]], *, n_steps: int, precision: str, is_compiled: bool
) -> dict[str, float]:
    from graft.training.loop import train
    from graft.training.losses import classification_loss
    from graft.training.recipe import Recipe

    given = Timed(batches)
    recipe = Recipe(n_steps=n_steps, learning_rate=1e-4, is_compiled=is_compiled)
    train(copy.deepcopy(network), given, loss=classification_loss(), recipe=recipe, precision=precision, device="cpu")
    torch._dynamo.reset()
    return given.figures()


def measure(network: nn.Module, precision: str, *, n_steps: int, rounds: int) -> dict[str, Any]:
    batches = made_batches(4, shape=(3, SIDE, SIDE), batch_size=BATCH_SIZE)
    run(network, batches, n_steps=4, precision=precision, is_compiled=False)

    def arm(is_compiled: bool) -> dict[str, float]:
        return run(network, batches, n_steps=n_steps, precision=precision, is_compiled=is_compiled)

    found = interleave({"eager": lambda _: arm(False), "compiled": lambda _: arm(True)}, rounds)
    eager, compiled = found["eager"], found["compiled"]
    first = {
        "eager": median([one["first_s"] for one in eager]),
        "cold": compiled[0]["first_s"],
        "warm": median([one["first_s"] for one in compiled[1:]]),
    }
    clocks = ("ms", "cpu_ms")
    ms = {name: {clock: min(one[clock] for one in runs) for clock in clocks} for name, runs in found.items()}
    ratio = {clock: ms["compiled"][clock] / ms["eager"][clock] for clock in clocks}
    saved = (ms["eager"]["ms"] - ms["compiled"]["ms"]) / 1e3
    pays = {kind: (first[kind] - first["eager"]) / saved if saved > 0 else None for kind in ("cold", "warm")}
    return {"first_s": first, "ms": ms, "ratio": ratio, "pays_after_steps": pays, "rounds": found}


def main() -> None:
    from graft.methods.where import training_precision

    args = options("What torch.compile costs and gives in fine-tuning.").parse_args()
    results: dict[str, Any] = {}
    with temporary_folder() as cache:
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(cache)
        for name, told in NETWORKS.items():
            network = load(shared() / "models" / name)
            for precision in dict.fromkeys([training_precision(network, torch.device("cpu")).name, "fp32"]):
                print(f"\n{told}, {precision}, {SIDE} px, batches of {BATCH_SIZE}")
                n_steps, rounds = (5, 2) if args.quick else (14, 3)
                results[f"{told}, {precision}"] = measure(network, precision, n_steps=n_steps, rounds=rounds)
    print()
    table(
        ["network", "eager, ms", "compiled, ms", "ratio", "of CPU time", "1st step cold, s", "warm, s", "pays after",
         "warm after"],
        [
            [told, found["ms"]["eager"]["ms"], found["ms"]["compiled"]["ms"], found["ratio"]["ms"],
             found["ratio"]["cpu_ms"], found["first_s"]["cold"], found["first_s"]["warm"],
             found["pays_after_steps"]["cold"], found["pays_after_steps"]["warm"]]
            for told, found in results.items()
        ],
    )  # fmt: skip
    bars = [Bar(f"{told}: a step compiled / eager", found["ratio"]["ms"], None) for told, found in results.items()]
    finish("compile_training", args, results, bars)


if __name__ == "__main__":
    main()
