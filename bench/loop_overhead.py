# ruff: noqa: D102, D105, D107
"""What `graft.training.loop.train` costs beside the computation: milliseconds a step, with three loops in one process.

The same network, batches in memory, float32, fused AdamW and clipping: Graft with its log of every step and its
progress on, a bare PyTorch loop (forward, backward, clip, step), and transformers' `Trainer` without reports. Each run
begins with a copy of the network. A run's figure is the median over its steps of the time between two requests for a
batch, the first tenth left out; the arms take turns, and the figures below are medians over rounds of the differences
within a round. One thread computes: two that wait for each other would measure the neighbours. Freed memory is kept for
all arms, as Graft does it: else a step of 20 ms has 2,000 to 5,000 page faults, by chance, and the arms differ by up to
30 % for that reason alone. Beside wall-clock time there is the thread's CPU time, which neighbours lengthen less.
"""

from __future__ import annotations

import copy
import io
import logging
import time
from collections.abc import Callable, Mapping
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from rich.console import Console
from torch import Tensor, nn

from measure import Bar, finish, interleave, median, options, table, temporary_folder

CLIP, RATE, DECAY = 1.0, 1e-4, 0.05
BARE, TRAINER = "bare PyTorch", "transformers' Trainer"


class Tiny(nn.Module):
    """Two linear layers on 64 numbers: the step is nearly nothing but overhead."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))

    def forward(self, pixel_values: Tensor, labels: Tensor | None = None) -> Any:
        return _answer(self.layers(pixel_values), labels)


class Convolutions(nn.Module):
    """Convolutions with BatchNorm on 3 x 32 x 32: about 20 ms a step on one core at 32 pictures."""

    def __init__(self, width: int = 20) -> None:
        super().__init__()
        parts: list[nn.Module] = []
        for i in range(6):
            stride = 2 if i in (2, 4) else 1
            parts += [nn.Conv2d(width if i else 3, width, 3, stride=stride, padding=1, bias=False),
                      nn.BatchNorm2d(width), nn.ReLU()]  # fmt: skip
        self.layers = nn.Sequential(*parts, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 10))

    def forward(self, pixel_values: Tensor, labels: Tensor | None = None) -> Any:
        return _answer(self.layers(pixel_values), labels)


def _answer(logits: Tensor, labels: Tensor | None) -> Any:
    if labels is None:
        return SimpleNamespace(logits=logits)
    return {"loss": nn.functional.cross_entropy(logits, labels), "logits": logits}


class InMemory:
    """Batches made beforehand; notes when each is asked for."""

    def __init__(self, batches: list[dict[str, Tensor]]) -> None:
        self._batches, self.batch_size = batches, len(batches[0]["labels"])
        self._times: list[tuple[float, float]] = []

    def batch(self, step: int, part: slice = slice(None)) -> Mapping[str, Tensor]:
        self._times.append((time.perf_counter(), time.thread_time()))
        return self._batches[step % len(self._batches)]

    def ms(self) -> dict[str, float]:
        """Return the median milliseconds between two requests: on the wall's clock, and on the processor."""
        kept = self._times[len(self._times) // 10 :]
        return {name: 1e3 * median([b[i] - a[i] for a, b in pairwise(kept)]) for i, name in enumerate(("wall", "cpu"))}


def graft_arm(network: nn.Module, batches: InMemory, n_steps: int, folder: Path) -> None:
    from graft.training.loop import train
    from graft.training.losses import classification_loss
    from graft.training.recipe import Recipe

    recipe = Recipe(
        n_steps=n_steps, learning_rate=RATE, weight_decay=DECAY, clip_norm=CLIP, schedule="linear", warmup_fraction=0
    )
    console = Console(file=io.StringIO())
    train(network, batches, loss=classification_loss(), recipe=recipe, log=folder / "steps.jsonl", precision="fp32",
          device="cpu", console=console)  # fmt: skip


def bare_arm(network: nn.Module, batches: InMemory, n_steps: int, folder: Path) -> None:
    network.train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=RATE, weight_decay=DECAY, fused=True)
    for step in range(n_steps):
        batch = batches.batch(step)
        loss = nn.functional.cross_entropy(network(batch["pixel_values"]).logits, batch["labels"])
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), CLIP)
        optimizer.step()
        optimizer.zero_grad()


class Examples(torch.utils.data.Dataset):  # type: ignore[type-arg]
    """Whole batches as examples, so that `Trainer`'s loader has nothing to collate."""

    def __init__(self, batches: InMemory, n_steps: int) -> None:
        self._batches, self._n_steps = batches, n_steps

    def __len__(self) -> int:
        return self._n_steps

    def __getitem__(self, index: int) -> Mapping[str, Tensor]:
        return self._batches.batch(index)


def trainer_arm(network: nn.Module, batches: InMemory, n_steps: int, folder: Path) -> None:
    from transformers import Trainer, TrainingArguments
    from transformers.trainer_callback import PrinterCallback
    from transformers.utils import logging as transformers_logging

    transformers_logging.set_verbosity_error()
    logging.getLogger("accelerate").setLevel(logging.ERROR)
    arguments = TrainingArguments(
        output_dir=str(folder / "trainer"),
        max_steps=n_steps,
        per_device_train_batch_size=1,  # one example is a whole batch
        learning_rate=RATE,
        weight_decay=DECAY,
        max_grad_norm=CLIP,
        optim="adamw_torch_fused",
        lr_scheduler_type="linear",
        report_to="none",
        logging_strategy="no",
        save_strategy="no",
        disable_tqdm=True,
        dataloader_num_workers=0,
        remove_unused_columns=False,
        use_cpu=True,
    )
    trainer = Trainer(network, arguments, train_dataset=Examples(batches, n_steps), data_collator=lambda one: one[0])
    trainer.remove_callback(PrinterCallback)
    trainer.train()


ARMS: dict[str, Callable[[nn.Module, InMemory, int, Path], None]] = {
    BARE: bare_arm, "Graft": graft_arm, TRAINER: trainer_arm,
}  # fmt: skip


def made_batches(n: int, *, shape: tuple[int, ...], batch_size: int) -> list[dict[str, Tensor]]:
    source = torch.Generator().manual_seed(0)
    return [
        {
            "pixel_values": torch.randn(batch_size, *shape, generator=source),
            "labels": torch.randint(10, (batch_size,), generator=source),
        }
        for _ in range(n)
    ]


def measure(network: nn.Module, batches: list[dict[str, Tensor]], *, n_steps: int, rounds: int) -> dict[str, Any]:
    """Return each arm's milliseconds a step by round."""

    def arm(name: str) -> dict[str, float]:
        own, given = copy.deepcopy(network), InMemory(batches)
        with temporary_folder() as folder:
            ARMS[name](own, given, n_steps, folder)
        return given.ms()

    for name in ARMS:  # imports and first calls are not what is measured
        arm(name)
    found = interleave({name: lambda _, name=name: arm(name) for name in ARMS}, rounds)  # type: ignore[misc]
    ms = {clock: {name: [one[clock] for one in runs] for name, runs in found.items()} for clock in ("wall", "cpu")}
    return {"n_steps": n_steps, "ms": ms, "over": {name: _over(ms, name) for name in ARMS if name != "Graft"}}


def _over(ms: dict[str, dict[str, list[float]]], rival: str) -> dict[str, float]:
    """Return what Graft takes more than a rival, as medians over rounds."""
    found = {}
    for clock, by_arm in ms.items():
        pairs = list(zip(by_arm["Graft"], by_arm[rival], strict=True))
        found[f"{clock}_ms"] = median([ours - theirs for ours, theirs in pairs])
        found[f"{clock}_share"] = median([ours / theirs - 1 for ours, theirs in pairs])
    return found


def main() -> None:
    parser = options("Milliseconds a step: Graft's loop, a bare PyTorch loop, transformers' Trainer.")
    parser.add_argument("--rounds", type=int, default=25)
    args = parser.parse_args()
    from graft.core.memory import keep_freed_pages

    torch.set_num_threads(1)
    keep_freed_pages()
    rounds = 2 if args.quick else args.rounds
    problems = {
        "tiny": (Tiny(), made_batches(32, shape=(64,), batch_size=32), 40 if args.quick else 400),
        "20 ms": (Convolutions(), made_batches(8, shape=(3, 32, 32), batch_size=32), 5 if args.quick else 40),
    }
    results: dict[str, Any] = {}
    for name, (network, batches, n_steps) in problems.items():
        print(f"\n{name}: {sum(p.numel() for p in network.parameters()):,} weights, {n_steps} steps a run")
        results[name] = measure(network, batches, n_steps=n_steps, rounds=rounds)
    print()
    table(
        ["loop", "ms a step", "over bare", "ms of CPU", "over bare"],
        [[f"{problem}: {arm}", *(x for clock in ("wall", "cpu") for x in _beside_bare(found["ms"][clock], arm))]
         for problem, found in results.items() for arm in ARMS],
    )  # fmt: skip
    over = {(problem, rival): own for problem in problems for rival, own in results[problem]["over"].items()}
    tiny, heavy = over["tiny", BARE], over["20 ms", BARE]
    finish(
        "loop_overhead",
        args,
        results,
        [
            Bar("Graft minus bare, tiny, ms a step", tiny["wall_ms"], 0.3, is_floor=False),
            Bar("Graft over bare, 20 ms step, share", heavy["wall_share"], 0.03, is_floor=False),
            Bar("the same, of CPU time", heavy["cpu_share"], None),
            Bar("Graft minus Trainer, tiny, ms a step", over["tiny", TRAINER]["wall_ms"], 0.0, is_floor=False),
            Bar("Graft minus Trainer, 20 ms step, ms", over["20 ms", TRAINER]["wall_ms"], 0.0, is_floor=False),
        ],
    )


def _beside_bare(by_arm: dict[str, list[float]], arm: str) -> tuple[float, str]:
    ms, bare = median(by_arm[arm]), median(by_arm[BARE])
    return ms, f"{ms / bare - 1:+.1%}"


if __name__ == "__main__":
    main()
