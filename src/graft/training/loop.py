"""The loop: one function that reads top to bottom."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from accelerate import Accelerator
from rich.console import Console
from torch import nn

from graft.core.devices import choose_precision
from graft.core.errors import DataError, Interrupted, ModelError
from graft.core.seeds import derive_seed
from graft.training.averaging import WeightAverage
from graft.training.batches import Batches
from graft.training.checkpoints import CheckpointClock, CheckpointPlan, read_checkpoint, write_checkpoint
from graft.training.interrupts import stop_on_signals
from graft.training.losses import Loss
from graft.training.optimizers import build_optimizer
from graft.training.progress import step_log, step_progress
from graft.training.recipe import Recipe
from graft.training.schedules import rate_factor

__all__ = ["Training", "train"]


@dataclass(frozen=True)
class Training:
    """What a run came to.

    Parameters
    ----------
    n_steps : optimizer steps done, those before a resume included.
    loss : mean loss of the last batch.
    seconds : time spent in steps, those before a resume included.
    precision : what was computed in, and why.
    device : where.
    """

    n_steps: int
    loss: float
    seconds: float
    precision: str
    device: str


def train(
    network: nn.Module,
    batches: Batches,
    *,
    loss: Loss,
    recipe: Recipe,
    log: Path | None = None,
    checkpoints: CheckpointPlan | None = None,
    resume: bool = False,
    max_seconds: float | None = None,
    precision: str = "auto",
    device: str = "auto",
    console: Console | None = None,
) -> Training:
    """Train `network` in place and leave it in eval mode, with the averaged weights where the recipe averages.

    Parameters
    ----------
    network : its parameters with ``requires_grad`` are trained.
    batches : gives the batch of a step; batches are moved to the device here.
    loss : gives the sum of the losses and their count, see `graft.tasks.base.Task.loss`.
    recipe : how to train.
    log : a JSONL file with a line a step: step, loss, learning_rate, gradient_norm, n, seconds.
    checkpoints : where and how often; None: none are written.
    resume : go on from the last checkpoint, where there is one.
    max_seconds : the schedule reaches its end by then, even with fewer than ``recipe.n_steps`` steps; at least one step
        is done.
    precision : ``"auto"``, ``"bf16"`` or ``"fp32"``.
    device : ``"auto"`` (what accelerate finds) or ``"cpu"``.
    console : where the progress bar is drawn; None: nowhere.

    Raises
    ------
    ModelError
        When the loss or the gradient is not finite, or nothing is trainable.
    DataError
        When a batch has no target.
    UsageError
        When `resume` meets a checkpoint of another run.
    Interrupted
        After Ctrl-C or SIGTERM, once a checkpoint is written.

    Notes
    -----
    On a CPU a resumed run equals an uninterrupted one bit for bit. Torch's random state is that of the recipe's
    seed inside, and is put back at the end.
    """
    accelerator = Accelerator(cpu=device == "cpu")
    computed_in = choose_precision(accelerator.device, wanted=precision)
    network.to(accelerator.device)
    optimizer = build_optimizer(network, recipe)
    average = None if recipe.ema_decay is None else WeightAverage(network, decay=recipe.ema_decay)

    own_device = [accelerator.device] if accelerator.device.type == "cuda" else []
    with torch.random.fork_rng(own_device), stop_on_signals() as stop:
        torch.manual_seed(derive_seed(recipe.seed, "training"))
        first, spent = 0, 0.0
        if resume and checkpoints is not None and (found := read_checkpoint(checkpoints)) is not None:
            found.restore(network, optimizer, average)
            first, spent = found.step, found.seconds
        trained, prepared = accelerator.prepare(network, optimizer)
        trained.train()
        parameters = [p for p in trained.parameters() if p.requires_grad]
        started = time.monotonic() - spent
        clock, step, value = CheckpointClock(first), first, float("nan")

        with step_log(log, keep=first) as write, step_progress(recipe.n_steps, first=first, console=console) as show:
            while step < recipe.n_steps:
                elapsed = time.monotonic() - started
                progress = (step + 0.5) / recipe.n_steps
                if max_seconds is not None:
                    if step > first and elapsed >= max_seconds:
                        break
                    progress = max(progress, elapsed / max_seconds)
                rate = recipe.learning_rate * rate_factor(
                    progress, schedule=recipe.schedule, warmup_fraction=recipe.warmup_fraction
                )
                for group in prepared.param_groups:
                    group["lr"] = rate

                batch = {name: tensor.to(accelerator.device) for name, tensor in batches.batch(step).items()}
                with computed_in.autocast(accelerator.device):
                    total, count = loss(trained, batch)
                n = int(count)
                if n == 0:
                    raise DataError(f"the batch of step {step} has no target", expected="a target in every batch")
                mean = total / n
                accelerator.backward(mean)
                limit = float("inf") if recipe.clip_norm is None else recipe.clip_norm
                norm = float(accelerator.clip_grad_norm_(parameters, limit))
                value = float(mean.detach())
                if not (math.isfinite(value) and math.isfinite(norm)):
                    raise _diverged(step, value=value, norm=norm, rate=rate)
                prepared.step()
                prepared.zero_grad()
                if average is not None:
                    average.update(step)
                step += 1

                elapsed = time.monotonic() - started
                write({"step": step, "loss": value, "learning_rate": rate, "gradient_norm": norm, "n": n,
                       "seconds": round(elapsed, 3)})  # fmt: skip
                show(step, value)
                if checkpoints is not None and (stop or clock.is_due(checkpoints, step)):
                    write_checkpoint(checkpoints, network, optimizer, average, step=step, seconds=elapsed)
                if stop:
                    raise _interrupted(checkpoints, step=step, n_steps=recipe.n_steps, by=stop.signal_name)

    if average is not None:
        average.write_to_network()
    network.eval()
    told = f"{computed_in.name}: {computed_in.reason}"
    return Training(step, value, time.monotonic() - started, told, str(accelerator.device))


def _diverged(step: int, *, value: float, norm: float, rate: float) -> ModelError:
    return ModelError(
        f"training came apart in step {step}: loss {value:g}, norm of the gradient {norm:g},"
        f" learning rate {rate:.3g}; the weights before this step are untouched",
        expected="finite numbers",
        fix="a learning rate 3 to 10 times smaller: --learning-rate (Python: learning_rate=); or a longer warm-up:"
        " --warmup-fraction (warmup_fraction=); or look for pictures or values that are not numbers",
    )


def _interrupted(checkpoints: CheckpointPlan | None, *, step: int, n_steps: int, by: str | None) -> Interrupted:
    if checkpoints is None:
        return Interrupted(f"stopped by {by} after step {step} of {n_steps}; nothing was kept")
    return Interrupted(
        f"stopped by {by} after step {step} of {n_steps}; {checkpoints.path} keeps what was computed",
        fix="go on with the same command and --resume (Python: resume=True)",
    )
