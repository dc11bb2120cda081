"""Every method in as many processes as torchrun starts: ``torchrun ... two_processes.py CHECKPOINT FOLDER``.

Process 0 writes the weights of each method's run on each task to ``FOLDER/TASK METHOD.safetensors``.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import torch
from safetensors.torch import save_file

from conformance.small_methods import METHODS, SMALL, settings, weights_of
from graft.core.processes import Processes, join_processes, leave_processes
from graft.methods.where import Where


def run_all(checkpoint: Path, folder: Path, processes: Processes) -> None:
    """Run every method, with batches of 7, so that the processes have unequal parts."""
    for task, make in SMALL.items():
        small = make(checkpoint)
        for name, method in METHODS.items():
            tuned = small.tune(
                method(settings(batch_size=7, learning_rate=1e-3)),
                folder=folder / f"{task} {name}",
                where=Where(processes=processes),
            )
            if processes.is_main:
                save_file(weights_of(tuned.network), folder / f"{task} {name}.safetensors")


if __name__ == "__main__":
    torch.set_num_threads(1)
    run_all(Path(sys.argv[1]), Path(sys.argv[2]), join_processes("cpu"))
    leave_processes()
