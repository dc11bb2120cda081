"""The loop: one function that reads top to bottom."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import torch
from rich.console import Console
from torch import nn

from graft.core.devices import choose_precision
from graft.core.errors import DataError
from graft.core.seeds import derive_seed
from graft.core.threads import flushed_denormals
from graft.training.averaging import WeightAverage
from graft.training.batches import Batches, Prefetched
from graft.training.checkpoints import (
    CheckpointClock,
    CheckpointPlan,
    TrainingState,
    read_checkpoint,
    write_checkpoint,
)
from graft.training.divergence import diverged
from graft.training.freezing import set_training_mode
from graft.training.held_out import BestWeights, HeldOut, best_line
from graft.training.interrupts import as_interrupted, stop_on_signals
from graft.training.losses import Loss
from graft.training.optimizers import ParameterGroup, StartPull, build_optimizer
from graft.training.progress import step_log, step_progress
from graft.training.recipe import Recipe
from graft.training.replicas import align, batch_parts, place, sum_gradients
from graft.training.schedules import rate_factor
from graft.training.sharded import is_sharding_wanted, refuse_unshardable, sharded_copy, whole, write_whole

__all__ = ["Training", "train"]


@dataclass(frozen=True)
class Training:
    """What a run came to.

    Parameters
    ----------
    n_steps : optimizer steps done, those before a resume included.
    loss : mean loss of the last batch; NaN where a resumed run had no step left to do.
    seconds : time spent in steps, those before a resume included.
    precision : what was computed in, and why.
    device : where.
    history : held-out figures by step; the network has the weights of the best among them.
    ended_by, decided_by : ``"steps"``, ``"patience"`` or ``"time"``; the held-out figure that chose the weights.
    """

    n_steps: int
    loss: float
    seconds: float
    precision: str
    device: str
    history: tuple[dict[str, Any], ...] = field(default=())
    ended_by: str = "steps"
    decided_by: str = "log_loss"

    @property
    def best_step(self) -> int:
        """Finished steps at the best held-out look; all steps where nothing was held out."""
        best = best_line(self.history, decided_by=self.decided_by)
        return self.n_steps if best is None else int(best["step"])


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

    It ends with the weights of the best held-out look, where something is held out; else with the averaged ones, where
    the recipe averages; else with the last.

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
    max_seconds : the schedule reaches its end by then, even with fewer than ``recipe.n_steps`` steps, and as far as it
        can be foreseen the last look at held-out examples does, too; at least one step is done.
    precision : ``"auto"``, ``"bf16"``, ``"fp16"`` or ``"fp32"``.
    device : ``"auto"`` (what accelerate finds) or ``"cpu"``.
    console : where the progress bar is drawn; None: nowhere.

    Raises
    ------
    DivergedError
        When the loss or the gradient is not finite.
    ModelError
        When nothing is trainable.
    DataError
        When a batch has no target.
    UsageError
        When `resume` meets a checkpoint of another run, a batch is smaller than the number of processes, or `precision`
        is not to be had on the device or, like `recipe.is_compiled`, in shards.
    Interrupted
        After Ctrl-C or SIGTERM, once a checkpoint is written.

    Notes
    -----
    On a CPU a resumed run equals an uninterrupted one bit for bit. Torch's random state is a function of the recipe's
    seed, the step and the process inside, and is put back at the end. The gradient of a step is that of the sum of all
    its losses divided by their number, over micro-batches and processes: how a batch is cut makes no difference but for
    rounding.
    """
    processes, at = place(device)
    computed_in = choose_precision(at, wanted=precision)
    parts = batch_parts(batches.batch_size, processes, recipe.micro_batch_size)
    given, is_sharded = network, is_sharding_wanted(processes)
    if is_sharded:
        refuse_unshardable(recipe, computed_in)
        network = sharded_copy(network, at, processes)
    else:
        network.to(at)
        align([*network.parameters(), *network.buffers()], processes)
    set_training_mode(network, batch_norm=recipe.batch_norm)
    optimizer = build_optimizer(network, recipe, groups)
    state = TrainingState(
        network,
        optimizer,
        average=None if recipe.ema_decay is None else WeightAverage(network, decay=recipe.ema_decay),
        best=None if held_out is None else BestWeights(network, decided_by=held_out.decided_by),
        pull=StartPull(optimizer, strength=recipe.l2_sp) if recipe.l2_sp else None,
        scaler=torch.amp.GradScaler(at.type) if computed_in.name == "fp16" else None,
    )
    first, spent = 0, 0.0
    if resume and checkpoints is not None and (found := read_checkpoint(checkpoints)) is not None:
        found.restore(state)
        first, spent = found.step, found.seconds
    trained = cast(nn.Module, torch.compile(network)) if recipe.is_compiled else network
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    look_s, step, value, ended_by = 0.0, first, float("nan"), "steps"
    if held_out is not None and state.best is not None and state.best.n_since_best() >= (held_out.patience or math.inf):
        ended_by = "patience"
    elif max_seconds is not None and first > 0 and spent >= max_seconds:
        ended_by = "time"

    with ExitStack() as stack:
        stack.enter_context(torch.random.fork_rng([at] if at.type == "cuda" else []))
        stack.enter_context(flushed_denormals())
        stop = stack.enter_context(stop_on_signals())
        write = stack.enter_context(step_log(log if processes.is_main else None, keep=first))
        show = stack.enter_context(
            step_progress(recipe.n_steps, first=first, console=console if processes.is_main else None)
        )
        if at.type == "cuda":  # on a CPU the thread would take from the steps what it gives them
            batches = stack.enter_context(
                Prefetched(batches, parts=parts, first_step=first, last_step=recipe.n_steps - 1)
            )
        started, clock = time.monotonic() - spent, CheckpointClock(first)
        while step < recipe.n_steps and ended_by == "steps":
            progress = (step + 0.5) / recipe.n_steps
            if max_seconds is not None:
                by_time = (time.monotonic() - started) / max(max_seconds - look_s, 1e-9)
                progress = max(progress, processes.from_main(by_time))
            rate = recipe.learning_rate * rate_factor(
                progress, schedule=recipe.schedule, warmup_fraction=recipe.warmup_fraction
            )
            for group in optimizer.param_groups:
                group["lr"] = rate * group["rate_factor"] * (progress >= group["starts_at"])

            # The gradient of the sum, divided by the number of examples foretold so that no precision overflows.
            _seed(derive_seed(recipe.seed, "step", step, processes.rank), at)
            told = torch.zeros(4, dtype=torch.float64, device=at)  # sum of the losses, their count, stopped?, time up?
            for part in parts:
                batch = {k: t.to(at, non_blocking=True) for k, t in batches.batch(step, part).items()}
                with computed_in.autocast(at):
                    total, count = loss(trained, batch)
                scaled = total / batches.batch_size
                (scaled if state.scaler is None else state.scaler.scale(scaled)).backward()
                told[0] += total.detach()
                told[1] += count
            for group in optimizer.param_groups:
                if progress < group["starts_at"]:
                    for parameter in group["params"]:
                        parameter.grad = None
            if not is_sharded:  # else the backward pass has done it
                sum_gradients(parameters, processes)
            if state.scaler is not None:
                state.scaler.unscale_(optimizer)
            gradients = [p.grad for p in parameters if p.grad is not None]
            norm_of_sum = whole(nn.utils.get_total_norm(gradients))
            told[2] = bool(stop)
            told[3] = max_seconds is not None and time.monotonic() - started + look_s >= max_seconds
            sum_of_losses, n, is_stopped, is_time_up = processes.add(told).tolist()
            if n == 0:
                raise DataError(f"the batch of step {step} has no target", expected="a target in every batch")

            # Now that the true count is known: the mean's gradient, clipped, with one multiplication.
            value, by_count = sum_of_losses / n, batches.batch_size / n
            norm = float(norm_of_sum) * by_count
            if not math.isfinite(value) or not (math.isfinite(norm) or state.scaler is not None):
                raise diverged(step, value=value, norm=norm, rate=rate)
            clipped = 1.0 if recipe.clip_norm is None else min(1.0, recipe.clip_norm / (norm + 1e-6))
            if gradients and by_count * clipped != 1.0:
                torch._foreach_mul_(gradients, by_count * clipped)
            if state.scaler is None:
                optimizer.step()
            else:
                state.scaler.step(optimizer)  # not where a gradient is infinite
                state.scaler.update()
            optimizer.zero_grad(set_to_none=True)
            if state.pull is not None:
                state.pull.step()
            if state.average is not None:
                state.average.update(step)
            step += 1
            if is_time_up:
                ended_by = "time"

            is_best = False
            if held_out is not None and state.best is not None:
                if step % held_out.every_steps == 0 or step == recipe.n_steps or is_time_up:
                    began = time.monotonic()
                    align(network.buffers(), processes)
                    network.eval()
                    with state.average.applied() if state.average is not None else nullcontext():
                        is_best = state.best.take(step, processes.from_main(held_out.evaluate(network)))
                    set_training_mode(network, batch_norm=recipe.batch_norm)
                    look_s = max(look_s, time.monotonic() - began)
                if held_out.patience is not None and state.best.n_since_best() >= held_out.patience:
                    ended_by = "patience"

            elapsed = time.monotonic() - started
            write({"step": step, "loss": value, "learning_rate": rate, "gradient_norm": norm, "n": int(n),
                   "seconds": round(elapsed, 3)})  # fmt: skip
            show(step, value, state.best.history[-1] if state.best is not None and state.best.history else None)
            if checkpoints is not None and (processes.is_main or is_sharded):
                is_due = clock.is_due(checkpoints, step)
                if is_sharded:  # all hand over their shards
                    is_due = processes.from_main(is_due)
                if is_due or is_stopped or (is_best and checkpoints.on_improvement):
                    write_checkpoint(checkpoints, state, step=step, seconds=elapsed, is_writer=processes.is_main)
                    clock = CheckpointClock(step)
            if is_stopped:
                processes.wait()  # for the checkpoint
                raise as_interrupted(stop, checkpoints, step=step, n_steps=recipe.n_steps)

    align(network.buffers(), processes)
    if state.best is not None and state.best.tensors:
        state.best.write_to_network()
    elif state.average is not None:
        state.average.write_to_network()
    if is_sharded:
        write_whole(network, given)
        network = given.to(at)
    network.eval()
    return Training(
        n_steps=step,
        loss=value,
        seconds=time.monotonic() - started,
        precision=f"{computed_in.name}: {computed_in.reason}",
        device=str(at),
        history=tuple(state.best.history) if state.best is not None else (),
        ended_by=ended_by,
        decided_by="log_loss" if held_out is None else held_out.decided_by,
    )


def _seed(seed: int, device: torch.device) -> None:
    """Seed what draws on the device: `torch.manual_seed` asks after every kind of device, for 0.1 ms a call."""
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        torch.cuda.manual_seed(seed)
    elif device.type == "mps":
        torch.mps.manual_seed(seed)
