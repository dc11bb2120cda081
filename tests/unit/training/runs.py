"""Small training runs that the tests share, also as a program that kills itself or runs in several processes.

``python runs.py rich WEIGHTS [FOLDER LOG DIE_AFTER]``
    writes weights and history of the rich run; goes on from the checkpoints in FOLDER, where there are any; ends by
    SIGKILL in the call for a batch that is number DIE_AFTER.
``python runs.py killed WEIGHTS FOLDER LOG DIE_AFTER...``
    the rich run in one forked child after the other, each going on from the checkpoints and killed in its turn; prints
    how each ended.
``python runs.py plain WEIGHTS FOLDER LOG PAUSE_S``
    the plain run, with a pause before each batch.
``torchrun ... runs.py replicas FOLDER``
    every process writes its weights and history of `run_replica`; the log and the checkpoints are in FOLDER.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional

from graft.core.processes import leave_processes
from graft.training.augmentation import Augmentation
from graft.training.checkpoints import CheckpointPlan
from graft.training.held_out import HeldOut
from graft.training.loop import Training, train
from graft.training.losses import classification_loss
from graft.training.optimizers import ParameterGroup
from graft.training.pictures import PictureBatches, normalise
from graft.training.recipe import Recipe

N_STEPS = 14
N_RICH_STEPS = 60
BODY, HEAD = ("convolution.weight", "convolution.bias", "norm.weight", "norm.bias"), ("head.weight", "head.bias")


class TinyNetwork(nn.Module):
    """Convolution, BatchNorm, dropout and a head: all that a checkpoint must keep."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, 8, 3, stride=2)
        self.norm = nn.BatchNorm2d(8)
        self.dropout = nn.Dropout(0.1)
        self.head = nn.Linear(8 * 9, 10)

    def forward(self, pixel_values: Tensor) -> SimpleNamespace:
        hidden = torch.relu(self.norm(self.convolution(pixel_values))).flatten(1)
        return SimpleNamespace(logits=self.head(self.dropout(hidden)))


class Scripted:
    """Held-out figures that are given beforehand; notes the head's bias at each look."""

    def __init__(self, losses: list[float]) -> None:
        self.losses, self.seen = losses, []

    def __call__(self, network: Any) -> dict[str, float]:
        self.seen.append(network.head.bias.detach().clone())
        return {"log_loss": self.losses[len(self.seen) - 1]}


def tiny_network(*, dropout: float = 0.1) -> TinyNetwork:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = TinyNetwork()
    network.dropout.p = dropout
    return network


def digit_pictures() -> tuple[np.ndarray, np.ndarray]:
    """Return 300 real pictures (300, 3, 8, 8) uint8 and their digits: scikit-learn's file, without its imports."""
    origin = find_spec("sklearn")
    assert origin is not None
    assert origin.origin is not None
    table = np.loadtxt(Path(origin.origin).parent / "datasets/data/digits.csv.gz", delimiter=",", max_rows=300)
    grey = np.minimum(table[:, :-1].reshape(-1, 8, 8) * 16, 255).astype(np.uint8)
    return np.repeat(grey[:, None], 3, axis=1), table[:, -1].astype(np.int64)


def digit_batches(batch_size: int = 16) -> PictureBatches:
    pictures, targets = digit_pictures()
    return PictureBatches(
        pictures,
        targets,
        batch_size=batch_size,
        augmentation=Augmentation.for_side(8, flip=False),
        mean=[0.5] * 3,
        std=[0.5] * 3,
        seed=3,
    )


class Watched:
    """Batches that tell which step is asked for, before it is given."""

    def __init__(self, inner: Any, on_step: Callable[[int], None]) -> None:
        self._inner, self._on_step, self.batch_size = inner, on_step, inner.batch_size

    def batch(self, step: int, part: slice = slice(None)) -> Mapping[str, Tensor]:
        self._on_step(step)
        return self._inner.batch(step, part)


class WithoutSomeTargets:
    """Batches in which every third target or so is missing (-100)."""

    def __init__(self, inner: Any) -> None:
        self._inner, self.batch_size = inner, inner.batch_size

    def batch(self, step: int, part: slice = slice(None)) -> dict[str, Tensor]:
        given = dict(self._inner.batch(step, part))
        places = torch.arange(self.batch_size)[part]
        given["labels"] = torch.where((places + step) % 3 == 0, -100, given["labels"])
        return given


def loss_where_there_is_a_target(network: nn.Module, batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
    logits = network(pixel_values=batch["pixel_values"]).logits
    total = functional.cross_entropy(logits.float(), batch["labels"], reduction="sum", ignore_index=-100)
    return total, (batch["labels"] != -100).sum()


def held_out_loss(network: nn.Module) -> dict[str, float]:
    """Return figures on a hundred pictures, undistorted."""
    assert not network.training
    pictures, targets = digit_pictures()
    values = normalise(torch.from_numpy(pictures[200:]), mean=[0.5] * 3, std=[0.5] * 3)
    with torch.inference_mode():
        logits = network(pixel_values=values).logits
    answers = torch.from_numpy(targets[200:])
    return {
        "log_loss": float(functional.cross_entropy(logits, answers)),
        "accuracy": float((logits.argmax(1) == answers).double().mean()),
    }


def weights_of(network: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}


def run(
    checkpoints: Path | None,
    *,
    resume: bool = False,
    on_step: Callable[[int], None] = lambda step: None,
    log: Path | None = None,
    optimizer: Any = "adamw",
    precision: str = "auto",
) -> dict[str, Tensor]:
    """Return the weights of a plain run."""
    network = tiny_network()
    train(
        network,
        Watched(digit_batches(), on_step),
        loss=classification_loss(label_smoothing=0.1),
        recipe=Recipe(n_steps=N_STEPS, optimizer=optimizer, learning_rate=0.01, ema_decay=0.9),
        checkpoints=None if checkpoints is None else CheckpointPlan(checkpoints, identity={"run": 1}, every_steps=3),
        resume=resume,
        log=log,
        precision=precision,
        device="cpu",
    )
    return weights_of(network)


def run_rich(
    checkpoints: Path | None,
    *,
    resume: bool = False,
    on_step: Callable[[int], None] = lambda step: None,
    log: Path | None = None,
    n_steps: int = N_RICH_STEPS,
    optimizer: Any = "adamw",
) -> tuple[dict[str, Tensor], Training]:
    """Return weights and outcome of a run with all that a checkpoint must keep."""
    network = tiny_network()
    training = train(
        network,
        Watched(WithoutSomeTargets(digit_batches()), on_step),
        loss=loss_where_there_is_a_target,
        recipe=Recipe(
            n_steps=n_steps, optimizer=optimizer, learning_rate=0.02, ema_decay=0.9, l2_sp=0.5, micro_batch_size=5
        ),
        groups=[ParameterGroup(HEAD, is_new=True), ParameterGroup(BODY, rate_factor=0.3, starts_at=0.2)],
        held_out=HeldOut(held_out_loss, every_steps=4),
        checkpoints=None
        if checkpoints is None
        else CheckpointPlan(checkpoints, identity={"run": "rich"}, every_steps=3, on_improvement=False),
        resume=resume,
        log=log,
        device="cpu",
    )
    return weights_of(network), training


def run_replica(folder: Path, *, optimizer: Any) -> tuple[dict[str, Tensor], Training]:
    """Return weights and outcome of a run without chance inside, on uneven batches of 7."""
    network = tiny_network(dropout=0.0)
    training = train(
        network,
        WithoutSomeTargets(digit_batches(7)),
        loss=loss_where_there_is_a_target,
        recipe=Recipe(
            n_steps=12, optimizer=optimizer, learning_rate=0.02, ema_decay=0.9, l2_sp=0.5, micro_batch_size=3,
            batch_norm="frozen",
        ),
        groups=[ParameterGroup(HEAD, is_new=True), ParameterGroup(BODY, rate_factor=0.3, starts_at=0.2)],
        held_out=HeldOut(held_out_loss, every_steps=4),
        checkpoints=CheckpointPlan(folder / "checkpoints", identity={}, every_steps=5),
        log=folder / "log.jsonl",
        precision="fp32",
        device="cpu",
    )  # fmt: skip
    return weights_of(network), training


def write_outcome(path: Path, outcome: tuple[dict[str, Tensor], Training]) -> None:
    save_file(outcome[0], path, metadata={"history": json.dumps(outcome[1].history)})


def in_child(*words: str) -> int:
    """Return how a forked child ended that did this: it need not import torch once more."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            main(*words)
            code = 0
        except BaseException:
            sys.excepthook(*sys.exc_info())
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def main(which: str, *words: str) -> None:
    if which == "plain":
        weights, folder, log, pause_s = words
        trained = run(
            Path(folder),
            resume=Path(folder).exists(),
            log=Path(log),
            on_step=lambda step: time.sleep(float(pause_s)),
        )
        save_file(trained, weights)
    elif which == "killed":
        import accelerate  # noqa: F401  both once, not in every child
        from torch import _dynamo  # noqa: F401

        print(json.dumps([in_child("rich", *words[:3], die_after) for die_after in words[3:]]))
    elif which == "rich":
        n_calls = 0

        def on_step(step: int) -> None:
            nonlocal n_calls
            n_calls += 1
            if len(words) > 3 and n_calls == int(words[3]):
                os.kill(os.getpid(), signal.SIGKILL)

        is_kept = len(words) > 1
        outcome = run_rich(
            Path(words[1]) if is_kept else None,
            resume=is_kept,
            log=Path(words[2]) if is_kept else None,
            on_step=on_step,
        )
        write_outcome(Path(words[0]), outcome)
    else:
        rank = os.environ["RANK"]
        for optimizer in ("sgd", "adamw"):
            place = Path(words[0]) / optimizer
            place.mkdir(exist_ok=True)
            write_outcome(place / f"weights-{rank}", run_replica(place, optimizer=optimizer))
        time.sleep(0.2)  # torch 2.13 aborts where gloo lets go of its last tensors while the interpreter ends
        leave_processes()


if __name__ == "__main__":
    main(*sys.argv[1:])
