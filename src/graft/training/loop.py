"""The loop: one function that reads top to bottom."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from rich.console import Console
from torch import nn

from graft.core.devices import choose_precision
from graft.core.errors import DataError, Interrupted, ModelError, UsageError
from graft.core.processes import Processes
from graft.core.seeds import derive_seed
from graft.training.averaging import WeightAverage
from graft.training.batches import Batches
from graft.training.checkpoints import (
    CheckpointClock,
    CheckpointPlan,
    TrainingState,
    read_checkpoint,
    write_checkpoint,
)
from graft.training.freezing import set_training_mode
from graft.training.held_out import BestWeights, HeldOut
from graft.training.interrupts import stop_on_signals
from graft.training.losses import Loss
from graft.training.optimizers import ParameterGroup, StartPull, build_optimizer
from graft.training.progress import step_log, step_progress
from graft.training.recipe import Recipe
from graft.training.schedules import rate_factor

__all__ = ["Training", "batch_parts", "train"]


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
    history : held-out figures by step; the network has the weights of the least log-loss among them.
    ended_by : ``"steps"``, ``"patience"`` or ``"time"``.
    """

    n_steps: int
    loss: float
    seconds: float
    precision: str
    device: str
    history: tuple[dict[str, Any], ...] = field(default=())
    ended_by: str = "steps"

    @property
    def best_step(self) -> int:
        """Finished steps at the least held-out log-loss; all steps where nothing was held out."""
        return int(min(self.history, key=lambda line: line["log_loss"])["step"]) if self.history else self.n_steps


def batch_parts(batch_size: int, processes: Processes, micro_batch_size: int | None) -> list[slice]:
    """Return the positions of a step's batch that this process works off, one forward pass after the other.

    Raises
    ------
    UsageError
        When there are fewer examples in a batch than processes.

    Examples
    --------
    >>> batch_parts(10, Processes(1, 2), 3)
    [slice(5, 8, None), slice(8, 10, None)]
    """
    if batch_size < processes.n:
        raise UsageError(
            f"batches of {batch_size} for {processes.n} processes",
            expected="at least one example a process",
            fix=f"--batch-size {processes.n} (Python: batch_size={processes.n}), or fewer processes",
        )
    own = processes.share(batch_size)
    size = micro_batch_size or batch_size
    return [slice(first, min(first + size, own.stop)) for first in range(own.start, own.stop, size)]


def train(
    network: nn.Module,
    batches: Batches,
    *,
    loss: Loss,
    recipe: Recipe,
    groups: Sequence[ParameterGroup] | None = None,
    held_out: HeldOut | None = None,
    log: Path | None = None,
    checkpoints: CheckpointPlan | None = None,
    resume: bool = False,
    max_seconds: float | None = None,
    precision: str = "auto",
    device: str = "auto",
    console: Console | None = None,
) -> Training:
    """Train `network` in place and leave it in eval mode.

    It ends with the weights of the least held-out log-loss, where something is held out; else with the averaged ones,
    where the recipe averages; else with the last.

    Parameters
    ----------
    network : its parameters with ``requires_grad`` are trained.
    batches : gives the batch of a step; batches are moved to the device here.
    loss : gives the sum of the losses and their count, see `graft.tasks.base.Task.loss`.
    recipe : how to train.
    groups : which parameters get which share of the learning rate, and from when; None: all alike.
    held_out : what is looked at between steps; None: nothing.
    log : a JSONL file with a line a step: step, loss, learning_rate, gradient_norm, n, seconds.
    checkpoints : where and how often; None: none are written.
    resume : go on from the last checkpoint, where there is one.
    max_seconds : the schedule reaches its end by then, even with fewer than ``recipe.n_steps`` steps; at least one step
        is done.
    precision : ``"auto"``, ``"bf16"``, ``"fp16"`` or ``"fp32"``.
    device : ``"auto"`` (what accelerate finds) or ``"cpu"``.
    console : where the progress bar is drawn; None: nowhere.

    Raises
    ------
    ModelError
        When the loss or the gradient is not finite, or nothing is trainable.
    DataError
        When a batch has no target.
    UsageError
        When `resume` meets a checkpoint of another run, or a batch is smaller than the number of processes.
    Interrupted
        After Ctrl-C or SIGTERM, once a checkpoint is written.

    Notes
    -----
    On a CPU a resumed run equals an uninterrupted one bit for bit. Torch's random state is a function of the recipe's
    seed, the step and the process inside, and is put back at the end.

    The gradient of a step is that of the sum of all its losses divided by their number, over micro-batches and
    processes: how a batch is cut makes no difference but for rounding.
    """
    accelerator = Accelerator(cpu=device == "cpu", mixed_precision="fp16" if precision == "fp16" else None)
    processes = Processes(accelerator.process_index, accelerator.num_processes)
    computed_in = choose_precision(accelerator.device, wanted=precision)
    parts = batch_parts(batches.batch_size, processes, recipe.micro_batch_size)
    network.to(accelerator.device)
    set_training_mode(network, batch_norm=recipe.batch_norm)
    optimizer = build_optimizer(network, recipe, groups)
    state = TrainingState(
        network,
        optimizer,
        average=None if recipe.ema_decay is None else WeightAverage(network, decay=recipe.ema_decay),
        best=None if held_out is None else BestWeights(network),
        pull=StartPull(optimizer, strength=recipe.l2_sp) if recipe.l2_sp else None,
        scaler=accelerator.scaler,
    )
    own_device = [accelerator.device] if accelerator.device.type == "cuda" else []
    with torch.random.fork_rng(own_device), stop_on_signals() as stop:
        first, spent = 0, 0.0
        if resume and checkpoints is not None and (found := read_checkpoint(checkpoints)) is not None:
            found.restore(state)
            first, spent = found.step, found.seconds
        runnable = torch.compile(network) if recipe.is_compiled else network
        trained, prepared = accelerator.prepare(runnable, optimizer)
        is_plain = processes.n == 1 and accelerator.scaler is None
        parameters = [p for group in prepared.param_groups for p in group["params"]]
        waiting = [group for group in prepared.param_groups if group["starts_at"] > 0]
        limit = float("inf") if recipe.clip_norm is None else recipe.clip_norm
        started = time.monotonic() - spent
        clock, step, value, ended_by = CheckpointClock(first), first, float("nan"), "steps"
        if state.best is not None and held_out is not None and held_out.patience is not None:
            ended_by = "patience" if state.best.n_since_best() >= held_out.patience else "steps"

        with step_log(log if processes.is_main else None, keep=first) as write, step_progress(
            recipe.n_steps, first=first, console=console if processes.is_main else None
        ) as show:  # fmt: skip
            while step < recipe.n_steps and ended_by == "steps":
                elapsed = time.monotonic() - started
                progress = (step + 0.5) / recipe.n_steps
                if max_seconds is not None:
                    elapsed = processes.from_main(elapsed)
                    if step > first and elapsed >= max_seconds:
                        ended_by = "time"
                        break
                    progress = max(progress, elapsed / max_seconds)
                rate = recipe.learning_rate * rate_factor(
                    progress, schedule=recipe.schedule, warmup_fraction=recipe.warmup_fraction
                )
                for group in prepared.param_groups:
                    group["lr"] = rate * group["rate_factor"] * (progress >= group["starts_at"])

                # The sums' gradients are divided by the number of examples foretold, and mended where it was another.
                torch.manual_seed(derive_seed(recipe.seed, "step", step, processes.rank))
                told = torch.zeros(2, dtype=torch.float64)  # sum of the losses, count
                for part in parts:
                    batch = {
                        name: tensor.to(accelerator.device, non_blocking=True)
                        for name, tensor in batches.batch(step, part).items()
                    }
                    is_last = part is parts[-1]
                    with nullcontext() if is_last or is_plain else accelerator.no_sync(trained):
                        with computed_in.autocast(accelerator.device):
                            total, count = loss(trained, batch)
                        scaled = total * (processes.n / batches.batch_size)
                        scaled.backward() if is_plain else accelerator.backward(scaled)
                    told += torch.tensor([float(total.detach()), float(count)], dtype=torch.float64)
                sum_of_losses, n = processes.add(told.to(accelerator.device) if own_device else told).tolist()
                if n == 0:
                    raise DataError(f"the batch of step {step} has no target", expected="a target in every batch")
                if not is_plain:
                    accelerator.unscale_gradients(prepared)
                if n != batches.batch_size:
                    torch._foreach_mul_([p.grad for p in parameters if p.grad is not None], batches.batch_size / n)
                for group in waiting:
                    if progress < group["starts_at"]:
                        for parameter in group["params"]:
                            parameter.grad = None
                norm = float(
                    nn.utils.clip_grad_norm_(parameters, limit)
                    if is_plain
                    else accelerator.clip_grad_norm_(parameters, limit)
                )
                value = sum_of_losses / n
                if not math.isfinite(value) or not (math.isfinite(norm) or accelerator.scaler is not None):
                    raise _diverged(step, value=value, norm=norm, rate=rate)
                optimizer.step() if is_plain else prepared.step()
                optimizer.zero_grad(set_to_none=True)
                if state.pull is not None:
                    state.pull.step()
                if state.average is not None:
                    state.average.update(step)
                step += 1

                improved = False
                if held_out is not None and state.best is not None:
                    if step % held_out.every_steps == 0 or step == recipe.n_steps:
                        network.eval()
                        with state.average.applied() if state.average is not None else nullcontext():
                            improved = state.best.take(step, held_out.evaluate(network))
                        set_training_mode(network, batch_norm=recipe.batch_norm)
                    if held_out.patience is not None and state.best.n_since_best() >= held_out.patience:
                        ended_by = "patience"

                elapsed = time.monotonic() - started
                write({"step": step, "loss": value, "learning_rate": rate, "gradient_norm": norm, "n": int(n),
                       "seconds": round(elapsed, 3)})  # fmt: skip
                show(step, value, state.best.history[-1] if state.best is not None and state.best.history else None)
                is_stopped = processes.any(bool(stop))
                if checkpoints is not None and (
                    is_stopped or (improved and checkpoints.on_improvement) or clock.is_due(checkpoints, step)
                ):
                    if processes.is_main:
                        write_checkpoint(checkpoints, state, step=step, seconds=elapsed)
                    processes.wait()
                if is_stopped:
                    raise _interrupted(checkpoints, step=step, n_steps=recipe.n_steps, by=stop.signal_name)

    if state.best is not None and state.best.tensors:
        state.best.write_to_network()
    elif state.average is not None:
        state.average.write_to_network()
    network.eval()
    return Training(
        n_steps=step,
        loss=value,
        seconds=time.monotonic() - started,
        precision=f"{computed_in.name}: {computed_in.reason}",
        device=str(accelerator.device),
        history=tuple(state.best.history) if state.best is not None else (),
        ended_by=ended_by,
    )


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
        f"stopped by {by} after step {step} of {n_steps}; {checkpoints.folder} keeps what was computed",
        fix="go on with the same command and --resume (Python: resume=True)",
    )
