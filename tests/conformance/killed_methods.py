"""Every method in children that die by SIGKILL at random places: ``killed_methods.py CHECKPOINT FOLDER SEED``.

For each task and method, forked children run it once undisturbed, then twice to a drawn call of the task's loss or
prediction, where they die, each from the second on resuming, and at last to the end. Weights and history are in
``FOLDER/TASK METHOD undisturbed.safetensors`` and ``FOLDER/TASK METHOD resumed.safetensors``. Prints how each child
ended, as JSON.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
import peft  # noqa: F401  once, not in every child
import torch
from safetensors.torch import save_file

from conformance.small_methods import METHODS, SMALL, Small, settings, weights_of
from graft.methods.lora import LoRA
from graft.methods.where import Where

N_STEPS = 20


class Mortal:
    """A task whose process dies in a call of its loss or prediction, counted from 1."""

    def __init__(self, task: Any, die_in: int | None) -> None:
        self._task, self._die_in, self.n_calls = task, die_in, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._task, name)

    def loss(self, *arguments: Any) -> Any:
        self._count()
        return self._task.loss(*arguments)

    def features(self, *arguments: Any) -> Any:
        self._count()
        return self._task.features(*arguments)

    def predict(self, *arguments: Any) -> Any:
        self._count()
        return self._task.predict(*arguments)

    def _count(self) -> None:
        self.n_calls += 1
        if self.n_calls == self._die_in:
            os.kill(os.getpid(), signal.SIGKILL)


def run(small: Small, name: str, folder: Path, written: Path, *, die_in: int | None, resume: bool) -> None:
    """Train; write weights, history and the number of calls."""
    method: Any = METHODS[name](settings(batch_norm="train"))
    if isinstance(method, LoRA):
        method = replace(method, dropout=0.1)
    task: Any = Mortal(small.task, die_in)
    where = Where(checkpoint_every_s=0.02, resume=resume)
    tuned = small.tune(method, folder=folder, n_steps=N_STEPS, where=where, task=task)
    told = {"history": json.dumps(tuned.training.history), "n_calls": str(task.n_calls)}
    save_file(weights_of(tuned.network), written, metadata=told)


def in_child(act: Callable[[], None]) -> int:
    """Return how a forked child ended that did it."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            torch.manual_seed(int.from_bytes(os.urandom(4), "big"))  # what a run draws must not hang on this
            act()
            code = 0
        except BaseException:
            sys.excepthook(*sys.exc_info())
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def main() -> None:
    """Run all."""
    checkpoint, folder, random = Path(sys.argv[1]), Path(sys.argv[2]), np.random.default_rng(int(sys.argv[3]))
    torch.set_num_threads(1)
    ended = {}
    for task, make in SMALL.items():
        small = make(checkpoint)
        for name in METHODS:
            place = folder / f"{task} {name}"
            alone, whole = folder / f"{place.name} alone", folder / f"{place.name} undisturbed.safetensors"
            codes = [in_child(partial(run, small, name, alone, whole, die_in=None, resume=False))]
            n = n_calls(whole)
            for number, last in enumerate((n // 2, n // 4, None)):
                die_in = None if last is None else int(random.integers(1, last + 1))
                resumed = folder / f"{place.name} resumed.safetensors"
                codes.append(in_child(partial(run, small, name, place, resumed, die_in=die_in, resume=number > 0)))
            ended[place.name] = codes
    print(json.dumps(ended))


def n_calls(path: Path) -> int:
    """Return the calls that an undisturbed run made."""
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        return int(file.metadata()["n_calls"])


if __name__ == "__main__":
    main()
